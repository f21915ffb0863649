"""Who belongs to a project: people and groups put into it and taken out, and all who are in it, with the way there.

A project's own list (`member`) and its admins' (`roleOccupant`) take people, and groups: a project, a role below one,
any `groupOfNames` below `projects.base` or `groups.base`. Whoever may change the list may put any of them there; that
gives their people something in this project and nobody anything in theirs. But who is in the inner one is decided by
who may change that.

Not here: what being in a group means (enc/rights/groups.py), whether the person may (authorize.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from enc.directory.ldap_store import LdapSource
from enc.edits.change import apply, making
from enc.edits.wanted import to_hold
from enc.rights.groups import DEEPEST, Group, Groups, normal
from enc.rights.roles import MEMBER, PROJECTADMIN, Held, Role, table_of
from enc.service import people, posix
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.service.lists import Edited, shown, with_names
from enc.settings import Settings
from enc.terms import dn
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


def place_of(project: ProjectName, desk: Desk) -> str:
    """Return the DN of a project's entry."""
    return dn.build("cn", project, desk.settings.projects_base)


def role_place(project: ProjectName, desk: Desk) -> str:
    """Return the DN of the entry that lists a project's admins."""
    return dn.build("cn", desk.settings.projects.admin_role, place_of(project, desk))


def role_records(project: ProjectName, desk: Desk) -> list[Record]:
    """Return the entries that say who holds a role in a project, the highest role first."""
    places = (
        dn.build("cn", role.entry(desk.settings), place_of(project, desk))
        for role in desk.person.table
        if role.held is Held.OCCUPANT and role.entry is not None
    )
    return [record for place in places if (record := desk.editor.read(place)) is not None]


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


def gone_groups(source: LdapSource, settings: Settings) -> Callable[[str], bool]:
    """Return a function that tells whether a group, named as in lists, no longer exists."""
    there = {normal(shown(group.dn, settings)) for group in people.groups_in(source, settings)}
    return lambda name: normal(name) not in there


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
    edited: list[Edited] = []
    remarks: list[str] = []
    for entry, attribute in ((record, "member"), (role, "roleOccupant")):
        if entry is not None:
            have = set(map(normal, entry.all(attribute)))
            new = [one for one in wanted if normal(one) not in have]
            edited.append((entry, to_hold(entry, attribute, new)))
            remarks += _advice(entry.dn, [one for one in new if one in inner], groups, desk.settings)
    steps, told_of_names = with_names(edited, groups, desk)
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
    edited: list[Edited] = []
    # First the members: an admin who leaves may edit nothing here any more once that is done.
    if not admin:
        gone = _listed(chosen, record.all("member"), desk)
        if gone and len(gone) == len(record.all("member")):
            raise Conflict(f"project {project} would have no member left, which the schema (groupOfNames) forbids")
        edited.append((record, to_hold(record, "member", (), gone)))
        remarks += _still_in(project, chosen, gone, groups, desk)
    if role is not None:
        gone = _listed(chosen, role.all("roleOccupant"), desk)
        edited.append((role, to_hold(role, "roleOccupant", (), gone)))
        if gone and len(gone) == len(role.all("roleOccupant")):
            remarks.append(f"project {project} has no admin left; only operators can edit it")
    steps, told_of_names = with_names(edited, groups, desk)
    told = (*told_of_names, *remarks)
    plan = PlannedEdit("project member remove", f"project {project}", project, tuple(steps), remarks=told)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def role_add(
    desk: Desk, project: ProjectName, name: str, chosen: Chosen, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Let people and groups hold a role in a project; its entry is made if there is none, which operators may."""
    record, place = _own_role(desk, project, name)
    role = desk.editor.read(place)
    groups = people.groups_in(desk.source, desk.settings, desk.person.table)
    inner = tuple(_existing(chosen, groups, desk))
    have = set(map(normal, role.all("roleOccupant"))) if role is not None else set()
    new = [one for one in (*people_dns(chosen.people, desk), *inner) if normal(one) not in have]
    group = posix.Group()
    of_names: tuple[str, ...] = ()
    if role is None:
        attributes = {"objectclass": ("organizationalRole",), "cn": (name,), "roleoccupant": tuple(new)}
        made = Record(place, attributes)
        group = posix.group_of_role(made, record, desk)
        steps = [making(place, apply(made, group.changes).attributes)]
    else:
        steps, of_names = with_names([(role, to_hold(role, "roleOccupant", new))], groups, desk)
    advice = _advice(place, [one for one in new if one in inner], groups, desk.settings)
    told = tuple(dict.fromkeys((*group.remarks, *of_names, *advice)))
    plan = PlannedEdit(
        "project role add", f"project {project}", project, tuple(steps), remarks=told, takings=group.takings
    )
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def role_remove(
    desk: Desk, project: ProjectName, name: str, chosen: Chosen, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Let people and groups hold a role in a project no more, those that are gone from LDAP too."""
    role = desk.editor.read(_own_role(desk, project, name)[1])
    edited = []
    if role is not None:
        edited.append((role, to_hold(role, "roleOccupant", (), _listed(chosen, role.all("roleOccupant"), desk))))
    steps, told = with_names(edited, people.groups_in(desk.source, desk.settings, desk.person.table), desk)
    plan = PlannedEdit("project role remove", f"project {project}", project, tuple(steps), remarks=told)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def _own_role(desk: Desk, project: ProjectName, name: str) -> tuple[Record, str]:
    """Return a project's entry, and the DN of the one that lists who holds a role.

    Raise if there is no such project, or no such role.
    """
    record = project_entry(project, desk)
    known = {role.name: role for role in desk.person.table if role.held is Held.OCCUPANT}
    role = known.get(name)
    if role is None or role.entry is None:
        raise NotFound(f"there is no role {name} in projects (projects.roles); there are {', '.join(known)}")
    return record, dn.build("cn", role.entry(desk.settings), record.dn)


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
                f"nested too deeply: whoever is in {shown(top, settings)} only through {named}{more} is not in it; "
                f"at most {DEEPEST} groups count, one in another"
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
            yield f"{people.shown(person)} is still in project {project}, through {by}"


def _below(place: str, base: str) -> bool:
    try:
        return dn.is_below(place, base)
    except InvalidName:
        return False
