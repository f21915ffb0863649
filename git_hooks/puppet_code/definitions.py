"""What a manifest defines, and the question whether values are of a type. Pure.

Types and defaults are texts, as they stand in the manifest: what they mean depends on the environment that they are
compiled in, and nothing of a pushed tree is ever loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

CLASS = "class"
DEFINED_TYPE = "defined type"
FUNCTION = "function"
PLAN = "plan"
TYPE = "type"
"""An alias of a data type."""


class Parameter(NamedTuple):
    """One parameter."""

    name: str
    line: int
    type: str
    """As it stands there; empty: none is given, so any value is taken."""
    default: str | None
    """As it stands there; None: there is none, so a value must be given."""


class Definition(NamedTuple):
    """One class, defined type, function, plan or type alias."""

    kind: str
    name: str
    """In full; of a type in the capitals that it is written with."""
    line: int
    of: str = ""
    """The class that a class inherits; what a type stands for; what a function returns. Empty: none."""
    parameters: tuple[Parameter, ...] = ()
    comment: str = ""
    """The comment directly above it, without its marks."""

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of this name."""
        return next((one for one in self.parameters if one.name == name), None)

    def document(self) -> list[object]:
        """Return it as lists and texts, as the reader tells it and `parse` reads it."""
        return [self.kind, self.name, self.line, self.of, [[*one] for one in self.parameters], self.comment]


def parse(told: Any) -> Definition:
    """Return what the reader tells of one definition; raise ValueError or TypeError if that is none."""
    kind, name, line, of, parameters, comment = told
    found = []
    for one, at, type_text, default in parameters:
        found.append(Parameter(str(one), int(at), str(type_text), None if default is None else str(default)))
    return Definition(str(kind), str(name), int(line), str(of), tuple(found), str(comment))


class Judgement(NamedTuple):
    """Whether a value is of a type."""

    valid: bool | None
    """None: that cannot be told."""
    unknown: tuple[str, ...] = ()
    """Types that were not known, in small letters: why it cannot be told."""


def judgement(told: Any) -> Judgement:
    """Return what the reader tells of one value; raise ValueError or TypeError if that is nothing."""
    valid, unknown = told
    if valid not in (True, False, None):
        raise ValueError(valid)
    return Judgement(valid, tuple(map(str, unknown)))


def question(aliases: Mapping[str, str], asked: Iterable[tuple[str, object]]) -> bytes:
    """Return the question whether values are of types; `aliases` are those that the types may name."""
    document = {"aliases": dict(aliases), "asked": [[text, _encoded(value)] for text, value in asked]}
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _encoded(value: object) -> object:
    # A mapping of JSON has texts as keys only; data has numbers, too.
    if isinstance(value, Mapping):
        return {"h": [[_encoded(key), _encoded(one)] for key, one in value.items()]}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"a": [_encoded(one) for one in value]}
    return value
