"""The programs that stay, with shorter times between two looks than people have:

    python quick.py follow CONFIGURATION SECONDS          `enc-admin follow`, with this beat
    python quick.py hooks CONFIGURATION {CHORE: SECONDS}  `branch-manager hooks`
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from enc.commands import follow
from enc.commands.call import Call
from enc.programs.entrypoint import run
from git_hooks.commands import hooks


def main(program: str, configuration: str, times: str) -> int:
    """Run it until it is stopped."""
    call = Call(argparse.Namespace(once=False), Path(configuration))
    if program == "follow":
        return follow.run(call, float(times))
    return hooks.run(call, json.loads(times))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], lambda: main(*sys.argv[1:])))
