"""What somebody wants an entry to say, or to say no more. Values, by the table of kinds (enc/classify/kinds.py).

Not here: what changes for it (wanted.py), how a command line says it (commands/wishes.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from enc.classify.kind import K, Kind, V
from enc.classify.kinds import KINDS, PARTS
from enc.classify.model import Value
from enc.classify.trial import Trial
from enc.terms.names import Certname, ClassName, DataKey, EnvironmentName, ParameterName, ProjectName, VariableName


class Named(TypedDict, total=False):
    """The keywords that our own code uses, for whoever checks types; what there is tells the table."""

    classes: tuple[ClassName, ...]
    variables: Mapping[VariableName, str]
    typed_variables: Mapping[VariableName, Value]
    parameters: Mapping[tuple[ClassName, ParameterName], Value]
    data: Mapping[DataKey, Value]
    without: tuple[str, ...]
    environment: EnvironmentName | None
    parent: Certname | None
    region: str | None
    role: str | None
    description: str | None
    trial: Trial | None
    guests: tuple[ProjectName, ...]


class Wish:
    """What is to be so. Everything that is not named stays as it is."""

    __slots__ = ("_said",)

    def __init__(self, **said: Unpack[Named]) -> None:
        """Take what is said of each kind by its `field`: keys of names, a mapping of pairs, a single value or None."""
        given: dict[str, Any] = dict(said)
        self._said = {kind: found for kind in KINDS if (found := _keyed(kind, given.pop(kind.field, None)))}
        if given:
            raise TypeError(f"no kind of statement: {', '.join(given)}")

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Wish:
        """Return the wish for what is said by the fields of the table, whatever kinds those are."""
        return cls(**said)

    def __getitem__(self, kind: Kind[K, V]) -> dict[K, V]:
        """Return what is wished of one kind."""
        return self._said.get(kind) or {}

    def __iter__(self) -> Iterator[tuple[Kind[Any, Any], dict[Any, Any]]]:
        """Yield the kinds of which something is wished, in the table's order, and what."""
        yield from self._said.items()

    def __eq__(self, other: object) -> bool:
        return self._said == other._said if isinstance(other, Wish) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(kind.field for kind in self._said))

    def __repr__(self) -> str:
        return f"Wish({', '.join(f'{kind.field}={found!r}' for kind, found in self._said.items())})"

    @property
    def extended(self) -> bool:
        """Whether it needs more than Puppet's own schema can say."""
        return not all(kind.terminus for kind in self._said)


def _keyed(kind: Kind[Any, Any], given: Any) -> dict[Any, Any]:
    if kind.shape == "single" and not isinstance(given, Mapping):
        return {} if given is None else {"": given}
    if kind.shape == "names" and not isinstance(given, Mapping):
        return dict.fromkeys(given or ())
    return dict(given or {})


class Withdrawal:
    """What is to be no more on this entry, by the `field` of each part's first kind: names or exact values, or a flag.

    A text is a name, or an exact value if it holds a '='; of what an entry says once, True takes it away.
    """

    __slots__ = ("_said",)

    def __init__(self, **said: tuple[str, ...] | bool) -> None:
        """Take what is to go of each part."""
        firsts = {kinds[0].field: kinds[0] for kinds in PARTS.values()}
        if unknown := said.keys() - firsts.keys():
            raise TypeError(f"no part of a statement: {', '.join(sorted(unknown))}")
        self._said = {firsts[field]: found for field, found in said.items() if found}

    def __iter__(self) -> Iterator[tuple[Kind[Any, Any], tuple[str, ...] | bool]]:
        """Yield the first kinds of the parts that are touched, and what is to go."""
        yield from self._said.items()

    def __eq__(self, other: object) -> bool:
        return self._said == other._said if isinstance(other, Withdrawal) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(kind.field for kind in self._said))

    def __repr__(self) -> str:
        return f"Withdrawal({', '.join(f'{kind.field}={found!r}' for kind, found in self._said.items())})"


@dataclass(frozen=True)
class Amendment:
    """What is to be so, and what is to be no more, in one edit: there is no state between them."""

    wish: Wish
    withdrawal: Withdrawal


Wanted = Wish | Withdrawal | Amendment


def wish_in(wanted: Wanted) -> Wish | None:
    """Return what is to be so, None if something is only to be no more."""
    if isinstance(wanted, Amendment):
        return wanted.wish
    return wanted if isinstance(wanted, Wish) else None
