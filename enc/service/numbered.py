"""Which steps of an edit give an entry its number, keep it or let it go. Pure.

So that every way in which an entry comes into being (a command, an import, an undo) asks for its number in the same
place: Desk does, with what is told here. The numbers themselves are numbers.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from enc.edits.change import Change, Step, after
from enc.service.numbers import Series, Taking
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import InvalidName
from enc.terms.record import Record

Numbered = tuple[Series, int]


def number_of(record: Record | None, settings: Settings) -> Numbered | None:
    """Return the number that the entry of a project, a role of one or a person has; None: none, or it is another's."""
    if record is None:
        return None
    try:
        if dn.is_below(record.dn, settings.projects_base):
            series = Series.GID
        elif dn.is_below(record.dn, settings.people_base):
            series = Series.UID
        else:
            return None
    except InvalidName:
        return None
    text = record.first(series.attribute) or ""
    return (series, int(text)) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def given(steps: Iterable[Step], records: Mapping[str, Record | None], settings: Settings) -> Iterator[Taking]:
    """Yield the numbers that entries get by `steps`; `records`: the entries as they are, by their normal names."""
    for step in steps:
        before = records.get(dn.normalise(step.dn))
        later = number_of(after(step, before), settings)
        if step.do != "rename" and later is not None and later != number_of(before, settings):
            yield Taking(later[0], step.dn, later[1], owner_uuid=before.uuid if before else "", again=True)


def let_go(
    steps: Iterable[Step], records: Mapping[str, Record | None], settings: Settings
) -> Iterator[tuple[Numbered, Record]]:
    """Yield the numbers that entries lose by `steps`, with the entries."""
    for step in steps:
        before = records.get(dn.normalise(step.dn))
        number = number_of(before, settings)
        if before is not None and number is not None and number_of(after(step, before), settings) is None:
            yield number, before


def changed(before: Record | None, later: Record | None, settings: Settings) -> Numbered | None:
    """Return the number that an entry has and would lose, or have another instead of; None: it keeps it, or goes."""
    now = number_of(before, settings)
    if now is None or later is None or before is None or later.dn != before.dn:
        return None
    return now if number_of(later, settings) != now else None


def renumbered(steps: Iterable[Step], taking: Taking, number: int) -> tuple[Step, ...]:
    """Return `steps` with `number` in the place of the one that was only intended."""
    place, meant = dn.normalise(taking.owner), (str(taking.number),)
    wanted = {name.lower() for name in taking.attributes}

    def changed_to(change: Change) -> Change:
        hit = change.attribute.lower() in wanted and change.after == meant
        return replace(change, after=(str(number),)) if hit else change

    return tuple(
        replace(step, changes=tuple(map(changed_to, step.changes))) if dn.normalise(step.dn) == place else step
        for step in steps
    )
