"""Edits of lists of members, as steps: removing somebody everywhere, keeping memberUid up to date. Effects: reading.

Lists are those of projects (`member`), roles (`roleOccupant`) and other groups. memberUid of a group on machines is a
copy of everybody who is in the group, also through other groups (posix.py). So it changes with the lists of other
groups. That happens in the same edit if the person may edit the outer group too; otherwise the edit prints the command
with which somebody else does it.

Not here: which edits there are (belonging.py, accounts.py, projects.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from enc.edits.change import Change, Step, apply, modifying
from enc.edits.wanted import to_hold
from enc.rights.groups import Groups, normal
from enc.service import people, posix
from enc.service.authorize import first_refusal, needed
from enc.service.desk import Desk
from enc.settings import Settings
from enc.terms import dn
from enc.terms.counted import counted
from enc.terms.errors import Conflict, InvalidName
from enc.terms.record import Record

Edited = tuple[Record, tuple[Change, ...]]
"""An entry, and what changes who is listed there."""


def shown(place: str, settings: Settings) -> str:
    """Return what lists call somebody or something listed: a uid, `project X`, `role X/R`, or the DN of a group."""
    try:
        if dn.is_below(place, settings.projects_base):
            above = dn.normalise(dn.parent(place))
            if above == dn.normalise(settings.projects_base):
                return f"project {dn.rdn(place)[1].lower()}"
            return f"role {dn.rdn(above)[1]}/{dn.rdn(place)[1].lower()}"
        if dn.is_below(place, settings.groups_base):
            return place
    except InvalidName:
        return place
    return people.shown(place)


def steps_of(record: Record, changes: tuple[Change, ...]) -> list[Step]:
    """Return the step that makes the changes; none for none."""
    return [modifying(record, changes)] if changes else []


def leaving_others(gone: Iterable[str], desk: Desk) -> tuple[list[Step], tuple[str, ...]]:
    """Return the steps that remove deleted people or groups (`gone`, DNs) from all groups, and what to say about it.

    Raise `Conflict` if one of the groups would be left without a member.
    """
    names = set(map(normal, gone))
    edited, remarks = list[Edited](), list[str]()
    groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    for group in groups:
        listed = [one for one in group.members if normal(one) in names]
        if not listed or normal(group.dn) in names:
            continue
        record = desk.editor.read(group.dn)
        if record is None:
            continue
        where, attribute = shown(group.dn, desk.settings), "roleOccupant" if group.is_role else "member"
        if len(listed) == len(record.all(attribute)) and not group.is_role:
            raise Conflict(
                f"{where} would have no member left, which the schema (groupOfNames) forbids; add another member first"
            )
        edited.append((record, to_hold(record, attribute, (), listed)))
        remarks.append(f"{', '.join(shown(one, desk.settings) for one in listed)} removed from {where}")
    steps, told = with_names(edited, groups, desk, gone=names)
    return steps, (*remarks, *told)


def with_names(
    edited: Iterable[Edited], groups: Groups, desk: Desk, *, gone: Iterable[str] = ()
) -> tuple[list[Step], tuple[str, ...]]:
    """Return the steps of an edit of lists, with what keeps memberUid equal to them, and what to say of it.

    `edited`: entries, each with what changes who is listed there; one can be listed in another. `groups`: as they are.
    `gone`: groups (DNs) that are deleted in the same edit.
    """
    edited = list(edited)
    if not any(changes for _, changes in edited):
        return [], ()
    later = groups.with_group(*(people.group_of(apply(entry, changes)) for entry, changes in edited)).without(gone)
    steps, told = list[Step](), list[str]()
    for entry, changes in edited:
        names, of_names = posix.mirrored(apply(entry, changes), desk, later)
        steps += steps_of(entry, changes + names)
        told += of_names
    if desk.settings.posix.member_uid:
        outer = {place for entry, changes in edited if changes for place in groups.above(entry.dn)}
        outer -= {normal(entry.dn) for entry, _ in edited} | set(map(normal, gone))
        steps += _outer(outer, later, desk, told)
    return steps, tuple(told)


def _outer(places: Iterable[str], later: Groups, desk: Desk, told: list[str]) -> Iterator[Step]:
    """Yield the steps that update memberUid of the groups at `places`; tell of those that the person may not edit."""
    kept = set[str]()
    for place in sorted(places):
        group = later.get(place)
        record = desk.editor.read(group.dn) if group is not None else None
        if record is None:
            continue
        names, of_names = posix.mirrored(record, desk, later)
        told += of_names
        for step in steps_of(record, names):
            need = needed(step, record, apply(record, names), desk.settings, desk.person.table)
            if first_refusal(desk.person, need) is None:
                yield step
            else:
                kept |= set(_projects_named(record.dn, desk.settings))
    if kept:
        told.append(
            f"memberUid of {counted(len(kept), 'project')} that list it is not updated, because you may not edit them; "
            f"ask an admin there to run: enc-admin project posix {' '.join(sorted(kept))}"
        )


def _projects_named(place: str, settings: Settings) -> Iterator[str]:
    """Yield the project whose entry, or role, this is."""
    step = dn.child_towards(place, settings.projects_base)
    if step is not None:
        yield step[1].lower()
