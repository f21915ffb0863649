"""The parser of all our programs: what argparse leaves to be wished.

- Help shows commands in groups, and an example of each command.
- A word that is no command, option or choice is refused in one line, which
  names the nearest that there is (enc/terms/nearest.py).
- Refusals are errors like any other: one exit status, a document with `--json`.

What commands and options there are is theirs (commands/), what is said about
them in the reference of docs/ is enc.reference's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from enc.terms.errors import UsageError, one_line
from enc.terms.nearest import meant, nearest

_LONGEST = 60
"""Characters of somebody's word that are shown."""


class Parser(argparse.ArgumentParser):
    """A parser of one command, or of a program and its commands."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.example = ""
        """A whole command line, for help."""
        self.groups: Mapping[str, Sequence[str]] = {}
        """Title to commands, for the help of a program; empty: one list."""
        self.commands: Sequence[str] = ()
        """What commands there are, though not all may be filled in; empty: those that are."""

    def error(self, message: str) -> NoReturn:
        """Show the usage and raise `UsageError`."""
        self.print_usage(sys.stderr)
        self._refuse(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse here what is not known, where it is known which options there are."""
        words = list(sys.argv[1:] if args is None else args)
        for word in self._options_in(words):
            known = [name for action in self._actions for name in action.option_strings]
            if not any(name.startswith(word) for name in known):
                if word == "--json" and next(self._below(), None) is not None:
                    self._refuse(f"--json goes after the command: {self.prog} COMMAND --json")
                self._refuse(f"unknown option {_shown(word)}{_option_meant(word, known) or self._see_help()}")
        found, left = super().parse_known_args(words, namespace)
        # argparse gives a last list that may be empty nothing, if an option stands between it and what comes before.
        last = next((action for action in reversed(self._actions) if not action.option_strings), None)
        plain = bool(left) and not any(word.startswith("-") for word in left)
        if plain and last is not None and last.nargs == "*" and not getattr(found, last.dest):
            setattr(found, last.dest, left)
            left = []
        if left:
            self.error(f"not expected here: {' '.join(map(_shown, left[:5]))}{' …' if len(left) > 5 else ''}")
        return found, left

    def format_help(self) -> str:
        """Return the help: commands in their groups, and the example at the end."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for group in self._action_groups:
            below = [action for action in group._group_actions if isinstance(action, argparse._SubParsersAction)]
            if below and self.groups:
                continue
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments(group._group_actions)
            formatter.end_section()
        for title, names in self.groups.items():
            listed = {choice.dest: choice for action in self._below() for choice in action._choices_actions}
            formatter.start_section(title)
            formatter.add_arguments([listed[name] for name in names if name in listed])
            formatter.end_section()
        formatter.add_text(self.epilog)
        example = f"\nexample:\n  {self.example}\n" if self.example else ""
        return formatter.format_help() + example

    def walk(self) -> Iterator[Parser]:
        """Yield this parser and all below it."""
        yield self
        for action in self._below():
            for command in action.choices.values():
                yield from command.walk()

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the action's choices."""
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        word = str(value)
        if not isinstance(action, argparse._SubParsersAction):
            text = f"'{_shown(word)}' is not one of {', '.join(choices)}{meant(word, choices)}"
            raise argparse.ArgumentError(action, text)
        near = nearest(word, self.commands or choices)
        near = near or [f"{name} {word}" for name, below in action.choices.items() if word in _names_below(below)][:3]
        if near:
            self._refuse(f"'{_shown(word)}' is not a command; did you mean {' or '.join(near)}?")
        there_are = self._see_help() if self.commands else f"; there are {', '.join(choices)}"
        self._refuse(f"'{_shown(word)}' is not a command{there_are}")

    def _see_help(self) -> str:
        return f"; {self.prog} --help lists them"

    def _refuse(self, message: str) -> NoReturn:
        raise UsageError(message, where=self.prog.partition(" ")[2] or None)

    def _below(self) -> Iterator[argparse._SubParsersAction[Parser]]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield action

    def _options_in(self, words: Sequence[str]) -> Iterator[str]:
        """Yield the long options among the words that are this parser's: up to its command, or to `--`.

        argparse takes a word that begins with `--` for an option wherever it stands, except with a space in it.
        """
        taking = {name for action in self._actions if action.nargs != 0 for name in action.option_strings}
        # Behind the first plain word, a command's options are its own, and whatever takes all the rest takes options.
        stops = any(action.nargs in (argparse.PARSER, argparse.REMAINDER) for action in self._actions)
        passed = iter(words)
        for word in passed:
            if word == "--" or (stops and not word.startswith("-")):
                return
            name, equals, _ = word.partition("=")
            if not word.startswith("--") or " " in name:
                continue
            yield name
            if stops and not equals and any(option.startswith(name) for option in taking):
                next(passed, None)


def first_word(words: Sequence[str], options: Iterable[str]) -> str | None:
    """Return the first word that is neither an option nor the value of one of `options`; None if help comes before."""
    passed = iter(words)
    for word in passed:
        if word == "-h" or (len(word) > 2 and "--help".startswith(word)):
            return None
        if not word.startswith("-"):
            return word
        if len(word) > 2 and any(option.startswith(word) for option in options):
            next(passed, None)
    return None


def _option_meant(word: str, known: Iterable[str]) -> str:
    """Like `meant`, of options: their dashes make them no more alike."""
    named = {name.lstrip("-"): name for name in known if name.startswith("--")}
    found = [named[name] for name in nearest(word.lstrip("-"), named)]
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _names_below(parser: Parser) -> Iterator[str]:
    for action in parser._below():
        yield from action.choices


def _shown(word: str) -> str:
    return one_line(word if len(word) <= _LONGEST else f"{word[:_LONGEST]}…")
