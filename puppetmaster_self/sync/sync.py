"""Brings the local commits onto what the central branch shows now, or leaves everything as it was.

    mend    what a killed sync left in the working copy
    fetch   the central repository
    replay  the patches, in git's object store only (upstream.py, patch_repository.py)
    ask     may the working copy go along; does this instance's catalog compile with the new tree
    keep    the old state as a snapshot, set-aside patches as refs/parked/
    move    the local branch, if it still is where it was
    deploy  as an immutable version, switched by one rename; if that fails the branch goes back
    follow  the working copy goes along; old snapshots go

Up to `move` nothing is visible. A kill before it changes nothing; after it the
next sync deploys and brings the working copy along, for both are looked at anew
each time. A push into the local branch meanwhile is seen at `move`, and all is
done again.

Not here: results on disk (sync_results.py), the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from enc.errors import Conflict, NotFound, ToolkitError
from enc.names import BranchName
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.sync.patch_repository import BASE, NEXT, PARKED, SNAPSHOTS, PatchRepository, tracking
from puppetmaster_self.sync.upstream import (
    Clash,
    Commit,
    Fate,
    Outcome,
    Patch,
    Queue,
    Replayed,
    blames,
    message,
    only_copies,
    prunable,
)
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
    snapshots_kept: float = 90 * 86400.0
    """Seconds."""


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
            return Result("failed", str(error), parked=self._parked_commits())

    def forecast(self, branch: BranchName) -> tuple[Queue, Replayed]:
        """Return what would become of each patch on another central branch; nothing is moved."""
        self.repository.fetch(self.branch)
        theirs = self.repository.tip(tracking(branch))
        if theirs is None:
            raise NotFound("the central repository has no such branch", where=branch)
        queue = self.repository.queue(self.local, self.branch)._replace(upstream=theirs)
        return queue, self._replay(queue, queue.patches, theirs, "park")

    def send(self, number: int, ref: str) -> tuple[Patch, ObjectId]:
        """Push patch `number` alone, on what the central branch shows, to `ref`; return it and its commit there."""
        self.repository.fetch(self.branch)
        queue = self.repository.queue(self.local, self.branch)
        if not 1 <= number <= len(queue.patches):
            raise NotFound(f"there are {len(queue.patches)} patches; `puppetmaster-self sync --dry-run` numbers them")
        patch = queue.patches[number - 1]
        commit = patch.commit
        if patch.parent != queue.upstream:
            merged = self.repository.merge(patch, queue.upstream)
            if merged.conflicts:
                earlier = [(one.told, self.repository.touched(one)) for one in queue.patches[: number - 1]]
                needed = blames(earlier, merged.conflicts)
                clash = Clash(merged.kind, merged.conflicts, builds_on=needed)
                where = ", ".join(clash.paths)
                hint = f"it builds on {needed}; send that first" if needed else "sync first"
                raise Conflict(f"patch {number}, {patch.told}, cannot go alone, it conflicts in {where}: {hint}")
            if merged.tree == self.repository.tree(queue.upstream):
                raise ToolkitError(f"patch {number}, {patch.told}: upstream has it already")
            commit = self.repository.write(patch, merged.tree, queue.upstream)
        self.repository.push(commit, ref)
        return patch, commit

    def back(self, name: str | None) -> Result:
        """Return to a snapshot (None: the newest that differs); what is left is a snapshot itself."""
        self.working_copy.mend()
        tip = self.repository.tip(self.local.ref)
        if tip is None:
            raise NotFound(f"no branch {self.local}", where=str(self.repository.path))
        known = self.repository.snapshots()
        chosen = next((one for one in known if (one.name == name if name else one.commit != tip)), None)
        if chosen is None:
            names = ", ".join(one.name for one in known) or "there is none"
            raise NotFound(f"no such snapshot; known: {names}", where=name)
        self.repository.point(NEXT, chosen.commit)
        if chosen.commit != tip and (obstacle := self.working_copy.obstacle(chosen.commit)):
            return Result("blocked", f"the present state stays: {obstacle}")
        kept = self._move(tip, chosen.commit)
        done = self.deploy()
        if not done.good:
            self.repository.point(self.local.ref, tip, chosen.commit)
            return Result("failed", f"the present state stays: {done.detail}")
        left = self.working_copy.bring(chosen.commit)
        told = f"{self.local} is at {chosen.commit.abbreviated} again, as it was before {chosen.name}"
        return Result("paused", "; ".join(filter(None, (told, left))), snapshot=kept)

    # Within

    def _run(self, unpark: bool, dry_run: bool) -> Result:
        if not dry_run:
            self.at("mend")
            self.working_copy.mend()
        self.at("fetch")
        self.repository.fetch(self.branch)
        for _ in range(_TRIES):
            queue = self.repository.queue(self.local, self.branch)
            again = self.repository.parked() if unpark else ()
            wanted = (*queue.patches, *(one for one in again if one not in queue.patches))
            if queue.current and not again:
                fates = tuple(Fate(place, one, "kept", one.commit) for place, one in enumerate(wanted, 1))
                replayed = Replayed(queue.local, fates)
            else:
                replayed = self._replay(queue, wanted, queue.upstream, self.policy.on_conflict, again)
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
        raise Conflict(f"{self.local} was moved again and again meanwhile; it stays as it is")

    def _replay(
        self,
        queue: Queue,
        patches: Iterable[Patch],
        onto: ObjectId,
        on_conflict: Literal["stop", "park"],
        unparked: Collection[Patch] = (),
    ) -> Replayed:
        """Carry `patches` over; one of `unparked` that still does not fit stays parked, and stops nothing."""
        taken = self.repository.taken(queue)
        tip, fates = onto, list[Fate]()
        parked: list[tuple[Commit, frozenset[str]]] = []
        for number, patch in enumerate(patches, 1):
            if fates and fates[-1].fortune in ("conflict", "waiting"):
                fates.append(Fate(number, patch, "waiting"))
            elif patch.commit in taken:
                fates.append(Fate(number, patch, "taken", taken_as=taken[patch.commit]))
            elif patch.parent == tip and self.repository.tree(tip) != self.repository.tree(patch.commit):
                tip = patch.commit
                fates.append(Fate(number, patch, "kept", tip))
            else:
                merged = self.repository.merge(patch, tip)
                if merged.conflicts:
                    builds_on = blames(parked, merged.conflicts)
                    cause = None if builds_on else self.repository.cause(patch, onto, merged.conflicts)
                    clash = Clash(merged.kind, merged.conflicts, cause, builds_on)
                    parked.append((patch.told, self.repository.touched(patch)))
                    aside = on_conflict == "park" or patch in unparked
                    fates.append(Fate(number, patch, "parked" if aside else "conflict", clash=clash))
                elif merged.tree == self.repository.tree(tip):
                    fates.append(Fate(number, patch, "empty"))
                else:
                    tip = self.repository.write(patch, merged.tree, tip)
                    fates.append(Fate(number, patch, "moved", tip))
        return Replayed(tip, tuple(fates))

    def _refusal(self, queue: Queue, replayed: Replayed) -> Result | None:
        self.at("next")
        self.repository.point(NEXT, replayed.tip)
        if obstacle := self.working_copy.obstacle(replayed.tip):
            return self._result("blocked", queue, replayed, obstacle)
        self.at("check")
        if reason := self.check(replayed.tip):
            return self._result("unsound", queue, replayed, reason)
        return None

    def _move(self, old: ObjectId, new: ObjectId, replayed: Replayed | None = None) -> str:
        self.at("snapshot")
        name = self._snapshot(old)
        for fate in replayed.of("parked") if replayed else ():
            self.at("park")
            self.repository.park(fate.patch)
        self.at("move")
        self.repository.point(self.local.ref, new, old)
        return name

    def _snapshot(self, commit: ObjectId) -> str:
        known = self.repository.snapshots()
        if known and known[0].commit == commit:
            return known[0].name
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now()))
        taken, name, number = {one.name for one in known}, stamp, 1
        while name in taken:
            number += 1
            name = f"{stamp}-{number}"
        self.repository.point(SNAPSHOTS + name, commit)
        return name

    def _finish(self, outcome: Outcome, queue: Queue, replayed: Replayed, snapshot: str | None) -> Result:
        if self.site is not None:
            self.repository.follow(self.site)
        self.at("deploy")
        done = self.deploy()
        if not done.good:
            if outcome == "synced":
                self.repository.point(self.local.ref, queue.local, replayed.tip)
                for fate in replayed.of("parked"):
                    self.repository.forget(PARKED + fate.patch.commit, fate.patch.commit)
            return self._result("failed", queue, replayed, f"the old state stays: {done.detail}")
        self.at("base")
        self.repository.point(BASE, queue.upstream)
        self.repository.point(NEXT, replayed.tip)
        left = self.working_copy.bring(replayed.tip)
        for fate in replayed.of("moved", "kept", "taken", "empty"):
            self.at("unpark")
            if self.repository.tip(PARKED + fate.patch.commit) is not None:
                self.repository.forget(PARKED + fate.patch.commit, fate.patch.commit)
        self.at("prune")
        self._prune(replayed.tip)
        detail = "; ".join(filter(None, (done.detail, left)))
        return self._result(outcome, queue, replayed, detail, snapshot)

    def _prune(self, tip: ObjectId) -> None:
        """Forget old snapshots, but none with the only copy of a patch."""
        snapshots = self.repository.snapshots()
        doomed = prunable(snapshots, self.policy.snapshots, self.now() - self.policy.snapshots_kept)
        if not doomed:
            return
        theirs = self.repository.upstream_commits()
        elsewhere = {one.key for one in (*self.repository.patches(tip, theirs), *self.repository.parked())}
        for one in snapshots:
            patches = self.repository.patches(one.commit, theirs)
            if one in doomed and not self._only(patches, elsewhere, tip):
                self.repository.forget(SNAPSHOTS + one.name, one.commit)
            else:
                elsewhere |= {patch.key for patch in patches}

    def _only(self, patches: Iterable[Patch], elsewhere: set[str], tip: ObjectId) -> bool:
        """Tell whether one of them is nowhere else: neither as a patch, nor as what the tip has already."""
        for patch in only_copies(patches, elsewhere):
            merged = self.repository.merge(patch, tip)
            if merged.conflicts or merged.tree != self.repository.tree(tip):
                return True
        return False

    def _parked_commits(self) -> tuple[Commit, ...]:
        try:
            return tuple(one.told for one in self.repository.parked())
        except ToolkitError:
            return ()

    def _result(
        self, outcome: Outcome, queue: Queue, replayed: Replayed, detail: str = "", snapshot: str | None = None
    ) -> Result:
        return Result(
            outcome, message(outcome, queue, replayed, detail), queue, replayed, self._parked_commits(), snapshot
        )
