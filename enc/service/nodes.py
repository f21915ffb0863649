"""Edits of nodes: make an entry, set and unset what it says, remove it.

A node is edited under its own name only; the short name and `default` of the
terminus are nodes of their own. Where new entries go: cn=CERTNAME below the
project's container ou=PROJECT, which is made when it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from enc.classify.statements import ENROLMENT
from enc.directory.edits import DirectoryEditor
from enc.edits.change import Change, Step, apply, deleting, making, modifying
from enc.edits.wanted import to_have, to_hold, to_set
from enc.edits.wish import Wanted, Wish, Withdrawal, wish_in
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.service.survey import project_if_told
from enc.settings import Settings
from enc.terms import dn
from enc.terms.counted import counted
from enc.terms.errors import ClassificationError, Conflict, NotFound, UsageError
from enc.terms.filters import NodeFilter, escape, folded
from enc.terms.names import Certname, ProjectName
from enc.terms.record import Record


def entry_of(certname: Certname, editor: DirectoryEditor, settings: Settings) -> Record:
    """Return the node's own entry; raise `NotFound`, or `ClassificationError` if there are several."""
    found = editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
    if not found:
        raise NotFound(f"no node {certname} in LDAP (below {settings.nodes_base}); create it with `enc-admin node add`")
    if len(found) > 1:
        places = "; ".join(record.dn for record in found)
        raise ClassificationError(f"{len(found)} entries have the name {certname}; remove all but one: {places}")
    return found[0]


def change(
    desk: Desk,
    certname: Certname,
    wanted: Wanted,
    *,
    reason: str,
    dry_run: bool = False,
    action: str = "",
) -> Receipt:
    """Let what is wanted hold for the node's entry; `action` is its name in the trail, if it has one of its own."""
    record = entry_of(certname, desk.editor, desk.settings)
    changes = to_have(record, wanted, desk.settings.nodes)
    plan = PlannedEdit(
        action or ("node unset" if isinstance(wanted, Withdrawal) else "node set"),
        f"node {certname}",
        project_if_told(record, desk.settings),
        (modifying(record, changes),) if changes else (),
        node=certname,
        wish=wish_in(wanted),
    )
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def change_all(desk: Desk, certnames: Sequence[Certname], wanted: Wanted, *, action: str = "") -> PlannedEdit:
    """Return the plan that lets what is wanted hold for all these nodes, in one edit; nothing is written.

    A step for each node that is not so already, in their order. Raise what `change` raises for one of them.
    """
    steps: dict[str, Step] = {}
    named: list[Certname] = []
    projects: set[ProjectName | None] = set()
    for certname in certnames:
        record = entry_of(certname, desk.editor, desk.settings)
        changes = to_have(record, wanted, desk.settings.nodes)
        if not changes or record.dn in steps:
            continue
        steps[record.dn] = modifying(record, changes)
        named.append(certname)
        projects.add(project_if_told(record, desk.settings))
    project = projects.pop() if len(projects) == 1 else None
    return PlannedEdit(
        action or ("node unset" if isinstance(wanted, Withdrawal) else "node set"),
        _subject(named, project) if named else _subject(certnames, None),
        project,
        tuple(steps.values()),
        nodes=tuple(named),
        wish=wish_in(wanted),
    )


def _subject(certnames: Sequence[Certname], project: ProjectName | None) -> str:
    if len(certnames) == 1:
        return f"node {certnames[0]}"
    return counted(len(certnames), "node") + (f" of project {project}" if project is not None else "")


def add(
    desk: Desk, certname: Certname, project: ProjectName, wish: Wish, *, reason: str, dry_run: bool = False
) -> Receipt:
    """Make the node's entry in a project that exists; a second time with the same wish does nothing."""
    settings, editor = desk.settings, desk.editor
    if editor.read(dn.build("cn", project, settings.projects_base)) is None:
        raise NotFound(f"no project {project} below {settings.projects_base}; create it with `enc-admin project add`")
    container = dn.build("ou", project, settings.nodes_base)
    place = dn.build("cn", certname, container)
    steps = _container(container, project, editor)
    present = editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
    if not present:
        steps += (new_entry(place, certname, project, wish, settings),)
    elif len(present) > 1 or dn.normalise(present[0].dn) != dn.normalise(place):
        raise Conflict(f"node {certname} already exists: {'; '.join(record.dn for record in present)}")
    elif to_set(present[0], wish, settings.nodes):
        raise Conflict(f"node {certname} already exists and differs; use `enc-admin node set`")
    plan = PlannedEdit("node add", f"node {certname}", project, steps, node=certname, wish=wish)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def _container(place: str, project: ProjectName, editor: DirectoryEditor) -> tuple[Step, ...]:
    if editor.read(place) is not None:
        return ()
    return (making(place, {"objectClass": ("organizationalUnit",), "ou": (project,)}),)


