"""What has to change in LDAP so that it says what a tree of Wikimedia's ENC says; and the change itself.

First everything is planned, from the tree and from one reading of the
projects' entries; then the very same plans are handed in one by one, or shown
by a dry run. So both count the same, and a run that was stopped half-way is
completed by the next: it plans what is still to do.

An import adds to what is there. A *mirroring* import makes it equal, removals
included. Of the projects that it is about, the tree then owns the classes and
the hiera data, of the project and of all its prefixes, whoever put them there;
everything else (variables, parameters, removals, environment, region, role,
description, people, nodes) is not the tree's and stays. It is about the
projects that the tree has, and those that it had: the audit trail knows in
which an import has written. Other projects are nobody's business here.

A tree that was cut short must not empty the directory: a run that would take
away too much is refused whole (`Programme.refusal`). What cannot be read does
not count as gone: an unreadable file, directory or key leaves what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from enc.classify.statements import DATA
from enc.edits import audit
from enc.edits.change import Change, Step, apply
from enc.edits.sheet import part_of
from enc.edits.wanted import to_equal, to_set
from enc.edits.wish import Wish
from enc.importing.outcome import Outcome, Problem
from enc.importing.wikimedia import Project, Scope, Tree
from enc.service import advice, belonging, projects
from enc.service.desk import Desk, PlannedEdit
from enc.settings import NodeSettings
from enc.terms import dn
from enc.terms.counted import counted
from enc.terms.errors import DirectoryUnreachable, InvalidName, ToolkitError
from enc.terms.filters import folded
from enc.terms.names import PersonName, PrefixName, ProjectName
from enc.terms.record import Record

ACTION = "import wikimedia"
"""What the audit trail calls it."""
_FIFTH, _FEW = 5, 10


@dataclass(frozen=True, slots=True)
class Write:
    """One plan, and where in the tree it comes from."""

    where: str
    plan: PlannedEdit


@dataclass(slots=True)
class Programme:
    """All that is to be done, before any of it is."""

    writes: list[Write] = field(default_factory=list)
    unchanged: int = 0
    held: int = 0
    """Classes and keys that the entries in question have now."""
    taken: int = 0
    """Those of them that go."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the plan for people."""
        return [line for write in self.writes for step in write.plan.steps for line in step.lines()]

    def refusal(self, most_removed: int | None) -> str | None:
        """Tell why this takes away too much, or None. `most_removed` is the share that may go, in percent.

        Without it a fifth may go; of a small site ten, or half if that is less.
        """
        allowed = self.held * most_removed // 100 if most_removed is not None else self.held // _FIFTH
        if most_removed is None:
            allowed = max(allowed, min(_FEW, self.held // 2))
        if self.taken <= allowed:
            return None
        percent = -(-100 * self.taken // self.held)
        return (
            f"would remove {self.taken} of {self.held} classes and keys, more than the {allowed} allowed in one "
            f"run: nothing was written. Is the tree complete? If it is, give --most-removed {percent}"
        )


def plan(
    tree: Tree, desk: Desk, *, admins: tuple[PersonName, ...] = (), mirror: bool, gone: Iterable[ProjectName] = ()
) -> Programme:
    """Return what has to be done. Projects that LDAP does not have are made with `admins`, if there are any.

    `gone` are projects that the tree has no more, beside those that the trail tells.
    """
    return _Planner(tree, desk, admins, mirror).all(gone)


class _Planner:
    def __init__(self, tree: Tree, desk: Desk, admins: tuple[PersonName, ...], mirror: bool) -> None:
        self._tree = tree
        self._desk = desk
        self._admins = admins
        self._mirror = mirror
        found = desk.editor.find(desk.settings.projects_base, "(objectClass=*)")
        self._here = {dn.normalise(record.dn): record for record in found}
        self._below: dict[str, list[Record]] = {}
        for record in found:
            if "puppetmasterscope" in map(folded, record.all("objectClass")):
                self._below.setdefault(dn.normalise(dn.parent(record.dn)), []).append(record)
        edits, _ = desk.trail.read()
        ours = [edit for edit in edits if edit.action == ACTION and edit.project is not None]
        self._written_before = {edit.project for edit in ours if edit.project is not None}
        self._interrupted = {edit.project for edit in ours if edit.outcome != audit.DONE and edit.steps[0].do == "add"}
        self._result = Programme(problems=list(tree.problems), notes=list(tree.notes))

    def all(self, gone: Iterable[ProjectName]) -> Programme:
        for project in self._tree.projects.values():
            if project.whole:
                self._guarded(str(project.where), lambda project=project: self._project(project))  # type: ignore[misc]
        if self._mirror:
            for name in sorted({*gone, *self._written_before} - self._tree.projects.keys() - self._tree.unread):
                self._gone(name)
        return self._result

    def _guarded(self, where: str, do: Callable[[], None]) -> None:
        try:
            do()
        except DirectoryUnreachable:
            raise
        except ToolkitError as error:
            self._result.problems.append(Problem(where, str(error)))

    def _project(self, project: Project) -> None:
        place = belonging.place_of(project.name, self._desk)
        if dn.normalise(place) not in self._here:
            self._new(project)
        else:
            if project.name in self._interrupted and not projects.is_whole(project.name, self._desk):
                self._guarded(str(project.where), lambda: self._make(project, Wish()))
            self._scope(project, project.scopes[None])
        for scope in project.scopes.values():
            if scope.prefix is not None:
                self._guarded(str(scope.where), lambda scope=scope: self._scope(project, scope))  # type: ignore[misc]
        if self._mirror:
            kept = {dn.normalise(dn.build("cn", prefix, place)) for prefix in project.scopes if prefix is not None}
            self._clear(project.name, str(project.where), kept)

    def _new(self, project: Project) -> None:
        if not self._admins:
            words = "create it first, or name an admin for new projects with --admin"
            files = len(project.scopes) - 1
            below = f" (nor can its {counted(files, 'prefix', 'prefixes')} be set)" if files else ""
            self._result.problems.append(
                Problem(str(project.where), f"there is no project {project.name}; {words}{below}")
            )
            project.scopes = {None: project.scopes[None]}
            return
        scope = project.scopes[None]
        wish = Wish(classes=tuple(scope.classes or ()), data=scope.data or {})
        self._make(project, wish)
        if not any(each.classes or each.data for each in project.scopes.values()):
            self._result.notes.append(
                Problem(str(project.where), "says nothing that can be set; the project is created")
            )

    def _make(self, project: Project, wish: Wish) -> None:
        """Plan a project, or what is missing of one whose making was stopped half-way."""
        made = projects.plan_of_new(self._desk, project.name, self._admins, (), wish)
        self._result.writes.append(Write(str(project.where), replace(made, action=ACTION)))

    def _scope(self, project: Project, scope: Scope) -> None:
        settings = self._desk.settings.nodes

        wish = Wish(classes=tuple(scope.classes or ()), data=scope.data or {})

        def wanted(entry: Record) -> tuple[Change, ...]:
            if self._mirror:
                return to_equal(entry, scope.classes, scope.data, settings, leave=scope.refused)
            return to_set(entry, wish, settings)

        self._entry(projects.Target(project=project.name, prefix=scope.prefix), str(scope.where), wanted, wish)

    def _clear(self, project: ProjectName, where: str, kept: set[str]) -> None:
        """Let the prefixes of a project that are not in `kept` (names of entries) have no class and no data."""
        for record in self._below.get(dn.normalise(belonging.place_of(project, self._desk)), []):
            if dn.normalise(record.dn) in kept:
                continue
            try:
                prefix = PrefixName(dn.rdn(record.dn)[1])
            except InvalidName:
                continue  # no beginning of a certname, so it means nothing to any node
            self._nothing_left(projects.Target(project=project, prefix=prefix), where)

    def _nothing_left(self, target: projects.Target, where: str) -> None:
        settings = self._desk.settings.nodes
        self._guarded(where, lambda: self._entry(target, where, lambda entry: to_equal(entry, (), {}, settings)))

    def _gone(self, project: ProjectName) -> None:
        place = belonging.place_of(project, self._desk)
        if dn.normalise(place) in self._here:
            self._nothing_left(projects.Target(project=project), place)
            self._clear(project, place, set())

    def _entry(
        self,
        target: projects.Target,
        where: str,
        wanted: Callable[[Record], tuple[Change, ...]],
        wish: Wish | None = None,
    ) -> None:
        """Plan one entry, and count what it has and what it loses; about `wish` there may be something to say."""
        place = projects.shared_place(target, self._desk)
        record = self._here.get(dn.normalise(place))
        steps = projects.scope_steps(target, place, record, wanted)
        if record is not None:
            before = _parts(record, self._desk.settings.nodes)
            after = _after(steps, record, self._desk.settings.nodes)
            self._result.held += len(before)
            self._result.taken += len(before - after)
        if steps:
            plan = PlannedEdit(ACTION, str(target), target.project, steps)
            if wish is not None and target.project is not None:
                above = self._here.get(dn.normalise(belonging.place_of(target.project, self._desk)))
                named = advice.shared_environment(wish, target.project, (record, above), self._desk.settings)
                plan = replace(plan, wish=wish, environment=named)
            self._result.writes.append(Write(where, plan))
        elif record is not None or target.prefix is None:
            self._result.unchanged += 1


def _parts(record: Record, settings: NodeSettings) -> set[tuple[str, str]]:
    attributes = (*settings.class_attributes, DATA)
    return {(name, part_of(name, value, settings)) for name in attributes for value in record.all(name)}


def _after(steps: Iterable[Step], record: Record, settings: NodeSettings) -> set[tuple[str, str]]:
    for step in steps:
        return set() if step.do == "delete" else _parts(apply(record, step.changes), settings)
    return _parts(record, settings)


def carry_out(programme: Programme, desk: Desk, *, reason: str, dry_run: bool) -> Outcome:
    """Hand in what was planned; a dry run only asks whether it may be. What is refused is told, the rest goes on."""
    outcome = Outcome(
        dry_run,
        unchanged=programme.unchanged,
        taken=programme.taken,
        notes=list(programme.notes),
        problems=list(programme.problems),
    )
    for count, write in enumerate(programme.writes):
        try:
            receipt = desk.submit(write.plan, reason=reason, dry_run=dry_run)
        except DirectoryUnreachable as error:
            made = f"{count} of {counted(len(programme.writes), 'write was', 'writes were')} made"
            done = f"{made}; run the same command again for the rest"
            raise DirectoryUnreachable(f"{error.message} ({done})", where=error.where) from error
        except ToolkitError as error:
            outcome.problems.append(Problem(write.where, str(error)))
        else:
            outcome.count(write.plan.steps)
            outcome.lines += [line for step in write.plan.steps for line in step.lines()]
            outcome.lines += [f"note: {remark}" for remark in receipt.plan.remarks]
    return outcome
