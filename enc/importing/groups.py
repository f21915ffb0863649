"""Projects as directories of 2012 have them, brought into the directory: `enc-admin import groups`.

The layout (Wikimedia's, from 2012 on): a project is `cn=project-NAME,ou=groups` with `posixGroup`, `gidNumber` and
`member` (or `memberUid`), beside `cn=NAME,ou=projects`, whose roles are entries below it (`organizationalRole` with
`roleOccupant`: projectadmin, in older ones sysadmin and netadmin). Here a project is one entry, which has the number
itself; its admins are the occupants of the roles that the caller names.

Read from LDIF, of whatever suffix: people are known by their uid, and must be in our directory. An import only adds:
who is in a project stays, and so does a number. It passes the same door as every edit, one edit for each project; what
cannot be taken is a `Problem`, and the rest goes on. The same file again does nothing.

The way back is service/export.py's `groups`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from enc.edits.change import Step, apply, modifying
from enc.edits.wanted import to_hold
from enc.edits.wish import Wish
from enc.importing.ldif import Entry
from enc.importing.outcome import Outcome, Problem
from enc.service import people, posix, projects
from enc.service.belonging import people_dns, place_of
from enc.service.desk import Desk, PlannedEdit
from enc.service.export import GROUP_PREFIX
from enc.terms import dn
from enc.terms.errors import Conflict, DirectoryUnreachable, InvalidName, ToolkitError
from enc.terms.filters import folded
from enc.terms.names import PersonName, ProjectName
from enc.terms.record import Record

ACTION = "import groups"
"""What the audit trail calls it."""
ADMIN_ROLES = ("projectadmin", "sysadmin", "netadmin")
"""Roles that made somebody an admin, then and later."""


@dataclass(slots=True)
class Described:
    """What a file says of one project."""

    name: ProjectName
    where: str
    """File and line of what was found first."""
    gid: int | None = None
    members: dict[str, None] = field(default_factory=dict)
    """As they stand there: names of entries, or uids."""
    admins: dict[str, None] = field(default_factory=dict)
    unusable: bool = False


def read(
    entries: Iterable[Entry | Problem], file: str, outcome: Outcome, roles: Iterable[str] = ADMIN_ROLES
) -> list[Described]:
    """Return the projects of LDIF; what is none is told in `outcome`. Pure."""
    found: dict[str, Described] = {}
    wanted = set(map(folded, roles))
    for entry in entries:
        if isinstance(entry, Problem):
            outcome.problems.append(entry)
            continue
        where = f"{file}:{entry.line}"
        record = Record(entry.dn, {name.lower(): values for name, values in entry.attributes.items()})
        try:
            _entry(record, where, found, wanted, outcome)
        except ToolkitError as error:
            outcome.problems.append(Problem(where, str(error)))
    return [project for project in found.values() if not project.unusable]


def _entry(record: Record, where: str, found: dict[str, Described], roles: set[str], outcome: Outcome) -> None:
    classes = set(map(folded, record.all("objectClass")))
    attribute, name = dn.rdn(record.dn)
    above = dn.split(record.dn)[1:]
    if attribute == "cn" and name.startswith(GROUP_PREFIX) and "posixgroup" in classes:
        project = _of(name.removeprefix(GROUP_PREFIX), where, found)
        number = record.all("gidNumber")
        if len(number) != 1 or not (number[0].isascii() and number[0].isdigit() and len(number[0]) <= 10):
            project.unusable = True
            raise Conflict(f"{record.dn}: has no valid gidNumber")
        if project.gid is not None and project.gid != int(number[0]):
            project.unusable = True
            raise Conflict(f"{record.dn}: gidNumber {number[0]}, but {project.gid} earlier in the file; keep only one")
        project.gid = int(number[0])
        project.members |= dict.fromkeys((*record.all("member"), *record.all("memberUid")))
    elif attribute == "cn" and "organizationalrole" in classes and _is_project(above):
        if folded(name) in roles:
            project = _of(dn.rdn(above[0])[1], where, found)
            project.admins |= dict.fromkeys(record.all("roleOccupant"))
        else:
            words = f"{record.dn}: the role {name} is not one that makes admins (--role)"
            outcome.skipped.append(Problem(where, words))
    elif attribute == "cn" and "groupofnames" in classes and _is_project([record.dn, *above]):
        _of(name, where, found).members |= dict.fromkeys(record.all("member"))
    else:
        outcome.skipped.append(Problem(where, f"{record.dn} is neither a project nor a role in one"))


def _is_project(names: list[str]) -> bool:
    """Tell whether these relative names are those of an entry directly below ou=projects."""
    return len(names) > 1 and dn.rdn(names[0])[0] == "cn" and dn.rdn(names[1]) == ("ou", "projects")


def _of(name: str, where: str, found: dict[str, Described]) -> Described:
    project = ProjectName(name.lower())
    return found.setdefault(project, Described(project, where))


def bring_in(
    desk: Desk, described: Iterable[Described], admins: tuple[PersonName, ...], outcome: Outcome, *, reason: str
) -> Outcome:
    """Import what was read; `admins`: of projects that would have none. Raise `DirectoryUnreachable` on the way."""
    numbers: dict[int, ProjectName] = {}
    for project in described:
        try:
            if project.gid is not None and (other := numbers.setdefault(project.gid, project.name)) != project.name:
                raise Conflict(f"gidNumber {project.gid} is that of project {other} in the same file")
            plan = _plan(desk, project, admins, outcome)
            receipt = desk.submit(plan, reason=reason, dry_run=outcome.dry_run)
        except DirectoryUnreachable:
            raise
        except ToolkitError as error:
            outcome.problems.append(Problem(project.where, f"project {project.name}: {error}"))
            continue
        outcome.count(receipt.plan.steps)
        outcome.lines += [line for step in receipt.plan.steps for line in step.lines()]
        outcome.notes += [Problem(project.where, remark) for remark in receipt.plan.remarks]
    return outcome


def _plan(desk: Desk, project: Described, admins: tuple[PersonName, ...], outcome: Outcome) -> PlannedEdit:
    members = _known(desk, project, project.members, outcome)
    leading = _known(desk, project, project.admins, outcome) or admins
    record = desk.editor.read(place_of(project.name, desk))
    if record is None:
        if not leading:
            raise Conflict("none of its admins is known here; name an admin with --admin")
        made = projects.plan_of_new(desk, project.name, leading, members, Wish(), project.gid)
        return PlannedEdit(ACTION, made.subject, project.name, made.steps, remarks=made.remarks, takings=made.takings)
    if project.gid is not None and (held := record.first("gidNumber")) not in (None, str(project.gid)):
        raise Conflict(f"has gidNumber {held} and keeps it; the file says {project.gid}", where=record.dn)
    everybody = tuple(dict.fromkeys((*leading, *members)))
    changes = to_hold(record, "member", people_dns(everybody, desk))
    group = posix.Group()
    if project.gid is not None and record.first("gidNumber") is None:
        posix.check_server(desk)
        group = posix.numbered_group(apply(record, changes), desk, project.gid)
        changes += group.changes
    else:
        names, remarks = posix.mirrored(apply(record, changes), desk)
        changes, group = changes + names, posix.Group(remarks=remarks)
    steps: list[Step] = [modifying(record, changes)] if changes else []
    more, role = projects.admin_steps(desk, project.name, leading, apply(record, changes))
    return PlannedEdit(
        ACTION,
        f"project {project.name}",
        project.name,
        (*steps, *more),
        remarks=(*group.remarks, *role.remarks),
        takings=(*group.takings, *role.takings),
    )


def _known(desk: Desk, project: Described, listed: Iterable[str], outcome: Outcome) -> tuple[PersonName, ...]:
    """Return those who are people of ours; the others are told."""
    found: dict[PersonName, None] = {}
    for value in listed:
        try:
            uid = PersonName(_uid(value))
            people.entry_of(uid, desk.source, desk.settings)
        except DirectoryUnreachable:
            raise
        except ToolkitError as error:
            outcome.notes.append(Problem(project.where, f"project {project.name}: {value} is left out: {error}"))
        else:
            found[uid] = None
    return tuple(found)


def _uid(value: str) -> str:
    """Return the uid in the name of a person's entry; of a memberUid itself."""
    if "=" not in value:
        return value
    attribute, uid = dn.rdn(value)
    if attribute != "uid":
        raise InvalidName("is the name of no person's entry (uid=…)")
    return uid
