"""`enc-admin`: finds the command module of the first word and calls it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from enc.commands import COMMANDS
from enc.commands.call import Call
from enc.programs.entrypoint import run
from enc.settings import config


class _Version(argparse._VersionAction):
    """`--version`, which is looked up only when it is asked for: that takes longer than many a command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(version("puppetmaster-toolkit"))
        parser.exit()


@dataclass(frozen=True)
class Program:
    """A command whose first word names a command module (enc.commands tells what one is)."""

    name: str
    description: str
    commands: Mapping[str, str]
    """First word to module."""

    def parser(self, words: Sequence[str] = ()) -> argparse.ArgumentParser:
        """Return the parser; only the command that `words` name is filled in, all if they name none."""
        parser = argparse.ArgumentParser(prog=self.name, description=self.description)
        parser.add_argument(
            "--config", metavar="FILE", help=f"default: ${config.ENVIRONMENT_VARIABLE}, else {config.DEFAULT_PATH}"
        )
        parser.add_argument("--version", action=_Version)
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        places = (word for before, word in zip(("", *words), words, strict=False) if before != "--config")
        chosen = next((word for word in places if word in self.commands), None)
        for name, module_name in self.commands.items():
            if chosen in (None, name):
                module = import_module(module_name)
                command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
                module.configure(command)
                command.set_defaults(run=module.run)
        return parser

    def main(self, argv: Sequence[str] | None) -> int:
        """Run it and return its exit status (docs/commands.md)."""
        words = list(sys.argv[1:] if argv is None else argv)

        def work() -> int:
            arguments = self.parser(words).parse_args(words)
            call = Call(arguments, config.chosen_path(arguments.config))
            return int(arguments.run(call))

        return run(self.name, work)


ENC_ADMIN = Program("enc-admin", "Node data in LDAP, for Puppet: admin's and operator's command.", COMMANDS)


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of `enc-admin`."""
    return ENC_ADMIN.parser(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `enc-admin`."""
    return ENC_ADMIN.main(argv)


if __name__ == "__main__":
    sys.exit(main())
