"""`enc-admin completion`, and the same of the other programs: a script for the shell (enc/programs/completion.py)."""

from __future__ import annotations

import argparse

from enc.commands.call import Call
from enc.programs.command_line import Parser
from enc.programs.completion import SHELLS, script
from enc.terms.errors import ExitStatus

SUMMARY = "print a script that lets bash, zsh or fish complete commands, options and names"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS)


def run(call: Call) -> int:
    """Print the script."""
    from enc.cli import build_parser  # here: enc.cli imports the command modules

    return show(call, build_parser())


def show(call: Call, parser: Parser) -> int:
    """Print the script for the program of `parser`."""
    print(script(parser, call.arguments.shell, call.settings), end="")
    return ExitStatus.DONE
