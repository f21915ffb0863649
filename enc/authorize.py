"""Who may do what: one table, and one function that every face of the toolkit asks. Pure.

What an edit needs is told from what it touches (`needed`), not from what its
caller says it is; so an undo, an import and a form need no rules of their own.
Whatever is in no row of the table is for operators. slapd's access rules
(directory/access.py) stand behind this and say the same for the embedded
directory; a refusal here is only the friendlier one.

Not here: who somebody is (people.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from enc import dn
from enc.changes import Step
from enc.classify.gather import project_of
from enc.classify.model import Record
from enc.config import Settings
from enc.errors import ClassificationError, InvalidName
from enc.filters import folded
from enc.names import ProjectName


class Role(Enum):
    """What somebody is towards one project."""

    OPERATOR = "operator"
    PROJECTADMIN = "projectadmin"
    MEMBER = "member"
    OTHER = "other"


class Action(Enum):
    """What can be done, in the words of a refusal."""

    READ = "read"
    NODE_ADD = "add a node to"
    NODE_EDIT = "edit the nodes of"
    NODE_REMOVE = "remove nodes of"
    NODE_MOVE = "move a node into or out of"
    PREFIX_EDIT = "edit the prefixes of"
    PROJECT_EDIT = "edit the classification of"
    PROJECT_MEMBERS = "change who is in"
    PROJECT_ADD = "add"
    PROJECT_DELETE = "delete"
    SITE_EDIT = "edit the site's default"
    GROUP_EDIT = "edit groups"
    OTHER_EDIT = "edit entries that belong to no project"


_OPERATORS = frozenset({Role.OPERATOR})
_ADMINS = frozenset({Role.OPERATOR, Role.PROJECTADMIN})

TABLE: dict[Action, frozenset[Role]] = {
    Action.READ: frozenset(Role),
    Action.NODE_ADD: _ADMINS,
    Action.NODE_EDIT: _ADMINS,
    Action.NODE_REMOVE: _ADMINS,
    Action.NODE_MOVE: _OPERATORS,
    Action.PREFIX_EDIT: _ADMINS,
    Action.PROJECT_EDIT: _ADMINS,
    Action.PROJECT_MEMBERS: _ADMINS,
    Action.PROJECT_ADD: _OPERATORS,
    Action.PROJECT_DELETE: _OPERATORS,
    Action.SITE_EDIT: _OPERATORS,
    Action.GROUP_EDIT: _OPERATORS,
    Action.OTHER_EDIT: _OPERATORS,
}
"""Every action, and the roles that may do it (docs/editing.md shows the same table)."""


@dataclass(frozen=True)
class Person:
    """Somebody who wants something, and what they are."""

    name: str
    """As it is shown and recorded."""
    dn: str = ""
    """Their entry; empty for the local operator."""
    operator: bool = False
    admin_of: frozenset[ProjectName] = frozenset()
    member_of: frozenset[ProjectName] = frozenset()

    def role(self, project: ProjectName | None) -> Role:
        """Return the person's highest role towards `project`; None: towards what belongs to no project."""
        if self.operator:
            return Role.OPERATOR
        if project in self.admin_of:
            return Role.PROJECTADMIN
        return Role.MEMBER if project in self.member_of else Role.OTHER


@dataclass(frozen=True)
class Verdict:
    """Whether somebody may, and the sentence that says why not."""

    allowed: bool
    reason: str = ""


def allowed(person: Person, action: Action, project: ProjectName | None) -> Verdict:
    """Say whether `person` may do `action` to `project`."""
    role = person.role(project)
    if role in TABLE[action]:
        return Verdict(True)
    what = action.value
    if action not in (Action.SITE_EDIT, Action.GROUP_EDIT, Action.OTHER_EDIT):
        what += f" project {project}" if project else " something that belongs to no project"
    needs = " or ".join(role.value for role in Role if role in TABLE[action])
    return Verdict(False, f"{person.name} is {role.value} here and may not {what}; that takes {needs}")


Need = tuple[Action, ProjectName | None]


def needed(step: Step, before: Record | None, after: Record | None, settings: Settings) -> frozenset[Need]:
    """Return what somebody must be allowed to do, to carry out `step` on the entry `before` so that it is `after`."""
    try:
        place = dn.normalise(step.dn)
        if place == dn.normalise(settings.site_dn):
            return frozenset({(Action.SITE_EDIT, None)})
        if dn.is_below(place, settings.groups_base):
            return frozenset({(Action.GROUP_EDIT, None)})
        if dn.is_below(place, settings.nodes_base):
            return _node(step, before, after, settings)
        if dn.is_below(place, settings.projects_base):
            return _project(step, before or after, settings)
    except (InvalidName, ClassificationError):
        pass  # whose it is cannot be told, so it is nobody's but the operators'
    return frozenset({(Action.OTHER_EDIT, None)})


def _node(step: Step, before: Record | None, after: Record | None, settings: Settings) -> frozenset[Need]:
    records = [record for record in (before, after) if record is not None]
    if not all("puppetclient" in map(folded, record.all("objectClass")) for record in records):
        return frozenset({(Action.OTHER_EDIT, None)})
    projects = {project_of(record, settings) for record in records}
    action = {"add": Action.NODE_ADD, "delete": Action.NODE_REMOVE, "modify": Action.NODE_EDIT}[step.do]
    needs: set[Need] = {(action, project) for project in projects}
    if len(projects) > 1 or any(c.attribute.lower() == "puppetmasterproject" for c in step.changes):
        needs |= {(Action.NODE_MOVE, project) for project in projects}
    return frozenset(needs)


def _project(step: Step, record: Record | None, settings: Settings) -> frozenset[Need]:
    child = dn.child_towards(step.dn, settings.projects_base)
    assert child is not None
    project = ProjectName(child[1])
    place = dn.normalise(step.dn)
    if dn.parent(place) == dn.normalise(settings.projects_base):
        whole: dict[str, Action] = {"add": Action.PROJECT_ADD, "delete": Action.PROJECT_DELETE}
        if step.do in whole:
            return frozenset({(whole[step.do], project)})
        touched = {c.attribute.lower() for c in step.changes}
        needs: set[Need] = {(Action.PROJECT_MEMBERS, project)} if "member" in touched else set()
        if touched - {"member"}:
            needs.add((Action.PROJECT_EDIT, project))
        return frozenset(needs)
    kinds = set(map(folded, record.all("objectClass"))) if record else set()
    if "puppetmasterscope" in kinds:
        return frozenset({(Action.PREFIX_EDIT, project)})
    if dn.rdn(place) == ("cn", settings.projects.admin_role.lower()):
        change = {"add": Action.PROJECT_ADD, "delete": Action.PROJECT_DELETE, "modify": Action.PROJECT_MEMBERS}
        return frozenset({(change[step.do], project)})
    return frozenset({(Action.OTHER_EDIT, None)})


def first_refusal(person: Person, needs: Iterable[Need]) -> str | None:
    """Return why `person` may not do all of `needs`; None: may."""
    ordered = sorted(needs, key=lambda need: (need[0].name, need[1] or ""))
    verdicts = (allowed(person, action, project) for action, project in ordered)
    return next((verdict.reason for verdict in verdicts if not verdict.allowed), None)
