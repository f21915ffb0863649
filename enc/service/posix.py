"""Projects and their roles as groups of machines: their numbers, and memberUid for clients that know RFC 2307 only.

A project is several groups: its entry, of those who may log in, its admins' role, of those who become root, and each
role of the site's own. So a role has a number where the project has one, and not the same.

Who is in them stands in `member` and `roleOccupant` (people.effective_members, also by way of groups). memberUid is a
copy of that by login names: every edit of members and admins keeps it equal, and `reconcile` makes it equal again, also
after a group that is listed there has changed. Which number a group gets is numbers.py's.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from enc.edits.change import Change, apply, modifying
from enc.rights.groups import Groups
from enc.rights.roles import Action
from enc.service import numbered, people
from enc.service.authorize import first_refusal
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.service.numbers import Series, Taking
from enc.terms import dn
from enc.terms.errors import Conflict, NotAllowed, UsageError
from enc.terms.filters import folded
from enc.terms.names import ProjectName
from enc.terms.posix_names import number_fault
from enc.terms.record import Record

GROUP = "posixGroup"
_NAMED = 5
"""Members without a login name that are named."""


@dataclass(frozen=True)
class Group:
    """What makes an entry a group of machines."""

    changes: tuple[Change, ...] = ()
    takings: tuple[Taking, ...] = ()
    remarks: tuple[str, ...] = ()


def group_of_new(entry: Record, desk: Desk, gid: int | None) -> Group:
    """Return what makes the entry of a new project a group; nothing where numbers are not given and none is said.

    Raise `UsageError` for a number that no project can have, and `Conflict` for one that this one cannot have.
    """
    if gid is None and not desk.numbers.allots(Series.GID):
        return Group()
    if not desk.editor.can_number():
        words = (
            "this directory's posixGroup cannot be combined with groupOfNames (`enc-admin schema check`), so the "
            "project gets no number"
        )
        if gid is not None:
            raise Conflict(words, where=entry.dn)
        return Group(remarks=(f"{words}; `enc-admin project posix` gives it one later",))
    return numbered_group(entry, desk, gid)


def group_of_role(entry: Record, project: Record, desk: Desk) -> Group:
    """Return what makes the new entry of a role a group; nothing where its project has no number.

    Nor where none are given here. `project`: its entry as it is after the same edit.
    """
    number = numbered.number_of(project, desk.settings)
    if number is None or not desk.numbers.allots(Series.GID) or not desk.editor.can_number():
        return Group()
    return numbered_group(entry, desk, None, besides=(number[1],))


def numbered_group(entry: Record, desk: Desk, gid: int | None, *, besides: Container[int] = ()) -> Group:
    """Return what makes `entry`, which has no number, a group with the number `gid`; None: with a free one.

    `besides`: numbers that others get by the same edit.
    """
    if gid is not None and (fault := number_fault(gid)):
        raise UsageError(f"gidNumber {gid} {fault}")
    series = Series.GID
    number = gid if gid is not None else desk.numbers.intended(series, entry.dn, entry.uuid, besides)
    has = {folded(value) for value in entry.all("objectClass")}
    classes = () if GROUP.lower() in has else (Change("objectClass", (), (GROUP,)),)
    changes = (*classes, Change(series.attribute, (), (str(number),)))
    names, remarks = mirrored(apply(entry, changes), desk)
    taking = Taking(series, entry.dn, number, gid is None, entry.uuid, (series.attribute,))
    return Group((*changes, *names), (taking,), remarks)


def mirrored(
    entry: Record, desk: Desk, groups: Groups | None = None
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """Return what makes memberUid of a group equal to those in it, and what is to be said about those without uid.

    Nothing where `posix.member_uid` is off, and of an entry that is no group. `groups`: as they are after the edit;
    None: as the directory has them, but for `entry`.
    """
    if not desk.settings.posix.member_uid or GROUP.lower() not in map(folded, entry.all("objectClass")):
        return (), ()
    if groups is None:
        groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    names, without = people.login_names(people.effective_members(entry, groups, desk.settings), desk.editor.read)
    have = entry.all("memberUid")
    gone = tuple(value for value in have if value not in names)
    remarks: tuple[str, ...] = ()
    if without:
        more = f" and {len(without) - _NAMED} more" if len(without) > _NAMED else ""
        told = f"{'; '.join(without[:_NAMED])}{more}"
        remarks = (f"no uid that machines accept, so left out of memberUid of {entry.dn}: {told}",)
    new = tuple(value for value in names if value not in have)
    return ((Change("memberUid", gone, new),) if gone or new else ()), remarks


def reconcile(
    desk: Desk,
    project: ProjectName,
    record: Record,
    roles: Sequence[Record],
    *,
    gid: int | None = None,
    reason: str,
    dry_run: bool = False,
) -> Receipt:
    """Correct the numbers and memberUid of an existing project and of its roles.

    `record`: its entry; `roles`: the existing ones. `gid`: the number that the project gets; None: a
    free one, if numbers are given here.
    """
    number, group = record.first("gidNumber"), Group()
    if gid is not None and number is not None and number != str(gid):
        raise Conflict(f"has gidNumber {number} and keeps it: files on machines have that number", where=record.dn)
    if number is None:
        if gid is None and not desk.settings.posix.allot:
            group = Group(remarks=("has no gidNumber, and posix.allot is off; give it one with --gid",))
        else:
            group = numbered_group(record, desk, gid)
    else:
        changes, remarks = mirrored(record, desk)
        group = Group(changes, (), remarks)
    parts = [(record, group)]
    for role in roles:
        taken = [taking.number for _, part in parts for taking in part.takings]
        parts.append((role, _role_as_it_is_to_be(role, apply(record, group.changes), taken, desk)))
    steps = tuple(modifying(entry, part.changes) for entry, part in parts if part.changes)
    told = tuple(remark for _, part in parts for remark in part.remarks)
    takings = tuple(taking for _, part in parts for taking in part.takings)
    plan = PlannedEdit("project posix", f"project {project}", project, steps, remarks=told, takings=takings)
    receipt = desk.submit(plan, reason=reason, dry_run=dry_run)
    for entry, _ in parts:
        receipt = noted(receipt, entry, desk, dry_run=dry_run)
    return receipt


def _role_as_it_is_to_be(role: Record, project: Record, taken: Sequence[int], desk: Desk) -> Group:
    number = numbered.number_of(project, desk.settings)
    if number is None:
        return Group()
    if role.first("gidNumber") is not None:
        changes, remarks = mirrored(role, desk)
        return Group(changes, (), remarks)
    if not desk.settings.posix.allot:
        return Group(remarks=(f"{dn.rdn(role.dn)[1]} has no gidNumber, and posix.allot is off (docs/access.md)",))
    return numbered_group(role, desk, None, besides=(number[1], *taken))


def noted(receipt: Receipt, record: Record, desk: Desk, *, dry_run: bool) -> Receipt:
    """Note the number that `record` has, if that is not noted: the site's own, or one whose edit was cut short."""
    found = numbered.number_of(record, desk.settings)
    if found is None or not desk.numbers.kept(found[0]) or desk.numbers.is_noted(*found, record):
        return receipt
    named = f"{found[0].attribute} {found[1]}"
    if not dry_run and not desk.numbers.note_use(*found, record):
        remark = f"{named} was given to another entry, too; see `enc-admin doctor`"
    else:
        remark = f"{named} {'would be' if dry_run else 'is now'} recorded as given"
    plan = replace(receipt.plan, remarks=(*receipt.plan.remarks, remark))
    return replace(receipt, plan=plan)


def prepare(desk: Desk) -> None:
    """Make the entries for numbers, if this directory has none yet and may have them; raise what forbids it."""
    if desk.numbers.kept(Series.GID) and desk.numbers.kept(Series.UID):
        return
    if refusal := first_refusal(desk.person, {(Action.OTHER_EDIT, None)}):
        raise NotAllowed(refusal, where=desk.settings.numbers_base)
    desk.numbers.prepare()


def check_server(desk: Desk) -> None:
    """Raise `Conflict` if no project can be a group in this directory."""
    if not desk.editor.can_number():
        raise Conflict(
            "the server's posixGroup cannot be combined with groupOfNames: `enc-admin schema check` says more",
            where=desk.settings.projects_base,
        )
