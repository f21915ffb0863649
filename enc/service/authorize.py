"""Who may edit what in the directory: what an edit needs is told from what it touches. Pure.

It is not told from what its caller says it is; so an undo, an import and a
form need no rules of their own. Which role may do what stands in the one table
of roles.py. Whatever is in no row of the table is for operators. slapd's
access rules (directory/access.py) stand behind this and say the same for the
embedded directory; a refusal here is only the friendlier one.

Not here: who somebody is (people.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from enc.classify.gather import project_of
from enc.classify.statements import TRIAL
from enc.classify.trial import Trial
from enc.directory.ldap_store import name_of
from enc.edits.change import Step
from enc.rights.reserved import is_reserved, projects_named_in
from enc.rights.roles import ROLES, Action, Person, Role, allowed, role_entries
from enc.settings import Settings
from enc.terms import dn
from enc.terms.environments import Rules
from enc.terms.errors import ClassificationError, InvalidName
from enc.terms.filters import NodeFilter, folded
from enc.terms.names import EnvironmentName, ProjectName
from enc.terms.record import Record

Need = tuple[Action, ProjectName | None]

_PEOPLE = frozenset({"member", "roleoccupant", "memberuid"})
"""The attributes that say who is in a project, or holds a role in it."""


def needed(
    step: Step,
    before: Record | None,
    after: Record | None,
    settings: Settings,
    table: tuple[Role, ...] = ROLES,
) -> frozenset[Need]:
    """Return what somebody must be allowed to do, to carry out `step` on the entry `before` so that it is `after`.

    `table`: the roles that there are; entries that say who holds one are no prefixes.
    """
    try:
        place = dn.normalise(step.dn)
        if place == dn.normalise(settings.site_dn):
            return frozenset({(Action.SITE_EDIT, None)})
        if dn.is_below(place, settings.groups_base):
            return frozenset({(Action.GROUP_EDIT, None)})
        if all(dn.is_below(found, settings.nodes_base) for found in (place, *([after.dn] if after else []))):
            return _node(step, before, after, settings)
        if dn.is_below(place, settings.projects_base):
            return _project(step, before or after, settings, table)
    except (InvalidName, ClassificationError):
        pass  # whose it is cannot be told, so it is nobody's but the operators'
    return frozenset({(Action.OTHER_EDIT, None)})


def _node(step: Step, before: Record | None, after: Record | None, settings: Settings) -> frozenset[Need]:
    records = [record for record in (before, after) if record is not None]
    if not all("puppetclient" in map(folded, record.all("objectClass")) for record in records):
        return frozenset({(Action.OTHER_EDIT, None)})
    projects = {project_of(record, settings) for record in records}
    if any(is_reserved(name, settings) for name in new_names(before, after, settings)):
        return frozenset({(Action.OTHER_EDIT, None)})
    if step.do == "modify" and all(_is_trial(step, project, settings) for project in projects):
        return frozenset((Action.NODE_TRY, project) for project in projects)
    action = {"add": Action.NODE_ADD, "delete": Action.NODE_REMOVE, "modify": Action.NODE_EDIT}.get(
        step.do, Action.NODE_MOVE
    )
    needs: set[Need] = {(action, project) for project in projects}
    if len(projects) > 1 or any(c.attribute.lower() == "puppetmasterproject" for c in step.changes):
        needs |= {(Action.NODE_MOVE, project) for project in projects}
    return frozenset(needs)


def new_names(before: Record | None, after: Record | None, settings: Settings) -> frozenset[str]:
    """Return the names to which the entry would answer and did not, or not for this project."""
    if after is None:
        return frozenset()
    names = frozenset(NodeFilter(settings.nodes.filter).names(after))
    if before is None or project_of(before, settings) != project_of(after, settings):
        return names
    return names.difference(NodeFilter(settings.nodes.filter).names(before))


def claimed(step: Step, before: Record | None, after: Record | None, settings: Settings) -> dict[ProjectName, str]:
    """Return the other projects whose instances the entry's new names look like, if there are such projects."""
    if after is None or not all(dn.is_below(place, settings.nodes_base) for place in (step.dn, after.dn)):
        return {}
    try:
        own, names = project_of(after, settings), new_names(before, after, settings)
    except (ClassificationError, InvalidName):
        return {}  # nobody's but the operators'
    named = {project: name for name in sorted(names) for project in projects_named_in(name, settings)}
    return {project: name for project, name in named.items() if project != own}


