"""What Puppet's parser says of a piece of code. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from enc.terms.errors import ToolkitError
from git_hooks.puppet_code import definitions
from git_hooks.puppet_code.definitions import Definition, Judgement


class Kind(StrEnum):
    """In which of Puppet's two forms code is written."""

    MANIFEST = "pp"
    EPP = "epp"
    PLACED = "pp+"
    """A manifest, of whose calls is told what goes before them (`Call.before`), which takes the parser longer."""

    # For these the answer is only whether the file can be parsed, by Puppet's grammar and its checks before compiling.
    SOUND_MANIFEST = "pp!"
    SOUND_PLAN = "plan!"
    SOUND_EPP = "epp!"
    SOUND_ERB = "erb!"
    SOUND_RUBY = "rb!"
    SOUND_YAML = "yaml!"
    """As Puppet loads data: without values of other classes than Symbol."""

    # For these it is what the code defines (definitions.py).
    DEFINED = "pp#"
    DEFINED_PLAN = "plan#"
    JUDGED = "type?"
    """No code, but the question whether values are of types."""
    # For these the answer is which literal texts there are, and what each is the value of.
    TEXTS_OF_MANIFEST = "pp?"
    TEXTS_OF_PLAN = "plan?"
    TEXTS_OF_EPP = "epp?"
    TEXTS_OF_YAML = "yaml?"
    """JSON, too."""


class Call(NamedTuple):
    """One call of a function, whichever way it is written."""

    line: int
    """0: the parser does not say."""
    name: str | None
    """Without `::` before it; None: computed, so it may be any."""
    arguments: tuple[str | None, ...]
    """Literal texts; None: computed. What a method is called on comes first; a block comes last, as computed."""
    before: str = ""
    """Stands for all that is evaluated before it where it is, and for its own statement; equal if that is equal."""


COMPUTED = "\uFFFC"
"""In the text of a `Text`: something is put in here that is not known before the code is evaluated."""


class Text(NamedTuple):
    """One literal text."""

    line: int
    names: tuple[str, ...]
    """What it is the value of: names of parameters, attributes, variables, keys, the nearest last; none: nobody's."""
    text: str
    """Cut where it is very long."""
    spread: bool = False
    """Its lines are lines of the code; else they are written as `\\n`, or it is only one."""


class Reading(NamedTuple):
    """What a piece of code calls or defines, or why Puppet cannot read it."""

    calls: tuple[Call, ...] = ()
    fault: str = ""
    """Puppet's words; empty: it can be read."""
    line: int = 0
    """Where the fault is; 0: not known, or, for a kind that is only read, the end of the code."""
    syntax: bool = False
    """Puppet's grammar does not allow it, so it is never compiled. Else it is the parser that failed."""
    late: bool = False
    """It was not read in the time that there was; with more it might be."""
    column: int = 0
    """The character in that line, from 1; 0: not known."""
    texts: tuple[Text, ...] = ()
    """For a kind that asks for them."""
    defined: tuple[Definition, ...] = ()
    """What it defines, where that was asked."""
    judged: tuple[Judgement, ...] = ()
    """Whether values are of types, where that was asked."""

    @property
    def size(self) -> int:
        """How many things it tells."""
        return len(self.calls) + len(self.judged) + sum(1 + len(one.parameters) for one in self.defined)


Read = Callable[[str, Kind, Callable[[], bytes]], Reading]
"""Asks Puppet's parser: the code's own name, its kind, how to get it."""


class ParserMissing(ToolkitError):
    """Puppet code cannot be read on this machine."""


class UnsoundAnswer(ValueError):
    """An answer that is none."""


def parse(answer: bytes) -> Reading:
    """Return what a line of the reader's answer says; raise `UnsoundAnswer`."""
    try:
        told = json.loads(answer)
        if "fault" in told:
            place = int(told["line"]), told["syntax"] is True, told.get("late") is True, int(told.get("column", 0))
            return Reading((), str(told["fault"]), *place)
        if "defined" in told:
            return Reading(defined=tuple(map(definitions.parse, told["defined"])))
        if "judged" in told:
            return Reading(judged=tuple(map(definitions.judgement, told["judged"])))
        calls, texts = told["calls"], told.get("texts", ())
        return Reading(
            tuple(Call(int(line), _plain(name), tuple(given), *map(str, more)) for line, name, given, *more in calls),
            texts=tuple(Text(int(at), tuple(map(str, of)), str(text), more is True) for at, of, text, more in texts),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnsoundAnswer("Puppet's parser gave an answer that cannot be understood") from error


def _plain(name: str | None) -> str | None:
    return None if name is None else name.removeprefix("::")
