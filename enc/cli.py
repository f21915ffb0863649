"""`enc-admin`: finds the command module of the first word and calls it."""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from enc.commands import AS_ROOT, COMMANDS, GROUPS
from enc.commands.call import Call
from enc.commands.examples import EXAMPLES
from enc.programs import accounts, documents
from enc.programs.command_line import Parser, first_word
from enc.programs.entrypoint import run
from enc.settings import config


class _Version(argparse._VersionAction):
    """`--version`, which is looked up only when it is asked for: that takes longer than many a command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(version("puppetmaster-toolkit"))
        parser.exit()


Whose = Callable[[Call], Sequence[Path]] | None


@dataclass(frozen=True)
class Program:
    """A command whose first word names a command module (enc.commands tells what one is)."""

    name: str
    description: str
    commands: Mapping[str, str]
    """First word to module."""
    as_root: Mapping[str, Whose]
    """First word, or first and second, to the places whose owner root becomes; None: it must be root, and stays it."""
    groups: Mapping[str, Sequence[str]]
    """Title to first words, in the order of the help; each word is in one of them."""
    examples: Mapping[str, str]
    """Command to a command line, both without the program's name; a test gives each to the parser."""
    example: str
    """The one that the overview shows: a command of `examples`."""

    def parser(self, words: Sequence[str] = ()) -> Parser:
        """Return the parser; only the command that `words` name is filled in, all if they name none."""
        parser = Parser(prog=self.name, description=self.description)
        parser.groups, parser.commands = self.groups, tuple(self.commands)
        parser.add_argument(
            "--config", metavar="FILE", help=f"default: ${config.ENVIRONMENT_VARIABLE}, else {config.DEFAULT_PATH}"
        )
        parser.add_argument("--version", action=_Version)
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        first = first_word(words, ("--config",))
        chosen = first if first in self.commands else None
        for name, module_name in self.commands.items():
            if chosen in (None, name):
                module = import_module(module_name)
                command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
                module.configure(command)
                command.set_defaults(run=module.run)
        for one in parser.walk():
            example = self.examples.get(one.prog.partition(" ")[2] or self.example)
            one.example = f"{self.name} {example}" if example else ""
        return parser

    def main(self, argv: Sequence[str] | None) -> int:
        """Run it and return its exit status (docs/commands.md)."""
        words = list(sys.argv[1:] if argv is None else argv)

        def work() -> int:
            arguments = self.parser(words).parse_args(words)
            call = Call(arguments, config.chosen_path(arguments.config).absolute())
            self._leave_root(call)
            return int(arguments.run(call))

        return run(self.name, work, json=documents.asked(words))

    def _leave_root(self, call: Call) -> None:
        """Become the owner of what the command looks at, before it looks (enc.programs.accounts)."""
        words = (call.arguments.command, f"{call.arguments.command} {getattr(call.arguments, 'verb', '')}")
        whose = self.as_root[words[1] if words[1] in self.as_root else words[0]]
        if os.geteuid() != 0:
            return
        theirs = _account_of(call.config_path)  # before it is read: it says what else is looked at
        owner = accounts.owner_of(whose(call)) if whose is not None else None
        if theirs is not None and (owner is None or owner.uid != theirs.uid):
            text = f"is the configuration and belongs to {theirs.name}, so root does not use it; chown it to root"
            raise accounts.NotSafe(f"{text}, or do this as {theirs.name}", where=str(call.config_path))
        if owner is not None:
            accounts.become(owner, self._load)

    def _load(self) -> None:
        """Import every module of the packages that the commands are in, and of ours that they use."""
        for package in {"enc", *(module.partition(".")[0] for module in self.commands.values())}:
            for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
                if not found.name.endswith(".__main__"):
                    import_module(found.name)


def _account_of(configuration: Path) -> accounts.Account | None:
    """Return whose a configuration is, None: root's, or there is none; raise `NotSafe`."""
    if not configuration.is_file():
        return None
    try:
        return accounts.owner_of([configuration])
    except accounts.NotSafe as error:
        raise accounts.NotSafe(f"is the configuration, and {error.message}", where=str(configuration)) from error


ENC_ADMIN = Program(
    "enc-admin",
    "Node data in LDAP for Puppet: the command for admins and operators.",
    COMMANDS,
    AS_ROOT,
    GROUPS,
    EXAMPLES,
    "node explain",
)


def build_parser(words: Sequence[str] = ()) -> Parser:
    """Return the parser of `enc-admin`."""
    return ENC_ADMIN.parser(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `enc-admin`."""
    return ENC_ADMIN.main(argv)


if __name__ == "__main__":
    sys.exit(main())
