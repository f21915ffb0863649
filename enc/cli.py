"""`enc-admin`: finds the command module of the first word and calls it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from enc import config
from enc.commands import COMMANDS
from enc.commands.call import Call
from enc.entrypoint import run


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser; only the command that `words` name is filled in, all if they name none."""
    parser = argparse.ArgumentParser(
        prog="enc-admin", description="Node data in LDAP, for Puppet: admin's and operator's command."
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"default: ${config.ENVIRONMENT_VARIABLE}, else {config.DEFAULT_PATH}"
    )
    parser.add_argument("--version", action="version", version=version("puppetmaster-toolkit"))
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in words if word in COMMANDS), None)
    for name, module_name in COMMANDS.items():
        if chosen in (None, name):
            module = import_module(module_name)
            command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
            module.configure(command)
            command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run `enc-admin` and return its exit status (docs/commands.md)."""
    words = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        arguments = build_parser(words).parse_args(words)
        call = Call(arguments, config.chosen_path(arguments.config))
        return int(arguments.run(call))

    return run("enc-admin", work)
