"""What happens to entries, as values: a change of an attribute, a step of an entry. Pure.

Every attribute holds *parts*: `puppetVar` one for each variable name, the
class attribute one for each class, `environment` a single one. An edit touches
parts, and a `Change` shows exactly them: the values of the touched parts as
they were and as they become. So

- what is sent to LDAP is the difference (delete-old, add-new), never a whole
  attribute, and what others wrote beside it stays;
- two edits collide only if they touch the same part;
- the reverse of a change is the change with both sides swapped, and it can be
  told whether the part has been touched since (reversal.py).

Not here: how changes come about (wanted.py), whether the person may (authorize.py), reading and writing (service/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from enc.classify.kinds import KINDS, TRIAL, attributes_of
from enc.classify.statements import OURS
from enc.edits import differences
from enc.edits.differences import Bounds
from enc.programs import times
from enc.terms.errors import one_line
from enc.terms.record import Record

Do = Literal["add", "modify", "delete", "rename"]

_SPELLING = {
    name.lower(): name
    for name in (
        *(*OURS, *attributes_of(KINDS), "objectClass", "roleOccupant", "associatedDomain"),
        *("gidNumber", "memberUid", "uidNumber", "homeDirectory", "loginShell"),
    )
}
"""Attributes as people write them; servers and records do not tell capitals apart."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to the touched parts of one attribute."""

    attribute: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def remove(self) -> tuple[str, ...]:
        """The values that go."""
        return tuple(value for value in self.before if value not in self.after)

    @property
    def add(self) -> tuple[str, ...]:
        """The values that come."""
        return tuple(value for value in self.after if value not in self.before)


@dataclass(frozen=True, slots=True)
class Step:
    """One LDAP write: an entry made, changed, deleted, or given another name (its one change is of `dn`)."""

    do: Do
    dn: str
    changes: tuple[Change, ...]
    csn: str = field(default="", compare=False)
    """The entry's version that the step was thought up for; empty: any."""

    def lines(self, bounds: Bounds = differences.SHORT) -> list[str]:
        """Return the step as a small diff, within `bounds`; no value can break a line."""
        body = []
        for change in self.changes:
            removed, added = (legible(change.attribute, values) for values in (change.remove, change.add))
            told = differences.of_values(change.attribute, removed, added, bounds)
            body += [f"  {line}" for line in told]
        return [one_line(f"{self.do} {self.dn}"), *body]


_WITH_MOMENTS = frozenset(
    name.lower() for name in ("puppetmasterEnrolment", "puppetmasterBuilt", "puppetmasterSelf", TRIAL.attribute)
)
"""Attributes of ours whose values hold seconds since 1970 (docs/directory.md)."""


def legible(attribute: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the values of an attribute as people read them."""
    return tuple(map(times.legible, values)) if attribute.lower() in _WITH_MOMENTS else tuple(values)


def apply(record: Record, changes: Iterable[Change]) -> Record:
    """Return the record as it is after `changes`."""
    attributes = dict(record.attributes)
    for change in changes:
        name = change.attribute.lower()
        gone = set(change.remove)
        left = tuple(value for value in attributes.pop(name, ()) if value not in gone) + change.add
        if left:
            attributes[name] = left
    return replace(record, attributes=attributes)


def after(step: Step, record: Record | None) -> Record | None:
    """Return the entry of `step` as it is when the step is done; None: there is none."""
    if step.do == "delete":
        return None
    if step.do == "rename":
        return replace(record or Record(step.dn, {}), dn=step.changes[0].after[0])
    return apply(record or Record(step.dn, {}), step.changes)


def spelled(attribute: str) -> str:
    """Return the name of an attribute, given in any case, as people write it."""
    return _SPELLING.get(attribute.lower(), attribute)


def making(dn: str, attributes: Mapping[str, Iterable[str]]) -> Step:
    """Return the step that makes an entry."""
    changes = (Change(_SPELLING.get(name.lower(), name), (), tuple(held)) for name, held in attributes.items())
    return Step("add", dn, tuple(change for change in changes if change.after))


def deleting(record: Record) -> Step:
    """Return the step that deletes an entry."""
    changes = tuple(Change(_SPELLING.get(name, name), held, ()) for name, held in record.attributes.items())
    return Step("delete", record.dn, changes, record.csn)


def modifying(record: Record, changes: tuple[Change, ...]) -> Step:
    """Return the step that changes an entry."""
    return Step("modify", record.dn, changes, record.csn)


def renaming(record: Record, new_dn: str) -> Step:
    """Return the step that gives an entry the name `new_dn`. Whatever its version is: do it after other steps."""
    return Step("rename", record.dn, (Change("dn", (record.dn,), (new_dn,)),))
