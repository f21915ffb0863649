"""When short-lived branches end: those with a <topic>, which nobody pushes to and no node uses; proposals, too.

The rule is pure (`judge`); `expire` finds the facts, moves a branch to the
archive, and lets its environment go. Whatever is not known keeps a branch:
nodes that cannot be asked for, a hold, a push in the same moment.

Not here: how branches are kept (refstore.py), what a deploy does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from enc.programs.times import compact
from enc.settings import Settings
from enc.terms.environments import Rules, collisions
from enc.terms.errors import Conflict, NotFound, ToolkitError
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.branches.proposals import note, proposed
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record, Records
from git_hooks.deploy.targets import Tip
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.programs.elapsed import Count
    from git_hooks.repository.refstore import Archived, RefStore


class Topic(NamedTuple):
    """What is known about one short-lived branch; times in seconds since 1970."""

    branch: BranchName
    environment: EnvironmentName | None
    """None: it is a proposal."""
    commit: ObjectId
    touched: float
    """The last push or deploy."""
    used_by: tuple[Certname, ...] = ()
    unknown: str = ""
    """Why it cannot be told which nodes use it."""
    held: bool = False


class Judged(NamedTuple):
    """What becomes of one short-lived branch."""

    topic: Topic
    ends: float
    """When it would end if nobody used it."""
    reason: str
    """Why it stays; empty: it ends now."""


def ends_at(touched: float, unused: float) -> float:
    """Return when a short-lived branch ends that was last pushed to at `touched` and that no node uses."""
    return touched + unused


def judge(topic: Topic, unused: float, now: float) -> Judged:
    """Decide about one branch; `unused` is the setting `branches.topics_unused`. Pure."""
    ends = ends_at(topic.touched, unused)
    reason = ""
    if now < ends:
        reason = "was pushed to recently"
    elif topic.held:
        reason = f"environment {topic.environment} is held"
    elif topic.unknown:
        reason = f"cannot find out whether nodes use it: {topic.unknown}"
    elif topic.used_by:
        count = len(topic.used_by)
        reason = f"{count} node{'s use' if count > 1 else ' uses'} it, for example {topic.used_by[0]}"
    return Judged(topic, ends, reason)


class Expiry:
    """Finds out, and carries out."""

    def __init__(self, settings: Settings, deployer: Deployer, refs: RefStore) -> None:
        self._settings = settings
        self._rules = Rules(settings.branches.rules)
        self._deployer = deployer
        self._refs = refs
        self._usage = Usage(settings)

    def judged(self, count: Count) -> Iterator[Judged]:
        """Yield what would become of each short-lived branch now."""
        now, unused = count.now, self._settings.branches.topics_unused
        dates = self._refs.dates()
        for branch, commit in sorted(self._deployer.repository.branches().items()):
            place = self._rules.place_or_none(branch)
            if place is None or place.topic is None:
                continue
            name = place.environment
            touched = count.of(last_touched(self._deployer.records, name, dates.get(branch, 0), now))
            topic = Topic(branch, name, commit, touched, held=self._deployer.records.held(name) is not None)
            if now >= ends_at(touched, unused):
                try:
                    topic = topic._replace(used_by=self._usage.nodes_for_certain(name))
                except UsageUnknown as error:
                    topic = topic._replace(unknown=str(error))
            yield judge(topic, unused, now)
        for one in proposed(self._settings.branches, self._deployer.repository.branches(), count):
            yield judge(Topic(one.branch, None, one.commit, one.since), unused, now)

    def remember(self, count: Count) -> None:
        """Note since when proposals have been as they are."""
        branches = self._deployer.repository.branches()
        note(self._settings.branches, proposed(self._settings.branches, branches, count))

    def end(self, judged: Judged, who: str, now: float) -> tuple[Archived, Record | None]:
        """Archive a branch that ends; raise `Conflict` if somebody pushed to it in this moment.

        The record is that of its environment, if it had one.
        """
        topic = judged.topic
        kept = self._refs.archive(topic.branch, topic.commit, int(now))
        if topic.environment is None:
            return kept, None
        return kept, self._deployer.deploy(topic.environment, Tip(topic.branch), who, "expire")

    def find(self, kept: BranchName, at: int | None, branch: BranchName) -> Archived:
        """Return what was archived of the branch `kept` last (or `at` this time), if it can come back as `branch`.

        Raise `NotFound`, or `Conflict` if the place is taken.
        """
        found = next((one for one in self._refs.archived() if one.branch == kept and at in (None, one.at)), None)
        if found is None:
            name = kept if at is None else f"{kept}@{compact(at)}"
            raise NotFound("is not in the archive; `restore` without a name lists its contents", where=name)
        place, proposal = self._rules.place_or_none(branch), self._rules.proposal(branch)
        if place is None and proposal is None:
            raise Conflict("no rule makes an environment from this branch (branches.rules)", where=branch)
        if place is not None and self._rules.proposal(kept) is not None:
            raise Conflict(
                "was a proposal and was not checked; restore it under its own name, review it, and merge it", where=kept
            )
        present = [self._rules.place_or_none(other) for other in self._deployer.repository.branches()]
        rivals = collisions(one for one in (place, *present) if one is not None)
        if branch in self._deployer.repository.branches():
            raise Conflict("a branch with this name exists; --as restores it under another", where=branch)
        for environment, branches in rivals.items():
            if branch in branches:
                raise Conflict(f"environment {environment} now belongs to another branch", where=branch)
        return found

    def restore(self, kept: Archived, branch: BranchName, who: str) -> Record | None:
        """Bring what is archived back as `branch`, and make it live; None: it is a proposal, and becomes nothing."""
        place = self._rules.place(branch)
        if place is None and self._rules.proposal(branch) is None:
            raise ToolkitError("no rule makes an environment from this branch (branches.rules)", where=branch)
        self._refs.restore(kept, branch)
        if place is None:
            return None
        return self._deployer.deploy(place.environment, Tip(branch), who, "restore")


def last_touched(records: Records, environment: EnvironmentName, committed: int, now: float) -> float:
    """Return when the environment was last deployed, else when its commit was made (not later than `now`)."""
    known = records.of(environment, limit=1)
    # A commit's date is whatever its author's clock said; a branch must not live for ever by it.
    return known[0].at if known else min(float(committed), now)
