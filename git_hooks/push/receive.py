"""What a push did to one environment, and the words for it.

Owns: from a moved ref to a deploy, and what the pusher is told about it: one
line, and under it what to do if something is not as it should be. The words
tell what is true after the deploy, not what the push hoped for: another push
may have gone live meanwhile, with or without this one's commit.

Not here: who may push what; that is decided before, in pre-receive.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from enc.programs.machine_trouble import told
from enc.terms.environments import Place
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.remedies import remedy
from git_hooks.deploy.targets import Tip
from git_hooks.push.verdict import took
from git_hooks.repository.refs import RefUpdate
from git_hooks.store.mounted import StoreAway

UNDER = "  "
"""What stands before a line that belongs to the one above."""


_AGAIN = "push again, or ask an operator to run: branch-manager deploy {}"


class Told(NamedTuple):
    """What is said about one environment."""

    good: bool
    lines: tuple[str, ...]
    record: Record


def received(deployer: Deployer, place: Place, update: RefUpdate, who: str, began: float) -> Told:
    """Deploy what `update` moved; `began` (time.perf_counter) is when git took the push."""
    try:
        record = deployer.deploy(place.environment, Tip(place.branch), who)
    except (OSError, StoreAway) as error:
        # A store that cannot be written or locked at all: no step was begun, or a record would tell.
        detail = told(error)
        helps = remedy(error, place.environment)
        record = Record(place.environment, "failed", None, None, who, "push", time.time(), {}, detail, remedy=helps)
    return Told(record.good, tuple(_lines(deployer, place, update, record, time.perf_counter() - began)), record)


def _lines(deployer: Deployer, place: Place, update: RefUpdate, record: Record, seconds: float) -> list[str]:
    name = place.environment
    if record.outcome == "held":
        hold = deployer.records.held(name)
        reason = f" by {hold.who}: {hold.reason}" if hold is not None else ""
        return [
            f"{name}: NOT deployed, the environment is held{reason}",
            f"{UNDER}your commits are in the repository and go live when an operator runs: branch-manager release "
            f"{name}",
        ]
    if record.outcome == "failed":
        return [
            f"{name}: NOT deployed, nothing was changed: {record.detail}",
            f"{UNDER}your commits are in the repository; {record.remedy or _AGAIN.format(name)}",
        ]
    shown = record.new.abbreviated if record.new is not None else "nothing"
    if record.outcome == "not flushed":
        return [
            f"{name}: switched to {shown}, but puppetserver may still serve the old version: {record.detail}",
            f"{UNDER}push again, or ask an operator to run: branch-manager deploy {name}",
        ]
    notes = [f"{UNDER}{line}" for line in record.note.splitlines()]
    return [_good(deployer, place, update, record, seconds), *notes]


def _good(deployer: Deployer, place: Place, update: RefUpdate, record: Record, seconds: float) -> str:
    name = place.environment
    if record.new is None and not deployer.shows(name):
        words = "removed" if update.deletes else "stored"
        return f"{name}: {words}; a server of another domain deploys it as soon as it asks (docs/trust-domains.md)"
    if record.new is None:
        return (
            f"{name}: removed" if update.deletes else f"{name}: removed, because somebody deleted the branch after you"
        )
    shown = f"{name}: live at {record.new.abbreviated}"
    if update.deletes:
        return f"{shown}, because a branch that becomes it exists again"
    if record.new == update.new:
        return f"{shown} in {took(seconds)}"
    if deployer.repository.contains(record.new, update.new):
        return f"{shown}, a later push that contains your commit {update.new.abbreviated}"
    return f"{shown}, a later push that replaced yours"
