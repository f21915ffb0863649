"""Edits of projects and their members, and of what projects, prefixes, the site and groups say.

A project is three entries: the groupOfNames with its members, its admins' role
below it, and the container of its nodes. They are made in this order; `add`
makes what is missing, so that it completes what a crash left half-made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from enc.directory.messages import Scope
from enc.edits.change import Change, Step, apply, deleting, making, modifying
from enc.edits.wanted import to_have, to_hold, to_set
from enc.edits.wish import Wanted, Wish, Withdrawal, wish_in
from enc.rights.roles import role_entries
from enc.service import advice, posix
from enc.service.belonging import people_dns, place_of, project_entry, role_place
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.service.lists import leaving_others
from enc.service.nodes import container_step
from enc.service.survey import nodes_of
from enc.terms import dn
from enc.terms.errors import Conflict, NotFound, UsageError
from enc.terms.names import PersonName, PrefixName, ProjectName
from enc.terms.record import Record

_ANYTHING = "(objectClass=*)"
_SCOPE = {"objectclass": ("puppetmasterScope", "puppetClient", "puppetmasterClassification")}
_BARE = frozenset({"objectclass", "cn"})


@dataclass(frozen=True)
class Target:
    """An entry that several nodes share: a project, a prefix of it, the site's default, or a group."""

    project: ProjectName | None = None
    prefix: PrefixName | None = None
    group: str | None = None

    def __str__(self) -> str:
        if self.prefix is not None:
            return f"prefix {self.prefix} of project {self.project}"
        return f"project {self.project}" if self.project else f"group {self.group}" if self.group else "site"


def add(
    desk: Desk,
    project: ProjectName,
    admins: tuple[PersonName, ...],
    members: tuple[PersonName, ...],
    wish: Wish,
    *,
    gid: int | None = None,
    reason: str,
    dry_run: bool = False,
) -> Receipt:
    """Make a project, or what is missing of it. Admins are members too. `gid`: its number; None: a free one."""
    return desk.submit(plan_of_new(desk, project, admins, members, wish, gid), reason=reason, dry_run=dry_run)


def admin_steps(
    desk: Desk, project: ProjectName, admins: tuple[PersonName, ...], entry: Record
) -> tuple[tuple[Step, ...], posix.Group]:
    """Return the steps that let people be admins of a project that exists, and what is missing of it.

    `entry`: the project's, as it is after the same edit. Besides what the role becomes as a group of machines.
    """
    role, wanted = desk.editor.read(role_place(project, desk)), people_dns(admins, desk)
    group, steps = posix.Group(), list[Step]()
    if role is not None:
        changes = to_hold(role, "roleOccupant", wanted)
        if changes:
            names, remarks = posix.mirrored(apply(role, changes), desk)
            group = posix.Group(names, (), remarks)
            steps.append(modifying(role, changes + names))
    elif wanted:
        made, group = _role_made(project, desk, wanted, entry)
        steps.append(made)
    return (*steps, *container_step(project, desk)), group


def _role_made(
    project: ProjectName, desk: Desk, admins: tuple[str, ...], entry: Record
) -> tuple[Step, posix.Group]:
    name = desk.settings.projects.admin_role
    attributes = {"objectclass": ("organizationalRole",), "cn": (name,), "roleoccupant": admins}
    role = Record(role_place(project, desk), attributes)
    group = posix.group_of_role(role, entry, desk)
    return making(role.dn, apply(role, group.changes).attributes), group


def is_whole(project: ProjectName, desk: Desk) -> bool:
    """Tell whether a project's entry has all that belongs to it: the admins' role, the container of its nodes."""
    return desk.editor.read(role_place(project, desk)) is not None and not container_step(project, desk)


def plan_of_new(
    desk: Desk,
    project: ProjectName,
    admins: tuple[PersonName, ...],
    members: tuple[PersonName, ...],
    wish: Wish,
    gid: int | None = None,
) -> PlannedEdit:
    """Return the plan that makes a project, or what is missing of it; raise `Conflict` if there is a different one."""
    if not admins:
        raise UsageError("a project needs at least one admin")
    if project in role_entries(desk.settings, desk.person.table):
        raise UsageError(f"{project} is the name of a role's entry and cannot be a project's")
    admin_dns = people_dns(admins, desk)
    member_dns = tuple(dict.fromkeys((*admin_dns, *people_dns(members, desk))))
    record = desk.editor.read(place_of(project, desk))
    role = desk.editor.read(role_place(project, desk))
    container = container_step(project, desk)
    if record is not None and role is not None and not container:
        differs = (
            to_set(record, wish, desk.settings.nodes)
            or to_hold(record, "member", member_dns)
            or to_hold(role, "roleOccupant", admin_dns)
            or (gid is not None and record.first("gidNumber") != str(gid))
        )
        if differs:
            raise Conflict(
                f"project {project} already exists and differs; use `enc-admin project set`, `project member add` "
                "and `project posix`"
            )
    steps: list[Step] = []
    group = posix.Group()
    if record is None:
        ours = () if desk.settings.nodes.semantics == "terminus" else ("puppetmasterClassification",)
        classes = ("groupOfNames", "puppetClient", *ours)
        new = Record(place_of(project, desk), {"objectclass": classes, "cn": (project,), "member": member_dns})
        new = apply(new, to_set(new, wish, desk.settings.nodes))
        group = posix.group_of_new(new, desk, gid)
        entry = apply(new, group.changes)
        steps.append(making(entry.dn, entry.attributes))
    else:
        if gid is not None and record.first("gidNumber") not in (None, str(gid)):
            raise Conflict(f"project {project} has gidNumber {record.first('gidNumber')} and keeps it")
        changes = to_set(record, wish, desk.settings.nodes) + to_hold(record, "member", member_dns)
        changes += posix.mirrored(apply(record, changes), desk)[0]
        steps += [modifying(record, changes)] if changes else []
        entry = apply(record, changes)
    roles = posix.Group()
    if role is None:
        made, roles = _role_made(project, desk, admin_dns, entry)
        steps.append(made)
    environment = advice.shared_environment(wish, project, (record,), desk.settings)
    return PlannedEdit(
        "project add",
        f"project {project}",
        project,
        (*steps, *container),
        wish=wish,
        environment=environment,
        takings=(*group.takings, *roles.takings),
        remarks=(*group.remarks, *roles.remarks),
    )


