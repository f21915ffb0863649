"""`branch-manager uninstall`: the repository as it was before `init`."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from git_hooks.push import install

SUMMARY = "restore hooks and git's settings as they were before `init`; environments stay as they are"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Put things back."""
    done = install.uninstall(call.settings)
    call.show({"changes": done}, done)
    return 0
