"""Brings the local commits onto what the central branch shows now, or leaves everything as it was.

    mend    what a killed sync left in the working copy
    fetch   the central repository
    replay  the patches, in git's object store only (replay.py)
    ask     may the working copy go along; does this instance's catalog compile with the new tree
    keep    the old state as a snapshot, set-aside patches as refs/parked/
    move    the local branch, if it still is where it was
    deploy  as an immutable version, switched by one rename; if that fails the branch goes back
    follow  the working copy goes along; old snapshots go

Up to `move` nothing is visible. A kill before it changes nothing; after it the
next sync deploys and brings the working copy along, for both are looked at anew
each time. A push into the local branch meanwhile is seen at `move`, and all is
done again.

Owns: that order, and what a failure at each act leaves. Not here: how a patch
is carried over (replay.py), the refs (own_refs.py), former states
(snapshots.py), people's files (working_copy.py), results on disk (results.py).

Failure modes: each expected one is a `Result` that says that the old state
stays, and why; git's and the disk's are "failed".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from enc.programs.machine_trouble import told
from enc.terms.errors import Conflict, NotFound, ToolkitError
from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.sync.own_refs import BASE, NEXT
from puppetmaster_self.sync.patch_repository import PatchRepository
from puppetmaster_self.sync.replay import alone, replay
from puppetmaster_self.sync.snapshots import Snapshots
from puppetmaster_self.sync.upstream import Commit, Fate, Outcome, Patch, Queue, Replayed, message
from puppetmaster_self.sync.working_copy import WorkingCopy

_TRIES = 3


class Deployed(NamedTuple):
    """What a deploy said."""

    good: bool
    detail: str = ""


class Result(NamedTuple):
    """How a sync ended."""

    outcome: Outcome
    message: str
    queue: Queue | None = None
    replayed: Replayed | None = None
    parked: tuple[Commit, ...] = ()
    snapshot: str | None = None


@dataclass(frozen=True)
class Policy:
    """What was decided beforehand."""

    on_conflict: Literal["stop", "park"] = "stop"
    snapshots: int = 20
    """So many former states of the local branch stay; more if one holds the only copy of a patch."""
    snapshots_kept: float = 90 * 86400.0
    """Seconds for which they stay, however many there are."""


@dataclass(frozen=True)
class Sync:
    """One instance's local branch, and all that moves with it."""

    repository: PatchRepository
    working_copy: WorkingCopy
    local: BranchName
    branch: BranchName
    policy: Policy
    check: Callable[[ObjectId], str]
    """Takes a commit; returns why it must not go live, empty if it may."""
    deploy: Callable[[], Deployed]
    """Makes the environments show their branches."""
    now: Callable[[], float] = time.time
    at: Callable[[str], None] = lambda _: None
    """Told before each act."""
    site: BranchName | None = None
    """The central branch that becomes the environment `production` here; None: none does, or the local branch."""

    def run(self, *, unpark: bool = False, dry_run: bool = False) -> Result:
        """Do it; expected failures are results, too."""
        try:
            return self._run(unpark, dry_run)
        except (ToolkitError, OSError) as error:
            return Result("failed", told(error), parked=self._parked_commits())

    def forecast(self, branch: BranchName) -> tuple[Queue, Replayed]:
        """Return what would become of each patch on another central branch; nothing is moved."""
        self.repository.central.fetch(self.branch)
        theirs = self.repository.central.tip(branch)
        if theirs is None:
            raise NotFound("the central repository has no such branch", where=branch)
        queue = self._queue()._replace(upstream=theirs)
        return queue, replay(self.repository, queue, queue.patches, "park")

    def send(self, number: int, ref: str) -> tuple[Patch, ObjectId]:
        """Push patch `number` alone, on what the central branch shows, to `ref`; return it and its commit there."""
        self.repository.central.fetch(self.branch)
        patch, commit = alone(self.repository, self._queue(), number)
        self.repository.central.push(commit, ref)
        return patch, commit

    def back(self, name: str | None) -> Result:
        """Return to a snapshot (None: the newest that differs); what is left is a snapshot itself."""
        self.working_copy.mend()
        tip = self.repository.commits.tip(self.local.ref)
        if tip is None:
            raise NotFound(f"no branch {self.local}", where=str(self.repository.git.directory))
        chosen = self._snapshots.find(name, tip)
        self.repository.refs.point(NEXT, chosen.commit)
        if chosen.commit != tip and (obstacle := self.working_copy.obstacle(chosen.commit)):
            return Result("blocked", f"nothing was changed: {obstacle}")
        kept = self._move(tip, chosen.commit)
        done = self.deploy()
        if not done.good:
            self.repository.refs.point(self.local.ref, tip, chosen.commit)
            return Result("failed", f"nothing was changed: {done.detail}")
        left = self.working_copy.bring(chosen.commit)
        told = f"{self.local} is at {chosen.commit.abbreviated} again, as it was before {chosen.name}"
        return Result("paused", "; ".join(filter(None, (told, left))), snapshot=kept)

    # Within

    @property
    def _snapshots(self) -> Snapshots:
        return Snapshots(self.repository)

    def _queue(self) -> Queue:
        return self.repository.queueing.queue(self.local, self.branch)

    def _run(self, unpark: bool, dry_run: bool) -> Result:
        if not dry_run:
            self.at("mend")
            self.working_copy.mend()
        self.at("fetch")
        self.repository.central.fetch(self.branch)
        for _ in range(_TRIES):
            queue = self._queue()
            again = self.repository.refs.parked() if unpark else ()
            wanted = (*queue.patches, *(one for one in again if one not in queue.patches))
            if queue.current and not again:
                fates = tuple(Fate(place, one, "kept", one.commit) for place, one in enumerate(wanted, 1))
                replayed = Replayed(queue.local, fates)
            else:
                replayed = replay(self.repository, queue, wanted, self.policy.on_conflict, again)
            if replayed.stopped is not None:
                return self._result("conflict", queue, replayed)
            outcome: Outcome = "current" if replayed.tip == queue.local else "synced"
            if dry_run:
                return self._result(outcome, queue, replayed)
            snapshot = None
            if outcome == "synced":
                if refusal := self._refusal(queue, replayed):
                    return refusal
                try:
                    snapshot = self._move(queue.local, replayed.tip, replayed)
                except Conflict:
                    continue  # somebody pushed meanwhile
            return self._finish(outcome, queue, replayed, snapshot)
        raise Conflict(f"{self.local} kept moving in the meantime; it stays as it is")

    def _refusal(self, queue: Queue, replayed: Replayed) -> Result | None:
        self.at("next")
        self.repository.refs.point(NEXT, replayed.tip)
        if obstacle := self.working_copy.obstacle(replayed.tip):
            return self._result("blocked", queue, replayed, obstacle)
        self.at("check")
        if reason := self.check(replayed.tip):
            return self._result("unsound", queue, replayed, reason)
        return None

    def _move(self, old: ObjectId, new: ObjectId, replayed: Replayed | None = None) -> str:
        self.at("snapshot")
        name = self._snapshots.take(old, self.now())
        for fate in replayed.of("parked") if replayed else ():
            self.at("park")
            self.repository.refs.park(fate.patch)
        self.at("move")
        self.repository.refs.point(self.local.ref, new, old)
        return name

    def _finish(self, outcome: Outcome, queue: Queue, replayed: Replayed, snapshot: str | None) -> Result:
        if self.site is not None:
            self.repository.follow(self.site)
        self.at("deploy")
        done = self.deploy()
        if not done.good:
            if outcome == "synced":
                self.repository.refs.point(self.local.ref, queue.local, replayed.tip)
                for fate in replayed.of("parked"):
                    self.repository.refs.unpark(fate.patch)
            return self._result("failed", queue, replayed, f"nothing was changed: {done.detail}")
        self.at("base")
        self.repository.refs.point(BASE, queue.upstream)
        self.repository.refs.point(NEXT, replayed.tip)
        left = self.working_copy.bring(replayed.tip)
        for fate in replayed.of("moved", "kept", "taken", "empty"):
            self.at("unpark")
            self.repository.refs.unpark(fate.patch)
        self.at("prune")
        self._snapshots.prune(replayed.tip, self.policy.snapshots, self.now() - self.policy.snapshots_kept)
        detail = "; ".join(filter(None, (done.detail, left)))
        return self._result(outcome, queue, replayed, detail, snapshot)

    def _parked_commits(self) -> tuple[Commit, ...]:
        try:
            return tuple(one.told for one in self.repository.refs.parked())
        except ToolkitError:
            return ()

    def _result(
        self, outcome: Outcome, queue: Queue, replayed: Replayed, detail: str = "", snapshot: str | None = None
    ) -> Result:
        return Result(
            outcome, message(outcome, queue, replayed, detail), queue, replayed, self._parked_commits(), snapshot
        )
