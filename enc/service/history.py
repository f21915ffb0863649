"""What was edited, and taking it back.

An undo is an edit of its own: it brings the touched parts back to what they
were, and is refused if somebody has changed one of them since; the later edit
is then named, if it stands in the trail. Undoing an undo is the edit again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from enc.directory.edits import DirectoryEditor
from enc.directory.ldap_store import LdapSource
from enc.edits.audit import INTERRUPTED, Edit, Trail
from enc.edits.change import Step, after
from enc.edits.differences import excerpt
from enc.edits.reversal import ChangedSince, reverse, state, touched
from enc.programs.times import iso
from enc.service.desk import Desk, PlannedEdit, Receipt
from enc.settings import Duration, NodeSettings, Settings
from enc.terms import dn
from enc.terms.errors import Conflict, NotFound, ToolkitError, UsageError
from enc.terms.names import Certname, ProjectName

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LONGEST_WHY = 120
"""Characters of a later edit's reason that are shown."""


@dataclass(frozen=True)
class History:
    """Edits, oldest first, and what of the trail could not be read."""

    edits: tuple[Edit, ...]
    problems: tuple[str, ...]


def of(
    trail: Trail,
    *,
    seen: Callable[[Sequence[Edit]], Sequence[Edit]] = lambda _: (),
    node: Certname | None = None,
    project: ProjectName | None = None,
    since: float | None = None,
    last: int | None = None,
) -> History:
    """Return the edits of one node, of everything in one project, or all; none before `since`, and of these the `last`.

    `since` are seconds since 1970. An edit whose time cannot be read is shown. `seen` is given all edits of the trail
    and returns those that others made past it (strangers.py).
    """
    edits, problems = trail.read()
    try:
        for other in seen(edits):
            # The trail keeps its order, whatever the clock did.
            later = (at for at, edit in enumerate(edits) if _TIME.fullmatch(edit.time) and edit.time > other.time)
            edits.insert(next(later, len(edits)), other)
    except ToolkitError as error:
        problems = [*problems, str(error)]
    if node is not None:
        edits = [edit for edit in edits if edit.subject == f"node {node}" or node in edit.nodes]
    if project is not None:
        edits = [edit for edit in edits if edit.project == project]
    if since is not None:
        # The clock may have been set back, so each edit is looked at.
        first = iso(since)
        edits = [edit for edit in edits if edit.time >= first or not _TIME.fullmatch(edit.time)]
    if last is not None:
        edits = edits[-last:]
    return History(tuple(edits), tuple(problems))


def moment(text: str, now: float) -> float:
    """Return the moment that `text` names, in seconds since 1970; raise `UsageError`.

    A length of time means so long before `now`; a date its beginning; what has
    no time zone is in UTC, as the trail is.
    """
    text = text.strip()
    with suppress(ValueError):
        return max(0.0, now - Duration.parse(text))
    if _DATE.match(text):
        with suppress(ValueError, OverflowError):
            read = datetime.fromisoformat(text)
            return max(0.0, (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    raise UsageError(
        f"--since {excerpt(text, 60)!r}: write a date (2026-11-01), a time (2026-11-01T14:30, in UTC) "
        "or how long ago (2h, 3d)"
    )


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
    edits = desk.trail.read()[0]
    edit = next((edit for edit in edits if edit.id == identity), None)
    if edit is None:
        raise NotFound(f"no edit {identity} in the audit trail", where=str(desk.settings.audit.file))
    steps: list[Step] = []
    now = {dn.normalise(step.dn): desk.editor.read(step.dn) for step in edit.done}
    for step in reversed(edit.done):
        place = dn.normalise(step.dn)
        try:
            taken_back = reverse(step, now[place], desk.settings.nodes)
        except ChangedSince as error:
            raise Conflict(
                f"{error.message}{_by_whom(step, edit, edits, desk.settings.nodes)}", where=step.dn
            ) from error
        if taken_back is not None:
            steps.append(taken_back)
            now[place] = after(taken_back, now[place])
    if len({step.dn for step in steps}) != len(steps):
        raise Conflict("this edit changed an entry twice and cannot be undone as a whole", where=identity)
    kind, _, name = edit.subject.partition(" ")
    node = Certname(name) if kind == "node" else None
    plan = PlannedEdit(f"undo {identity}", edit.subject, edit.project, tuple(steps), node=node, nodes=edit.nodes)
    return desk.submit(plan, reason=reason, dry_run=dry_run)


def _by_whom(step: Step, edit: Edit, edits: Sequence[Edit], settings: NodeSettings) -> str:
    """Return the end of a sentence that says which later edit changed what `step` of `edit` had changed."""
    later = _later(step, edit, edits, settings)
    if not later:
        return " by no edit in the audit trail (by another program, or in a trail that was rotated away)"
    last = later[-1]
    more = f" ({len(later) - 1} more before it)" if len(later) > 1 else ""
    why = excerpt(last.why, _LONGEST_WHY)
    return (
        f": {last.id} by {last.who} at {last.time}, {last.action} ({why}){more}; undo that one first, or set the "
        "value again"
    )


def _later(step: Step, edit: Edit, edits: Sequence[Edit], settings: NodeSettings) -> list[Edit]:
    """Return the edits after `edit` that touched what `step` touched, oldest first; none that was taken back."""
    place, parts = dn.normalise(step.dn), touched(step, settings)
    found: list[Edit] = []
    taken_back = set[str]()
    for other in reversed(edits[edits.index(edit) + 1 :]):
        if other.made == 0 or other.outcome.startswith("failed: 0 of ") or other.id in taken_back:
            continue
        if other.action.startswith("undo "):
            # Both together are nothing; an undo of an undo lets the edit stand again.
            taken_back.add(other.action.removeprefix("undo "))
            if other.action != f"undo {edit.id}":
                continue
        same = [one for one in other.done if dn.normalise(one.dn) == place]
        if any(one.do != "modify" or not parts or parts & touched(one, settings) for one in same):
            found.append(other)
    return found[::-1]
