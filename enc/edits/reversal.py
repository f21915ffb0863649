"""Whether a step is in effect, and the step that takes it back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from enc.edits.change import Change, Do, Step, deleting, modifying
from enc.edits.sheet import part_of, slice_of
from enc.settings import NodeSettings
from enc.terms.errors import Conflict
from enc.terms.filters import folded
from enc.terms.record import Record

StepState = Literal["made", "not made", "changed since"]

_WITHOUT_ENTRY: Mapping[Do, StepState] = {
    "add": "not made",
    "delete": "made",
    "rename": "made",
    "modify": "changed since",
}
"""What a step is whose entry is not there."""


_FOR_LIFE = frozenset({"gidnumber", "uidnumber", "homedirectory"})
"""What posixGroup and posixAccount must have (RFC 2307)."""


class ChangedSince(Conflict):
    """What an edit changed is no longer as the edit left it."""


def state(step: Step, record: Record | None, settings: NodeSettings) -> StepState:
    """Tell from the entry as it is now whether `step` is in effect. Other parts of the entry do not count."""
    if record is None:
        return _WITHOUT_ENTRY[step.do]
    if step.do == "rename":
        return "not made"
    if step.do == "delete":
        return "not made" if _same_entry(record, {c.attribute: c.before for c in step.changes}) else "changed since"
    if step.do == "add":
        return "made" if _same_entry(record, {c.attribute: c.after for c in step.changes}) else "changed since"
    sides: set[StepState] = set()
    for change in step.changes:
        if change.attribute.lower() == "objectclass":
            continue
        parts = {part_of(change.attribute, value, settings) for value in (*change.before, *change.after)}
        now = set(slice_of(record.all(change.attribute), change.attribute, parts, settings))
        sides.add("made" if now == set(change.after) else "not made" if now == set(change.before) else "changed since")
    if len(sides) == 1:
        return sides.pop()
    return "changed since" if sides else "made"


def touched(step: Step, settings: NodeSettings) -> frozenset[tuple[str, str]]:
    """Return the parts that a change of an entry touches, by attribute; empty if the step is about the whole entry."""
    if step.do != "modify":
        return frozenset()
    return frozenset(
        (change.attribute.lower(), part_of(change.attribute, value, settings))
        for change in step.changes
        if change.attribute.lower() != "objectclass"
        for value in (*change.before, *change.after)
    )


def _same_entry(record: Record, attributes: Mapping[str, Iterable[str]]) -> bool:
    wanted = {name.lower(): set(map(folded, held)) for name, held in attributes.items()}
    # Servers add what the schema implies (`top`, superior classes).
    wanted.pop("objectclass", None)
    have = {name: set(map(folded, held)) for name, held in record.attributes.items() if name != "objectclass"}
    return wanted == have


def reverse(step: Step, record: Record | None, settings: NodeSettings) -> Step | None:
    """Return the step that takes `step` back, None if it is not in effect; `ChangedSince` if its parts changed.

    Object classes stay: something else may need them by now. So does what an account or a group cannot be without, once
    it has been given: its number is for life (service/numbers.py).
    """
    how = state(step, record, settings)
    if how == "not made":
        return None
    if how == "changed since":
        raise ChangedSince("what this edit changed has since been changed again", where=step.dn)
    if step.do == "rename":
        raise Conflict("a move changes more than the entry; use `enc-admin instance move` again", where=step.dn)
    if step.do == "delete":
        return Step("add", step.dn, tuple(Change(c.attribute, (), c.before) for c in step.changes))
    assert record is not None
    if step.do == "add":
        return deleting(record)
    swapped = tuple(Change(c.attribute, c.after, c.before) for c in step.changes if not _stays(c))
    return modifying(record, swapped) if swapped else None


def _stays(change: Change) -> bool:
    name = change.attribute.lower()
    return name == "objectclass" or (name in _FOR_LIFE and not change.before)