def delete(desk: Desk, project: ProjectName, *, reason: str, dry_run: bool = False) -> Receipt:
    """Delete a project without nodes: its prefixes and roles, its container, and last its own entry.

    Where it or a role of it is listed in other groups, it is taken out of them first: whoever makes a project of that
    name later would get what this one had.
    """
    record = project_entry(project, desk)
    container = dn.build("ou", project, desk.settings.nodes_base)
    nodes = desk.editor.find(container, _ANYTHING, Scope.ONE_LEVEL)
    if desk.settings.nodes.project != "container":
        nodes += [found for found in nodes_of(project, desk.source, desk.settings) if found not in nodes]
    if nodes:
        names = ", ".join(sorted({dn.rdn(node.dn)[1] for node in nodes})[:20])
        more = f" and {len(nodes) - 20} more" if len(nodes) > 20 else ""
        raise Conflict(f"project {project} still has nodes ({len(nodes)}); remove them first: {names}{more}")
    below = desk.editor.find(record.dn, _ANYTHING)
    # Deepest first, and the admins' role last of those: whoever was stopped half-way can still go on.
    role = dn.normalise(role_place(project, desk))
    below = [entry for entry in below if dn.normalise(entry.dn) != dn.normalise(record.dn)]
    below.sort(key=lambda entry: (-len(dn.split(entry.dn)), dn.normalise(entry.dn) == role, entry.dn))
    box = desk.editor.read(container)
    leaving, remarks = leaving_others([record.dn, *(entry.dn for entry in below)], desk)
    steps = [*leaving, *([deleting(box)] if box else []), *map(deleting, below), deleting(record)]
    plan = PlannedEdit("project delete", f"project {project}", project, tuple(steps), remarks=remarks)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def change(desk: Desk, target: Target, wanted: Wanted, *, reason: str, dry_run: bool = False) -> Receipt:
    """Let what is wanted hold for an entry that several nodes share.

    The entry of a prefix or of the site is made when something is to stand on
    it; that of a prefix goes when nothing stands on it any more.
    """
    settings = desk.settings.nodes
    if settings.semantics == "terminus":
        raise UsageError("nodes.semantics is terminus: only nodes and their parents count")
    wish = wish_in(wanted)
    if wish is not None and (refused := [kind.part for kind, _ in wish if kind.nodes_only]):
        raise UsageError(f"only a node can have a {refused[0]}")
    own = target.project is not None and target.prefix is None
    if wish is not None and not own and (refused := [kind.part for kind, _ in wish if kind.projects_only]):
        raise UsageError(f"only a project can have a {refused[0]}")
    place, record = _shared_entry(target, desk)
    steps = scope_steps(target, place, record, lambda entry: to_have(entry, wanted, settings))
    words = f"{'project' if target.project else 'group' if target.group else 'site'}"
    action = f"{words} {'unset' if isinstance(wanted, Withdrawal) else 'set'}"
    plan = PlannedEdit(action, str(target), target.project, steps)
    if wish is not None:
        above = project_entry(target.project, desk) if target.project and target.prefix else None
        environment = advice.shared_environment(wish, target.project, (record, above), desk.settings)
        plan = replace(plan, wish=wish, environment=environment)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def scope_steps(
    target: Target, place: str, record: Record | None, changes_of: Callable[[Record], tuple[Change, ...]]
) -> tuple[Step, ...]:
    """Return the steps that bring the entry at `place` (None: there is none) into the state that `changes_of` wants."""
    base = record or Record(place, {**_SCOPE, "cn": (dn.rdn(place)[1],)})
    changes = changes_of(base)
    if not changes:
        return ()
    after = apply(base, changes)
    if record is None:
        return (making(place, after.attributes),)
    empty = target.prefix is not None and not after.attributes.keys() - _BARE
    return (deleting(record) if empty else modifying(record, changes),)


def shared_place(target: Target, desk: Desk) -> str:
    """Return the DN of a target's entry; raise `UsageError` for a prefix of a name that something else has."""
    if target.project is not None:
        place = place_of(target.project, desk)
        if target.prefix is None:
            return place
        if target.prefix in role_entries(desk.settings, desk.person.table):
            raise UsageError(f"{target.prefix} is the name of a role's entry and cannot be a prefix")
        return dn.build("cn", target.prefix, place)
    if target.group is not None:
        return dn.build("cn", target.group, desk.settings.groups_base)
    return desk.settings.site_dn


def _shared_entry(target: Target, desk: Desk) -> tuple[str, Record | None]:
    place = shared_place(target, desk)
    if target.group is not None:
        found = desk.editor.find(place, desk.settings.groups.filter, Scope.BASE)
        if not found:
            raise NotFound(f"no group {target.group} below {desk.settings.groups_base}")
        return place, found[0]
    if target.project is not None:
        record = project_entry(target.project, desk)
        if target.prefix is None:
            return record.dn, record
    return place, desk.editor.read(place)
