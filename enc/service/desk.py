"""Where every edit is handed in: authorise, refuse what would break a node, record, write, record.

A plan is thought up from entries as the writer sees them, and each of its
steps carries the version (entryCSN) that it was thought up for. If somebody
else changed the entry meanwhile but not the parts that this edit touches, the
step is tried again on the new version; otherwise it is a `Conflict` and nothing
of the step is written.

A plan of several steps is not atomic in LDAP. Its steps stand in an order in
which each leaves the directory sound, the trail says how many were made, and
giving the same command again makes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from enc.classify import entitled
from enc.classify.extended import template_environment
from enc.directory.connection import Credentials
from enc.directory.edits import DirectoryEditor, ValueChange
from enc.directory.ldap_store import LdapSource
from enc.edits import audit, differences
from enc.edits.audit import Edit, Trail
from enc.edits.change import Step, after
from enc.edits.differences import Bounds
from enc.edits.sheet import part_of, slice_of
from enc.edits.wish import Wish
from enc.rights.roles import Action, Person
from enc.service import advice, effect, numbered, people, survey
from enc.service.authorize import claimed, environments_in, first_refusal, needed, project_at, project_of_entry
from enc.service.effect import Effect
from enc.service.numbers import Numbers, Taking
from enc.settings import Settings
from enc.terms import dn
from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import ClassificationError, Conflict, DirectoryUnreachable, NotAllowed, ToolkitError
from enc.terms.filters import folded
from enc.terms.names import Certname, EnvironmentName, PersonName, ProjectName
from enc.terms.puppet_names import environment_fault
from enc.terms.record import Record

_TRIES = 10
"""How often a step is tried while others keep changing other parts of the same entry."""
_MANY = 10
"""Nodes from which on the directory is read once for all of them, instead of some questions for each."""


@dataclass(frozen=True)
class PlannedEdit:
    """An edit before it is made."""

    action: str
    """As in the trail: `node set`."""
    subject: str
    """As in the trail: `node web1.example`."""
    project: ProjectName | None
    steps: tuple[Step, ...]
    node: Certname | None = None
    """Whose classification is to be shown."""
    nodes: tuple[Certname, ...] = ()
    """The same of an edit of many nodes."""
    remarks: tuple[str, ...] = ()
    wish: Wish | None = None
    """What was asked for, if advice on it is wanted."""
    environment: EnvironmentName | None = None
    """Where its classes will be looked for; with `node` the node's own environment counts."""
    takings: tuple[Taking, ...] = ()
    """The numbers that it takes for new accounts and groups; of entries that are not named, numbers count as theirs."""


@dataclass(frozen=True)
class Receipt:
    """What came of a plan."""

    plan: PlannedEdit
    dry_run: bool
    effects: tuple[Effect, ...] = ()
    """On each node that the plan names."""
    id: str | None = None
    """Of the edit in the trail; None: nothing was written."""

    @property
    def effect(self) -> Effect | None:
        """What it does to the one node that it is about; None: there is none, or there are several."""
        return self.effects[0] if len(self.effects) == 1 else None

    def lines(self, bounds: Bounds = differences.SHORT) -> list[str]:
        """Return the plan and its effect for people; the same whether it was carried out or not."""
        found = differences.of_steps((step.lines(bounds) for step in self.plan.steps), bounds)
        return found + effect.lines(self.effects, bounds)

    def remark(self) -> str:
        """Return the one line that says what was done."""
        if not self.plan.steps:
            return f"{self.plan.subject}: already up to date; nothing was changed"
        if self.dry_run:
            return f"{self.plan.subject}: dry run, nothing was written"
        return f"{self.plan.subject}: written; to undo it: enc-admin node undo {self.id} --reason …"

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {
            "action": self.plan.action,
            "subject": self.plan.subject,
            "project": self.plan.project,
            "changed": bool(self.plan.steps),
            "dry_run": self.dry_run,
            "id": self.id,
            "steps": [audit.step_document(step) for step in self.plan.steps],
            "remarks": list(self.plan.remarks),
            "effect": self.effect and self.effect.document(),
            "effects": [{"certname": one.certname, **one.document()} for one in self.effects],
        }


