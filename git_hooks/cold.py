"""What a hook runs when no service answers: the same work in a process of its own.

    python -m git_hooks.cold CONFIGURATION post-receive WHO <git's lines

Exit status 0: all environments show what they should; 1: not all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from enc import config, log
from enc.entrypoint import run
from enc.errors import ExitStatus, UsageError, one_line
from enc.names import PersonName
from git_hooks.deploy import Deployer
from git_hooks.environments import Rules
from git_hooks.receive import received
from git_hooks.refs import parse_updates


def main(arguments: list[str], updates: bytes) -> int:
    """Do the work of one hook; lines for the pusher go to stdout."""
    if len(arguments) != 3 or arguments[1] != "post-receive":
        raise UsageError("use: CONFIGURATION post-receive WHO")
    settings = config.load(Path(arguments[0]))
    log.setup(settings.log)
    who = PersonName(arguments[2])
    status = ExitStatus.DONE
    with Deployer(settings.branches) as deployer:
        for good, line in received(deployer, Rules(settings.branches.rules), parse_updates(updates), who):
            sys.stdout.write(one_line(line) + "\n")
            sys.stdout.flush()
            status = status if good else ExitStatus.FAILED
    return status


if __name__ == "__main__":
    sys.exit(run("post-receive", lambda: main(sys.argv[1:], sys.stdin.buffer.read())))
