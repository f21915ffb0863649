"""Who belongs to a project: people and groups put into it and taken out, and all who are in it, with the way there.

A project's own list (`member`) and its admins' (`roleOccupant`) take people, and groups: a project, a role below one,
any `groupOfNames` below `projects.base` or `groups.base`. Whoever may change the list may put any of them there; that
gives their people something in this project and nobody anything in theirs. But who is in the inner one is decided by
who may change that.

Not here: what being in a group means (enc/rights/groups.py), whether the person may (authorize.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from enc.directory.ldap_store import LdapSource
from enc.edits.change import Change, Step, apply, making, modifying
from enc.edits.wanted import to_hold
from enc.rights.groups import DEEPEST, Group, Groups, normal
from enc.rights.roles import MEMBER, PROJECTADMIN, Held, Role, table_of
from enc.service import people, posix
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.settings import Settings
from enc.terms import dn
from enc.terms.counted import counted
from enc.terms.errors import Conflict, InvalidName, NotFound, UsageError
from enc.terms.filters import folded
from enc.terms.names import PersonName, ProjectName
from enc.terms.record import Record

_NAMED = 5
"""Groups of a kind that a remark names."""


@dataclass(frozen=True)
class Chosen:
    """Who is meant: people, and groups."""

    people: tuple[PersonName, ...] = ()
    projects: tuple[ProjectName, ...] = ()
    roles: tuple[tuple[ProjectName, str], ...] = ()
    """Project and the role's cn."""
    groups: tuple[str, ...] = ()
    """DNs."""


@dataclass(frozen=True)
class Belonging:
    """Somebody who is in a project, and by which way."""

    uid: str
    dn: str
    role: str
    """As lists call it: `admin`, `member`, or the name of a role of the site's own."""
    way: tuple[str, ...]
    """The groups between the project and the person, as lists call them; none: they are listed themselves."""


_Edited = tuple[Record, tuple[Change, ...]]
"""An entry, and what changes who is listed there."""


def place_of(project: ProjectName, desk: Desk) -> str:
    """Return the DN of a project's entry."""
    return dn.build("cn", project, desk.settings.projects_base)


def role_place(project: ProjectName, desk: Desk) -> str:
    """Return the DN of the entry that lists a project's admins."""
    return dn.build("cn", desk.settings.projects.admin_role, place_of(project, desk))


def project_entry(project: ProjectName, desk: Desk) -> Record:
    """Return a project's entry; raise `NotFound`."""
    record = desk.editor.read(place_of(project, desk))
    if record is None:
        raise NotFound(
            f"no project {project} below {desk.settings.projects_base}; create it with `enc-admin project add`"
        )
    return record


def people_dns(uids: Iterable[PersonName], desk: Desk) -> tuple[str, ...]:
    """Return the DNs of people; raise `NotFound`."""
    return tuple(people.entry_of(uid, desk.source, desk.settings).dn for uid in uids)


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


def is_group(name: str, settings: Settings) -> bool:
    """Tell whether `shown` calls a group so."""
    return name.startswith(("project ", "role ")) or _below(name, settings.groups_base)


