"""The change in LDAP by which an instance belongs to another project or region.

Owns no effect: the plan is handed in at the desk, which knows who may.
"""

from __future__ import annotations

from enc.edits.change import Change, Step, modifying, renaming
from enc.edits.wanted import to_set
from enc.edits.wish import Wish
from enc.instances.journal import Operation
from enc.service import nodes
from enc.service.desk import Desk, PlannedEdit
from enc.terms import dn
from enc.terms.record import Record


def plan(operation: Operation, record: Record, desk: Desk) -> PlannedEdit:
    """Return what is left of the move: no steps, if the entry is there already."""
    settings, project = desk.settings, operation.project
    changes: tuple[Change, ...] = ()
    if operation.region is not None:
        changes += to_set(record, Wish(region=operation.region), settings.nodes)
    how, _, name = settings.nodes.project.partition(" ")
    if how == "attribute" and record.all(name) != (project,):
        changes += (Change(name, record.all(name), (project,)),)
    elif how == "variable":
        attribute = settings.nodes.variable_attributes[0]
        old = tuple(value for value in record.all(attribute) if value.partition("=")[0] == name)
        new = (f"{name}={project}",)
        changes += (Change(attribute, old, new),) if old != new else ()
    steps: list[Step] = [modifying(record, changes)] if changes else []
    container = dn.build("ou", project, settings.nodes_base)
    old_container = dn.parent(record.dn)
    in_container = dn.normalise(dn.parent(old_container)) == dn.normalise(settings.nodes_base)
    if in_container and dn.normalise(old_container) != dn.normalise(container):
        steps += nodes.container_step(project, desk)
        steps.append(renaming(record, f"{dn.split(record.dn)[0]},{container}"))
    return PlannedEdit("instance move", f"node {operation.certname}", project, tuple(steps))