class Desk:
    """Takes edits of one person. `source` reads as the reading account, `editor` reads and writes as the writer."""

    def __init__(
        self, settings: Settings, person: Person, source: LdapSource, editor: DirectoryEditor, trail: Trail
    ) -> None:
        self.settings = settings
        self.person = person
        self.source = source
        self.editor = editor
        self.trail = trail
        self.numbers = Numbers(editor, settings)

    def submit(self, plan: PlannedEdit, *, reason: str, dry_run: bool = False) -> Receipt:
        """Carry out `plan`, or only tell what it would do.

        Raise `NotAllowed`; `ClassificationError` if a node that can be
        classified could not be any more; `Conflict`; and what LDAP refuses.
        A plan without steps is done already and leaves no trace.
        """
        reason = audit.check_reason(reason)
        records = {dn.normalise(step.dn): self.editor.read(step.dn) for step in plan.steps}
        self._authorise(plan.steps, records)
        for step in plan.steps:
            record = records[dn.normalise(step.dn)]
            if record is not None and record.unread and step.do == "modify":
                text = f"{record.unread}; remove the entry here, or remove what is too large with ldapmodify"
                raise ClassificationError(text, where=step.dn)
        if not plan.steps:
            return Receipt(plan, dry_run)
        shown = self._effects(plan, records)
        told = advice.on_plan(plan.wish, plan.environment, shown, self.settings)
        plan = replace(plan, remarks=(*plan.remarks, *told))
        takings = self._takings(plan, records)
        if dry_run:
            return Receipt(plan, True, shown)
        plan = self._take_numbers(plan, takings, records)
        edit = self.trail.begin(
            who=self.person.name,
            why=reason,
            action=plan.action,
            subject=plan.subject,
            project=plan.project,
            steps=plan.steps,
            bind_dn=self.person.dn,
            nodes=plan.nodes,
        )
        self._carry_out(edit)
        self._note_numbers(takings)
        return Receipt(plan, False, shown, edit.id)

    def _takings(self, plan: PlannedEdit, records: dict[str, Record | None]) -> tuple[Taking, ...]:
        """Return all the numbers that `plan` takes; raise `Conflict` for one that the entry cannot have."""
        named = {dn.normalise(taking.owner) for taking in plan.takings}
        more = numbered.given(plan.steps, records, self.settings)
        takings = (*plan.takings, *(taking for taking in more if dn.normalise(taking.owner) not in named))
        for taking in takings:
            if not taking.free:
                self.numbers.check(taking)
        return takings

    def _take_numbers(
        self, plan: PlannedEdit, takings: Sequence[Taking], records: dict[str, Record | None]
    ) -> PlannedEdit:
        """Take the numbers of `plan` and keep those that its entries let go; return it with the very numbers."""
        for (series, number), record in numbered.let_go(plan.steps, records, self.settings):
            if self.numbers.kept(series):
                self.numbers.note_use(series, number, record)
        for taking in takings:
            number = self.numbers.take(taking)
            if number != taking.number:
                plan = replace(plan, steps=numbered.renumbered(plan.steps, taking, number))
        return plan

    def _note_numbers(self, takings: Sequence[Taking]) -> None:
        """Note that the numbers are in use; if that fails, they are found in use, and `project posix` notes it."""
        for taking in takings:
            with suppress(ToolkitError):
                record = self.editor.read(taking.owner)
                number = numbered.number_of(record, self.settings)
                if record is not None and number is not None and self.numbers.kept(number[0]):
                    self.numbers.note_use(*number, record)

    def _effects(self, plan: PlannedEdit, records: dict[str, Record | None]) -> tuple[Effect, ...]:
        """Return what `plan` does to the nodes that it names; refuse it if it would break one of them."""
        names = plan.nodes if plan.node is None else (plan.node,)
        source = self.source if len(names) < _MANY else survey.Snapshot(self.source, self.settings)
        shown = effect.on_nodes(names, source, effect.changed_by(plan.steps, records), self.settings) if names else ()
        for one in shown:
            if one.trouble_after and one.before is not None:
                raise ClassificationError(
                    f"nothing was written, because {one.certname} could no longer be classified: {one.trouble_after}"
                )
            if one.not_entitled and not one.trouble_before:
                raise NotAllowed(f"nothing was written: {one.trouble_after}")
        return shown

    def _authorise(self, steps: Sequence[Step], records: dict[str, Record | None]) -> None:
        now = dict(records)
        for step in steps:
            place = dn.normalise(step.dn)
            later = after(step, now[place])
            refusal = first_refusal(self.person, needed(step, now[place], later, self.settings, self.person.table))
            if refusal:
                raise NotAllowed(refusal, where=step.dn)
            self._check_names(step, now[place], later)
            self._check_project(now[place], later)
            self._check_number(now[place], later)
            self._check_environments(now[place], later)
            now[place] = later

    def _check_names(self, step: Step, before: Record | None, later: Record | None) -> None:
        """Raise `NotAllowed` if the entry would pass for an instance of a project in which the person may make none."""
        for project, name in claimed(step, before, later, self.settings).items():
            refusal = first_refusal(self.person, {(Action.NODE_ADD, project)})
            if refusal and self.editor.read(dn.build("cn", project, self.settings.projects_base)) is not None:
                raise NotAllowed(f"{name} is a name for instances of project {project}: {refusal}", where=step.dn)

    def _check_project(self, before: Record | None, later: Record | None) -> None:
        """Raise `Conflict` if a new project's branches could become an environment that somebody else's can."""
        name = project_at(later, self.settings)
        if name is None or later is None or name == project_at(before, self.settings):
            return
        if fault := self._name_fault(name):
            raise Conflict(fault, where=later.dn)

    def _check_number(self, before: Record | None, later: Record | None) -> None:
        """Raise `Conflict` if an entry that has a number would get another one, or none."""
        if later is not None and (kept := numbered.changed(before, later, self.settings)) is not None:
            words = f"has {kept[0].attribute} {kept[1]} and keeps it: files on machines have that number"
            raise Conflict(words, where=later.dn)

    def _name_fault(self, name: ProjectName) -> str | None:
        rules = Rules(self.settings.branches.rules)
        if not name.is_plain:
            return (
                f"{name} cannot be a project's name: '-' and '_' must be single and between letters or digits, "
                "because two of them mark environments of short-lived branches; choose another name"
            )
        if (environment := rules.takes_of_the_site(name)) is not None:
            return f"a branch of project {name} could become environment {environment}, the site's; choose another name"
        if (environment := rules.takes_of_puppet(name)) is not None:
            return (
                f"the branch of project {name} would become environment {environment}, which Puppet's documentation "
                "forbids for environments; choose another name"
            )
        template = self.settings.projects.environment
        if template is not None and (fault := environment_fault(template_environment(template, name))):
            return f"nodes of project {name} would get that environment (projects.environment): {fault}"
        if (met := entitled.meeting(name, self.source.project_names(), rules)) is not None:
            return (
                f"branches of project {name} and of project {met[0]} could become one environment ({met[1]}), so "
                "nodes of one would run the other's code; choose another name (branches.rules)"
            )
        return None

    def _check_environments(self, before: Record | None, later: Record | None) -> None:
        """Raise `NotAllowed` if an entry of a project newly names an environment that is another project's."""
        if later is None or self.settings.nodes.semantics == "terminus":
            return
        project = project_of_entry(later, self.settings)
        if project is None:
            return  # the site's, a group's, or an entry of no project: operators', and looked at with each node
        old = environments_in(before, self.settings) if project == project_of_entry(before, self.settings) else ()
        rules = Rules(self.settings.branches.rules)
        for environment in environments_in(later, self.settings):
            if environment not in old and (why := entitled.refusal(environment, project, self.source, rules)):
                raise NotAllowed(why, where=later.dn)

    def _carry_out(self, edit: Edit) -> None:
        made = 0
        versions: dict[str, str] = {}
        try:
            for step in edit.steps:
                if (now := self._make(step)) is not None and now.csn:
                    versions[now.dn] = now.csn
                made += 1
        except DirectoryUnreachable as error:
            # Whether the last step was made is not known: that is what an intent without outcome says.
            if len(edit.steps) > 1:
                steps = counted(len(edit.steps), "step")
                error.add(f" (an edit of {steps}; the same command makes the rest{_back(edit)})")
            raise
        except ToolkitError as error:
            with suppress(ToolkitError):  # the trail then says "interrupted", and what is wrong here is `error`
                how_far = f"{made} of {counted(len(edit.steps), 'step')} made"
                self.trail.end(edit, f"failed: {how_far}: {error}", versions, made)
            if made:
                steps = counted(len(edit.steps), "step was", "steps were")
                error.add(f" ({made} of {steps} done; run the same command again for the rest{_back(edit)})")
            raise
        try:
            self.trail.end(edit, audit.DONE, versions)
        except ToolkitError as error:
            raise ToolkitError(
                f"edit {edit.id} was made; only its outcome could not be recorded, and history will work it out "
                f"from the entries: {error.message}",
                where=error.where,
            ) from error

    def _make(self, step: Step) -> Record | None:
        """Carry a step out; return the entry as it is then, if there is one and the server tells it."""
        if step.do == "add":
            return self.editor.add(step.dn, {change.attribute: change.after for change in step.changes})
        if step.do == "delete":
            self.editor.delete(step.dn, step.csn or None)
            return None
        if step.do == "rename":
            name, *above = dn.split(step.changes[0].after[0])
            return self.editor.rename(step.dn, name, new_parent=",".join(above))
        csn, present = step.csn, frozenset[str]()
        for attempt in range(1, _TRIES + 1):
            try:
                return self.editor.modify(step.dn, _value_changes(step, present), csn or None)
            except Conflict:
                record = self.editor.read(step.dn)
                if record is None or attempt == _TRIES or not self._untouched(step, record) or record.csn == csn:
                    raise
                self._authorise([step], {dn.normalise(step.dn): record})
                csn, present = record.csn, frozenset(map(folded, record.all("objectClass")))
        return None

    def _untouched(self, step: Step, record: Record) -> bool:
        """Tell whether the parts that `step` touches are still as they were when it was thought up."""
        for change in step.changes:
            if change.attribute.lower() == "objectclass":
                continue
            parts = {part_of(change.attribute, value, self.settings.nodes) for value in (*change.before, *change.after)}
            now = slice_of(record.all(change.attribute), change.attribute, parts, self.settings.nodes)
            if set(now) != set(change.before):
                return False
        return True


def _back(edit: Edit) -> str:
    return f", and enc-admin node undo {edit.id} undoes what was made"


def _value_changes(step: Step, classes: frozenset[str]) -> list[ValueChange]:
    """Return what is sent for a step; `classes`: object classes that others have added meanwhile."""
    found = []
    for change in step.changes:
        added = change.add
        if change.attribute.lower() == "objectclass":
            added = tuple(value for value in added if folded(value) not in classes)
        if change.remove or added:
            found.append(ValueChange(change.attribute, change.remove, added))
    return found


@contextmanager
def open_desk(settings: Settings, person: PersonName | None = None, password: str = "") -> Iterator[Desk]:
    """Open a desk for the local operator, or for a person who signs in; close its connections at the end."""
    with LdapSource(settings) as source:
        who = people.local(settings) if person is None else people.find(person, source, settings)
        credentials: Credentials | None = None if person is None else (who.dn, password)
        with DirectoryEditor(settings, credentials) as editor:
            if person is not None:
                editor.sign_in()
                user, behind = audit.local_user()
                local = f"{user}, logged in as {behind}" if behind else user
                who = who._replace(name=f"{who.name} ({local})")
            yield Desk(settings, who, source, editor, Trail(settings.audit.file))
