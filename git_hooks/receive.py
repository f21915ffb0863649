"""What a push did to the environments, and the words for it.

Owns: from moved refs to deploys, and one line for the pusher about each. The
line tells what is true after the deploy, not what the push hoped for: another
push may have gone live meanwhile, with or without this one's commit.

Not here: who may push what; that is decided before, in pre-receive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from enc.errors import InvalidName
from git_hooks.deploy import Deployer, Tip
from git_hooks.environments import Place, Rules
from git_hooks.records import Record
from git_hooks.refs import BranchName, RefUpdate


def received(deployer: Deployer, rules: Rules, updates: Iterable[RefUpdate], who: str) -> Iterator[tuple[bool, str]]:
    """Deploy what `updates` moved, nothing else; yield for each environment whether all is well, and a line."""
    for update in updates:
        try:
            branch = BranchName.of_ref(update.ref)
            place = rules.place(branch) if branch is not None else None
        except InvalidName as refusal:
            yield False, f"{update.ref!r} is stored, but becomes no environment: {refusal}"
            continue
        if place is not None:
            record = deployer.deploy(place.environment, Tip(place.branch), who)
            yield record.good, _line(deployer, place, update, record)


def _line(deployer: Deployer, place: Place, update: RefUpdate, record: Record) -> str:
    name = place.environment
    if record.outcome == "held":
        hold = deployer.records.held(name)
        reason = f" by {hold.who}: {hold.reason}" if hold is not None else ""
        return f"{name}: NOT live, the environment is held{reason}. Your commit goes live when the hold is released."
    if record.outcome == "failed":
        return f"{name}: NOT live, nothing was changed: {record.detail}"
    if record.outcome == "not flushed":
        return f"{name}: switched, but puppetserver may still serve the old version: {record.detail}"
    if record.new is None:
        return f"{name}: removed" if update.deletes else f"{name}: removed, since somebody deleted the branch after you"
    shown = f"{name}: live at {record.new.abbreviated}"
    if record.new == update.new:
        return f"{shown} ({sum(record.milliseconds.values()):.0f} ms)"
    if not update.deletes and deployer.repository.contains(record.new, update.new):
        return f"{shown}, a later push that has your commit {update.new.abbreviated} in it"
    return f"{shown}, a later push; yours was replaced by it"
