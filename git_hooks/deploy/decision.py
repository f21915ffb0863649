"""What a deploy has to do, decided from what it found. Pure, reads and changes nothing.

Owns: what the decision depends on (`Situation`), the decision, how a deploy
that did it ends, and which commit a rollback goes back to. Not here: finding
these out, and doing it (deployer.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from enc.terms.names import EnvironmentName
from git_hooks.deploy.records import Outcome, Record
from git_hooks.repository.refs import ObjectId

ROLLBACK = "rollback: "
"""How the reason of a rollback begins in its record."""


class Situation(NamedTuple):
    """Everything that the decision depends on."""

    live: ObjectId | None
    wanted: ObjectId | None
    held: bool
    owes_flush: bool
    missing: str = ""
    """What of the live version is not there, if that is to stay live."""


Decision = Literal["nothing", "stay", "flush", "mend", "switch", "remove"]
"""`mend`: lay the live version out again, because it is not whole."""


class PlannedDeploy(NamedTuple):
    """What a deploy would do now."""

    environment: EnvironmentName
    decision: Decision
    old: ObjectId | None
    new: ObjectId | None


def decide(situation: Situation) -> Decision:
    """Return what has to be done. A flush that is owed is made up for even where the environment is held."""
    if situation.missing and (situation.live == situation.wanted or situation.held):
        return "mend"
    if situation.live == situation.wanted:
        return "flush" if situation.owes_flush else "nothing"
    if situation.held:
        return "flush" if situation.owes_flush else "stay"
    return "switch" if situation.wanted is not None else "remove"


def outcome(decision: Decision, situation: Situation) -> Outcome:
    """Return how a deploy ends that did without a fault what was decided."""
    if decision == "nothing":
        return "unchanged"
    if decision == "stay" or (decision in ("flush", "mend") and situation.live != situation.wanted):
        return "held"
    return "removed" if decision == "remove" else "live"


def before(live: ObjectId | None, records: Iterable[Record]) -> ObjectId | None:
    """Return what an environment showed before `live`, as its records (the newest first) say; None: they do not."""
    for record in records:
        # Whatever the outcome: what is live was switched to, even if the deploy was killed over it. A flush that
        # was made up for later has the same commit as old and new, and says nothing about what was before. Nor
        # does a rollback: what it left is newer, and a second rollback must not go back to it.
        back = record.why.startswith(ROLLBACK)
        if record.new == live and record.old is not None and record.switched and not back:
            return record.old
    return None
