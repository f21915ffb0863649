"""What was edited, and taking it back.

An undo is an edit of its own: it brings the touched parts back to what they
were, and is refused if somebody has changed one of them since. Undoing an undo
is the edit again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from enc import dn
from enc.audit import INTERRUPTED, Edit, Trail
from enc.changes import Step, after, reverse, state
from enc.directory.edits import DirectoryEditor
from enc.directory.ldap_store import LdapSource
from enc.errors import Conflict, NotFound
from enc.names import Certname, ProjectName
from enc.service.desk import Desk, Plan, Receipt
from enc.settings import Settings


@dataclass(frozen=True)
class History:
    """Edits, oldest first, and what of the trail could not be read."""

    edits: tuple[Edit, ...]
    problems: tuple[str, ...]


def of(trail: Trail, *, node: Certname | None = None, project: ProjectName | None = None) -> History:
    """Return the edits of one node, of everything in one project, or all."""
    edits, problems = trail.read()
    if node is not None:
        edits = [edit for edit in edits if edit.subject == f"node {node}"]
    if project is not None:
        edits = [edit for edit in edits if edit.project == project]
    return History(tuple(edits), tuple(problems))


def resolved(edit: Edit, source: LdapSource | DirectoryEditor, settings: Settings) -> Edit:
    """Return `edit`; if it was interrupted, with what its entries say about it now."""
    if edit.outcome != INTERRUPTED:
        return edit
    states = [state(step, source.read(step.dn), settings.nodes) for step in edit.steps]
    if len(set(states)) == 1:
        words: str = states[0] if states[0] != "changed since" else "the entry has been changed since"
    else:
        words = ", ".join(f"{step.dn}: {how}" for step, how in zip(edit.steps, states, strict=True))
    return replace(edit, outcome=f"{INTERRUPTED}: {words}")


def undo(desk: Desk, identity: str, *, reason: str, dry_run: bool = False) -> Receipt:
    """Take an edit back; raise `NotFound` for an unknown id and `Conflict` if its parts were changed since."""
    edit = next((edit for edit in desk.trail.read()[0] if edit.id == identity), None)
    if edit is None:
        raise NotFound(f"no edit {identity} in the audit trail", where=str(desk.settings.audit.file))
    steps: list[Step] = []
    now = {dn.normalise(step.dn): desk.editor.read(step.dn) for step in edit.steps}
    for step in reversed(edit.steps):
        place = dn.normalise(step.dn)
        taken_back = reverse(step, now[place], desk.settings.nodes)
        if taken_back is not None:
            steps.append(taken_back)
            now[place] = after(taken_back, now[place])
    if len({step.dn for step in steps}) != len(steps):
        raise Conflict("this edit changed one entry twice and cannot be undone as a whole", where=identity)
    kind, _, name = edit.subject.partition(" ")
    node = Certname(name) if kind == "node" else None
    plan = Plan(f"undo {identity}", edit.subject, edit.project, tuple(steps), node=node)
    return desk.submit(plan, reason=reason, dry_run=dry_run)