def member_add(
    desk: Desk, project: ProjectName, chosen: Chosen, *, admin: bool, reason: str, dry_run: bool = False
) -> Receipt:
    """Let people and groups be members of a project, and its admins if `admin`."""
    record = project_entry(project, desk)
    role = _role(project, desk) if admin else None
    groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    inner = tuple(_existing(chosen, groups, desk))
    wanted = (*people_dns(chosen.people, desk), *inner)
    edited: list[_Edited] = []
    remarks: list[str] = []
    for entry, attribute in ((record, "member"), (role, "roleOccupant")):
        if entry is not None:
            have = set(map(normal, entry.all(attribute)))
            new = [one for one in wanted if normal(one) not in have]
            edited.append((entry, to_hold(entry, attribute, new)))
            remarks += _advice(entry.dn, [one for one in new if one in inner], groups, desk.settings)
    steps, told_of_names = _with_names(project, edited, groups, desk)
    told = tuple(dict.fromkeys((*told_of_names, *remarks)))
    plan = PlannedEdit("project member add", f"project {project}", project, tuple(steps), remarks=told)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def member_remove(
    desk: Desk, project: ProjectName, chosen: Chosen, *, admin: bool, reason: str, dry_run: bool = False
) -> Receipt:
    """Let people and groups be no more in a project; with `admin` only no more its admins.

    Those that are gone from LDAP can be removed too, people by the uid in their name.
    """
    record = project_entry(project, desk)
    role = desk.editor.read(role_place(project, desk))
    groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    remarks: list[str] = []
    edited: list[_Edited] = []
    if role is not None:
        gone = _listed(chosen, role.all("roleOccupant"), desk)
        edited.append((role, to_hold(role, "roleOccupant", (), gone)))
        if gone and len(gone) == len(role.all("roleOccupant")):
            remarks.append(f"project {project} has no admin left; only operators can edit it")
    if not admin:
        gone = _listed(chosen, record.all("member"), desk)
        if gone and len(gone) == len(record.all("member")):
            raise Conflict(f"project {project} would have no member left, which the schema (groupOfNames) forbids")
        edited.append((record, to_hold(record, "member", (), gone)))
        remarks += _still_in(project, chosen, gone, groups, desk)
    steps, told_of_names = _with_names(project, edited, groups, desk)
    told = (*told_of_names, *remarks)
    plan = PlannedEdit("project member remove", f"project {project}", project, tuple(steps), remarks=told)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def role_add(
    desk: Desk, project: ProjectName, name: str, chosen: Chosen, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Let people and groups hold a role in a project; its entry is made if there is none, which operators may."""
    place = _own_role(desk, project, name)
    role = desk.editor.read(place)
    groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    inner = tuple(_existing(chosen, groups, desk))
    have = set(map(normal, role.all("roleOccupant"))) if role is not None else set()
    new = [one for one in (*people_dns(chosen.people, desk), *inner) if normal(one) not in have]
    if role is None:
        attributes = {"objectClass": ("organizationalRole",), "cn": (name,), "roleOccupant": tuple(new)}
        steps = [making(place, attributes)]
    else:
        steps = _steps(role, to_hold(role, "roleOccupant", new))
    told = tuple(dict.fromkeys(_advice(place, [one for one in new if one in inner], groups, desk.settings)))
    plan = PlannedEdit("project role add", f"project {project}", project, tuple(steps), remarks=told)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def role_remove(
    desk: Desk, project: ProjectName, name: str, chosen: Chosen, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Let people and groups hold a role in a project no more, those that are gone from LDAP too."""
    role = desk.editor.read(_own_role(desk, project, name))
    gone = _listed(chosen, role.all("roleOccupant"), desk) if role is not None else ()
    steps = _steps(role, to_hold(role, "roleOccupant", (), gone)) if role is not None else []
    plan = PlannedEdit("project role remove", f"project {project}", project, tuple(steps))
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def _own_role(desk: Desk, project: ProjectName, name: str) -> str:
    """Return the DN of the entry that lists who holds a role; raise if there is no such project, or no such role."""
    record = project_entry(project, desk)
    known = {role.name: role for role in desk.person.table if role.held is Held.OCCUPANT}
    role = known.get(name)
    if role is None or role.entry is None:
        raise NotFound(f"there is no role {name} in projects (projects.roles); there are {', '.join(known)}")
    return dn.build("cn", role.entry(desk.settings), record.dn)


def everybody_in(project: ProjectName, source: LdapSource, settings: Settings) -> list[Belonging]:
    """Return who is in a project by whichever way, each person once: in the highest role that they have there."""
    found: dict[str, Belonging] = {}
    for one in all_holders(project, source, settings):
        found.setdefault(normal(one.dn), one)
    return list(found.values())


def all_holders(project: ProjectName, source: LdapSource, settings: Settings) -> Iterator[Belonging]:
    """Yield who is in a project, once for each role that they have there, the highest first."""
    groups = people.groups_in(source, settings)
    top = dn.build("cn", project, settings.projects_base)
    for role in table_of(settings):
        if role.held not in (Held.OCCUPANT, Held.MEMBER):
            continue
        place = dn.build("cn", role.entry(settings), top) if role.entry is not None else top
        for person, way in people.people_in(place, groups, settings).items():
            yield Belonging(people.shown(person), person, called(role), tuple(shown(one, settings) for one in way[1:]))


def called(role: Role) -> str:
    """Return what lists call a role that somebody has in a project."""
    return {PROJECTADMIN.name: "admin", MEMBER.name: "member"}.get(role.name, role.name)


def leaving_others(gone: Iterable[str], desk: Desk) -> tuple[list[Step], tuple[str, ...]]:
    """Return the steps that take groups which go (DNs) out of all others, and what to say about it.

    Raise `Conflict` if one of the others would be left without a member.
    """
    names = set(map(normal, gone))
    steps, remarks = [], []
    for group in people.groups_in(desk.source, desk.settings, desk.person.table):
        listed = [one for one in group.members if normal(one) in names]
        if not listed or normal(group.dn) in names:
            continue
        record = desk.editor.read(group.dn)
        if record is None:
            continue
        where, attribute = shown(group.dn, desk.settings), "roleOccupant" if group.is_role else "member"
        if len(listed) == len(record.all(attribute)) and not group.is_role:
            raise Conflict(
                f"{where} would have no member left, which the schema (groupOfNames) forbids; put somebody else in it"
            )
        steps += _steps(record, to_hold(record, attribute, (), listed))
        remarks.append(f"{', '.join(shown(one, desk.settings) for one in listed)} removed from {where}")
    return steps, tuple(remarks)


def _steps(record: Record, changes: tuple[Change, ...]) -> list[Step]:
    return [modifying(record, changes)] if changes else []


def _role(project: ProjectName, desk: Desk) -> Record:
    role = desk.editor.read(role_place(project, desk))
    if role is None:
        raise NotFound(
            f"project {project} has no role {desk.settings.projects.admin_role}; complete it with "
            "`enc-admin project add`"
        )
    return role


def _existing(chosen: Chosen, groups: Groups, desk: Desk) -> Iterator[str]:
    """Yield the DNs of the groups that are meant, as LDAP writes them; raise if one is none that counts."""
    for project in chosen.projects:
        group = groups.get(place_of(project, desk))
        if group is None or group.is_role:
            raise NotFound(f"no project {project} below {desk.settings.projects_base}")
        yield group.dn
    for project, name in chosen.roles:
        group = groups.get(dn.build("cn", name, place_of(project, desk)))
        if group is None or not group.is_role:
            raise NotFound(f"project {project} has no role {name}")
        yield group.dn
    for place in chosen.groups:
        group = groups.get(place)
        if group is None:
            raise UsageError(
                f"--group {place}: no groupOfNames or organizationalRole of that name below "
                f"{desk.settings.projects_base} or {desk.settings.groups_base}, where groups count"
            )
        yield group.dn


def _listed(chosen: Chosen, held: Iterable[str], desk: Desk) -> tuple[str, ...]:
    """Return the values of `held` that are meant."""
    uids = {folded(uid) for uid in chosen.people}
    groups = {normal(place_of(project, desk)) for project in chosen.projects}
    groups |= {normal(dn.build("cn", name, place_of(project, desk))) for project, name in chosen.roles}
    groups |= {normal(place) for place in chosen.groups}
    return tuple(one for one in held if normal(one) in groups or folded(shown(one, desk.settings)) in uids)


def _advice(outer: str, new: list[str], groups: Groups, settings: Settings) -> Iterator[str]:
    """Yield what to know about groups that are put into `outer`: circles, and what is too deep to count."""
    for inner in new:
        if groups.is_loop(outer, inner):
            yield (
                f"{shown(outer, settings)} is itself in {shown(inner, settings)}, so both have the same people now; "
                "a circle does no harm"
            )
    later = groups.listing(outer, new)
    for top in (outer, *groups.above(outer)):
        deep = sorted(set(map(normal, later.too_deep(top))) - set(map(normal, groups.too_deep(top))))
        if deep:
            named = ", ".join(shown(one, settings) for one in deep[:_NAMED])
            more = f" and {len(deep) - _NAMED} more" if len(deep) > _NAMED else ""
            yield (
                f"nested too deeply: whoever is in {shown(top, settings)} only by way of {named}{more} is not in it; "
                f"at most {DEEPEST} groups count, one in another"
            )


def _with_names(
    project: ProjectName, edited: Iterable[_Edited], groups: Groups, desk: Desk
) -> tuple[list[Step], tuple[str, ...]]:
    """Return the steps of an edit of a project's lists, with what keeps memberUid equal to them, and what to say of it.

    `edited`: the project's entry and its admins', each if it may be touched, with what changes who is listed there. One
    can be listed in the other.
    """
    edited = list(edited)
    if not any(changes for _, changes in edited):
        return [], ()
    later = groups
    for entry, changes in edited:
        later = later.with_group(people.group_of(apply(entry, changes)))
    steps, told = list[Step](), list[str]()
    for entry, changes in edited:
        names, of_names = posix.mirrored(apply(entry, changes), desk, later)
        steps += _steps(entry, changes + names)
        told += of_names
    outer = {place for entry, changes in edited if changes for place in groups.above(entry.dn)}
    mirrored_here = {normal(entry.dn) for entry, _ in edited}
    return steps, (*told, *_outer_names(outer - mirrored_here, desk))


def _outer_names(places: Iterable[str], desk: Desk) -> Iterator[str]:
    """Yield what is to be done for projects that list, themselves or as admins, what changes: the groups at `places`.

    Only where machines know memberUid only. Not done here: whoever may change who is in the inner project need not have
    a right over the outer one.
    """
    if not desk.settings.posix.member_uid:
        return
    role = f"/{desk.settings.projects.admin_role.lower()}"
    names = {shown(place, desk.settings) for place in places}
    outer = sorted(
        {name.removeprefix("project ") for name in names if name.startswith("project ")}
        | {name[5:].removesuffix(role) for name in names if name.startswith("role ") and name.endswith(role)}
    )
    if outer:
        yield (
            f"memberUid of {counted(len(outer), 'project')} that list it is not updated automatically; run: "
            f"enc-admin project posix {' '.join(outer)}"
        )


def _still_in(
    project: ProjectName, chosen: Chosen, gone: tuple[str, ...], groups: Groups, desk: Desk
) -> Iterator[str]:
    """Yield who is asked to leave and is in the project all the same, by way of a group that stays."""
    if not chosen.people:
        return
    place = place_of(project, desk)
    own = groups.get(place)
    if own is None:
        return
    left = set(map(normal, gone))
    later = groups.with_group(Group(own.dn, tuple(one for one in own.members if normal(one) not in left)))
    wanted = {folded(uid) for uid in chosen.people}
    for person, way in people.people_in(place, later, desk.settings).items():
        if folded(people.shown(person)) in wanted:
            by = ", ".join(shown(one, desk.settings) for one in way[1:])
            yield f"{people.shown(person)} is still in project {project}, by way of {by}"


def _below(place: str, base: str) -> bool:
    try:
        return dn.is_below(place, base)
    except InvalidName:
        return False