def container_step(project: ProjectName, desk: Desk) -> tuple[Step, ...]:
    """Return the step that makes a project's container for nodes, none if it is there."""
    return _container(dn.build("ou", project, desk.settings.nodes_base), project, desk.editor)


def new_entry(place: str, certname: Certname, project: ProjectName, wish: Wish, settings: Settings) -> Step:
    """Return the step that makes a node's entry at `place`; raise `UsageError` if `nodes.filter` would not find it."""
    # With semantics terminus, the directory may not have our schema.
    ours = () if settings.nodes.semantics == "terminus" else ("puppetmasterClassification",)
    classes = ("device", "puppetClient", *ours)
    record = Record(place, {"objectclass": classes, "cn": (certname,)})
    how, _, name = settings.nodes.project.partition(" ")
    if how == "attribute":
        record = apply(record, to_hold(record, name, (project,)))
    elif how == "variable":
        record = apply(record, [Change(settings.nodes.variable_attributes[0], (), (f"{name}={project}",))])
    node_filter = NodeFilter(settings.nodes.filter)
    if folded(certname) not in node_filter.names(record):
        named = [Change("associatedDomain", (), (certname,)), Change("objectClass", (), ("domainRelatedObject",))]
        record = apply(record, named)
    if folded(certname) not in node_filter.names(record):
        raise UsageError(
            f"the filter {settings.nodes.filter} does not find an entry with cn (and associatedDomain) {certname}; "
            "add the entry with LDAP tools",
            where="nodes.filter",
        )
    record = apply(record, to_set(record, wish, settings.nodes))
    return making(place, _in_good_case(record))


def _in_good_case(record: Record) -> dict[str, tuple[str, ...]]:
    """Return the attributes with the object classes first, as people expect an entry."""
    return {"objectClass": record.all("objectClass")} | {
        name: held for name, held in record.attributes.items() if name != "objectclass"
    }


def _shown(records: Sequence[Record]) -> str:
    return ", ".join(record.dn for record in records[:10]) + (
        f" and {len(records) - 10} more" if len(records) > 10 else ""
    )


def remove(desk: Desk, certname: Certname, *, reason: str, dry_run: bool = False) -> Receipt:
    """Delete the node's entry. Its answer goes with it; `undo` brings it back.

    `Conflict` for an instance, and if nodes of the same project inherit from it.
    """
    record = entry_of(certname, desk.editor, desk.settings)
    if record.first(ENROLMENT) is not None:
        raise Conflict(f"{certname} is an instance and may have a certificate; use `enc-admin instance delete`")
    return desk.submit(removal(desk, certname, record, "node remove"), reason=reason, dry_run=dry_run)


def removal(desk: Desk, certname: Certname, record: Record, action: str) -> PlannedEdit:
    """Return the plan that deletes a node's entry.

    `Conflict` if nodes of the same project inherit from it. Other projects' nodes are told and do not stop it:
    nobody may keep somebody else's node alive.
    """
    settings = desk.settings
    project = project_if_told(record, settings)
    heirs = desk.editor.find(settings.nodes_base, f"({settings.nodes.parent_attribute}={escape(certname)})")
    heirs = [heir for heir in heirs if heir.dn != record.dn]
    if ours := [heir for heir in heirs if project_if_told(heir, settings) == project]:
        raise Conflict(f"{_shown(ours)} inherits from {certname}; remove its parent first (node unset --parent)")
    remarks = (f"can no longer be classified, because {certname} is the parent: {_shown(heirs)}",) if heirs else ()
    return PlannedEdit(action, f"node {certname}", project, (deleting(record),), node=certname, remarks=remarks)
