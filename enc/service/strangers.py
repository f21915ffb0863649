"""Edits that came past our commands: what the follower saw, without what the trail tells.

Pure but for `read` and `with_deleters`.

A note of the follower is explained by the trail if an edit there left the very
version of the entry that the note has (the outcome holds it, where the server
tells it), and had the same values in hand. An edit of which no version is known
(the command was killed, or the server does not tell) explains the same values
within some minutes. A deletion has no version: each in the trail explains one.

What is left over becomes an `Edit` for `history`, by whom LDAP names, which is
the one who changed the entry last; who deleted one, the embedded directory
keeps apart (enc/directory/deletions.py). On a machine where others edit, with
a trail of their own, those edits are here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from enc.answers.seen_edits import Difference, Seen, SeenEdits, is_cut
from enc.directory import deletions
from enc.directory.deletions import Deletion
from enc.directory.ldap_store import LdapSource
from enc.edits.audit import DONE, Edit
from enc.edits.change import Change, Do, Step, spelled
from enc.programs.times import iso
from enc.service.people import shown
from enc.settings import Settings
from enc.terms import dn
from enc.terms.errors import InvalidName, ToolkitError
from enc.terms.names import ProjectName

WHY = "not by a command on this machine; seen by the follower"
_NEAR = 300.0
"""Seconds between an edit in the trail and the moment at which the follower saw it."""
_DONE: dict[str, Do] = {"add": "add", "modify": "modify", "delete": "delete", "rename": "rename"}
_UNTOLD = "unknown (LDAP does not say)"


def read(settings: Settings, edits: Sequence[Edit]) -> list[Edit]:
    """Return what was seen and is in none of `edits`; raise `ToolkitError` if the notes cannot be read."""
    notes = SeenEdits(settings.answers.directory)
    try:
        seen = notes.read()
    except OSError as error:
        raise ToolkitError(f"what the follower saw cannot be read: {error.strerror}", where=str(notes.place)) from error
    return [_edit(one, settings) for one in with_deleters(unexplained(seen, edits), settings)]


def with_deleters(seen: Sequence[Seen], settings: Settings) -> list[Seen]:
    """Return `seen`, deletions with who made them as far as the directory keeps that; without it they stay nobody's."""
    gone = [one.dn for one in seen if one.do == "delete" and not one.who]
    if not gone:
        return list(seen)
    found: dict[str, list[Deletion]] = {}
    # LDAP may be away; what was seen is told all the same.
    with suppress(ToolkitError), LdapSource(settings) as source:
        for deletion in deletions.of(source, gone):
            found.setdefault(_normal(deletion.dn), []).append(deletion)
    return [_with_deleter(one, found.get(_normal(one.dn), ())) for one in seen]


def _with_deleter(one: Seen, deletions: Sequence[Deletion]) -> Seen:
    """Return a deletion with who made it: the first that came after the version which the entry had last."""
    if one.do != "delete" or one.who:
        return one
    who = next((deletion.who for deletion in deletions if deletion.at[:14] >= one.csn[:14]), "")
    return one._replace(who=who)


def unexplained(seen: Sequence[Seen], edits: Sequence[Edit]) -> list[Seen]:
    """Return what the trail does not tell, oldest first; of what it tells in part, the rest."""
    ours: dict[str, list[_Ours]] = {}
    for edit in edits:
        for step in edit.steps:
            ours.setdefault(_normal(step.dn), []).append(_Ours(_moment(edit.time), edit, step))
    used: set[int] = set()
    return [left for one in seen if (left := _left(one, ours.get(_normal(one.dn), []), used)) is not None]


class _Ours(NamedTuple):
    """What an edit in the trail did to an entry."""

    at: float
    edit: Edit
    step: Step

    def untold(self, one: Seen) -> bool:
        """Tell whether it may be what was seen, and cannot prove it."""
        return not self.edit.versions and self.step.do == one.do and abs(self.at - one.at) <= _NEAR


def _left(one: Seen, ours: Sequence[_Ours], used: set[int]) -> Seen | None:
    """Return what of a note the trail does not tell, None: nothing. `used`: deletions that were found before."""
    if one.do == "delete":
        found = [it for it in ours if it.step.do == "delete" and it.at <= one.at + _NEAR and id(it.step) not in used]
        if not found:
            return one
        used.add(id(found[0].step))
        return None
    proven = any(one.csn in it.edit.versions.values() for it in ours)
    if not proven and not any(it.untold(one) for it in ours):
        return one
    if proven and one.do != "modify":
        return None
    # Several of our edits in a row, or one of ours and a stranger's, may have come as one change.
    near = [it for it in ours if abs(it.at - one.at) <= _NEAR and it.step.do != "delete"]
    rest = tuple(difference for difference in one.differences if not _told(difference, near))
    return one._replace(differences=rest) if rest else None


def _told(difference: Difference, near: Sequence[_Ours]) -> bool:
    """Tell whether our edits had these very values in hand."""
    changes = [one for it in near for one in it.step.changes if one.attribute.lower() == difference.attribute.lower()]
    if is_cut(difference.before) or is_cut(difference.after):
        return bool(changes)
    gone = {value for change in changes for value in change.before}
    come = {value for change in changes for value in change.after}
    return bool(changes) and set(difference.before) <= gone and set(difference.after) <= come


def _edit(one: Seen, settings: Settings) -> Edit:
    subject, project = _subject(one, settings)
    at = one.csn[:14] if one.do != "delete" else ""
    when = f"{at[:4]}-{at[4:6]}-{at[6:8]}T{at[8:10]}:{at[10:12]}:{at[12:14]}Z" if at.isdigit() else iso(one.at)
    who = f"{shown(one.who)} ({one.who})" if one.who else _UNTOLD
    changes = tuple(Change(spelled(name), gone, come) for name, gone, come in one.differences)
    step = Step(_DONE[one.do], one.dn, changes)
    return Edit(f"seen-{one.csn[:21]}", when, who, WHY, f"ldap {one.do}", subject, project, (step,), DONE)


def _subject(one: Seen, settings: Settings) -> tuple[str, ProjectName | None]:
    """Return what was edited in the trail's words, and the project, as far as the place tells it."""
    try:
        name = dn.rdn(one.dn)[1]
        if one.feed == "nodes":
            step = dn.child_towards(dn.parent(one.dn), settings.nodes_base)
            return f"node {name.lower()}", _project(step[1] if step else "")
        if one.feed == "projects":
            step = dn.child_towards(one.dn, settings.projects_base)
            project = step[1] if step else ""
            above = dn.normalise(dn.parent(one.dn)) == dn.normalise(settings.projects_base)
            return (f"project {project}" if above else f"{name} of project {project}"), _project(project)
    except InvalidName:
        return one.dn, None
    return ("site" if one.feed == "site" else f"group {name}"), None


def _project(name: str) -> ProjectName | None:
    return ProjectName(name) if ProjectName.accepts(name) else None


def _normal(place: str) -> str:
    try:
        return dn.normalise(place)
    except InvalidName:
        return place


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
