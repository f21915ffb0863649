"""`branch-manager completion`: a script for the shell (enc/programs/completion.py)."""

from __future__ import annotations

import argparse

from enc.commands import completion
from enc.commands.call import Call

SUMMARY = completion.SUMMARY


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    completion.configure(parser)


def run(call: Call) -> int:
    """Print the script."""
    from git_hooks.cli import BRANCH_MANAGER  # here: it imports the command modules

    return completion.show(call, BRANCH_MANAGER.parser())