def project_at(record: Record | None, settings: Settings) -> ProjectName | None:
    """Return the project whose own entry this is, None if it is none's."""
    if record is None:
        return None
    try:
        if dn.normalise(dn.parent(record.dn)) != dn.normalise(settings.projects_base):
            return None
    except InvalidName:
        return None
    return name_of(record)


def project_of_entry(record: Record | None, settings: Settings) -> ProjectName | None:
    """Return the project to which a node's, a prefix's or a project's own entry belongs; None if it cannot be told."""
    if record is None:
        return None
    try:
        if dn.is_below(record.dn, settings.nodes_base):
            return project_of(record, settings)
        child = dn.child_towards(record.dn, settings.projects_base)
        return None if child is None else ProjectName(child[1].lower())
    except (ClassificationError, InvalidName):
        return None


def environments_in(record: Record | None, settings: Settings) -> tuple[EnvironmentName, ...]:
    """Return the environments that an entry names, a trial's too; what cannot be read says nothing."""
    if record is None:
        return ()
    names = list(record.all(settings.nodes.environment_attribute))
    for text in record.all(TRIAL):
        with suppress(ValueError):
            names.append(Trial.read(text).environment)
    return tuple(EnvironmentName(name) for name in names if EnvironmentName.accepts(name))


def _is_trial(step: Step, project: ProjectName | None, settings: Settings) -> bool:
    """Tell whether all that `step` does is to try a branch of `project`, or to end a trial."""
    for change in step.changes:
        name = change.attribute.lower()
        if name == "objectclass":
            if change.remove or set(map(folded, change.add)) - {"puppetmasterclassification"}:
                return False
        elif name != TRIAL.lower() or project is None or not _of_project(change.add, project, settings):
            return False
    return any(change.attribute.lower() == TRIAL.lower() for change in step.changes)


def _of_project(values: Iterable[str], project: ProjectName, settings: Settings) -> bool:
    rules = Rules(settings.branches.rules)
    try:
        return all(rules.fits(Trial.read(value).environment, project) for value in values)
    except ValueError:
        return False


def _project(step: Step, record: Record | None, settings: Settings, table: tuple[Role, ...]) -> frozenset[Need]:
    child = dn.child_towards(step.dn, settings.projects_base)
    assert child is not None
    project = ProjectName(child[1])
    place = dn.normalise(step.dn)
    if dn.parent(place) == dn.normalise(settings.projects_base):
        whole: dict[str, Action] = {"add": Action.PROJECT_ADD, "delete": Action.PROJECT_DELETE}
        if step.do in whole:
            return frozenset({(whole[step.do], project)})
        touched = {c.attribute.lower() for c in step.changes}
        # memberUid is a copy of who is in.
        needs: set[Need] = {(Action.PROJECT_MEMBERS, project)} if touched & _PEOPLE else set()
        if touched - _PEOPLE:
            needs.add((Action.PROJECT_EDIT, project))
        return frozenset(needs)
    kinds = set(map(folded, record.all("objectClass"))) if record else set()
    if "puppetmasterscope" in kinds:
        return frozenset({(Action.PREFIX_EDIT, project)})
    attribute, name = dn.rdn(place)
    if attribute == "cn" and name in role_entries(settings, table):
        if step.do == "modify" and {c.attribute.lower() for c in step.changes} - _PEOPLE:
            return frozenset({(Action.OTHER_EDIT, None)})  # its number, for one
        change = {"add": Action.PROJECT_ADD, "delete": Action.PROJECT_DELETE, "modify": Action.PROJECT_MEMBERS}
        return frozenset({(change[step.do], project)})
    return frozenset({(Action.OTHER_EDIT, None)})


def first_refusal(person: Person, needs: Iterable[Need]) -> str | None:
    """Return why `person` may not do all of `needs`; None: may."""
    ordered = sorted(needs, key=lambda need: (need[0].name, need[1] or ""))
    verdicts = (allowed(person, action, project) for action, project in ordered)
    return next((verdict.reason for verdict in verdicts if not verdict.allowed), None)
