"""Former states of the local branch: taken before it moves, found again, forgotten when they are old.

Owns: how they are named, and that none goes which holds the only copy of a
patch. Not here: moving the branch (sync.py), their refs (own_refs.py).

Failure modes: git's, as `GitFailed`; a kill between a snapshot and the move of
the branch leaves a snapshot of the present state, which the next one is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from enc.terms.errors import NotFound
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.sync.patch_repository import PatchRepository
from puppetmaster_self.sync.upstream import Patch, Snapshot, only_copies, prunable


@dataclass(frozen=True)
class Snapshots:
    """Those of one repository."""

    repository: PatchRepository

    def take(self, commit: ObjectId, now: float) -> str:
        """Keep a commit, unless the newest snapshot is of it; return the snapshot's name."""
        refs = self.repository.refs
        known = refs.snapshots()
        if known and known[0].commit == commit:
            return known[0].name
        if known and now < known[0].at:  # the clock was set back: the newest has to be the last by its name, too
            now = known[0].at + 1
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        taken, name, number = {one.name for one in known}, stamp, 1
        while name in taken:
            number += 1
            name = f"{stamp}-{number}"
        refs.keep(name, commit)
        return name

    def find(self, name: str | None, tip: ObjectId) -> Snapshot:
        """Return the snapshot `name`, None: the newest that is not of `tip`; raise `NotFound` with those known."""
        known = self.repository.refs.snapshots()
        chosen = next((one for one in known if (one.name == name if name else one.commit != tip)), None)
        if chosen is None:
            names = ", ".join(one.name for one in known) or "there is none"
            raise NotFound(f"no such snapshot; known: {names}", where=name)
        return chosen

    def prune(self, tip: ObjectId, number: int, oldest: float) -> None:
        """Forget those beyond the `number` newest and from before `oldest`, but none with the only copy of a patch."""
        refs, commits = self.repository.refs, self.repository.commits
        snapshots = refs.snapshots()
        doomed = prunable(snapshots, number, oldest)
        if not doomed:
            return
        theirs = self.repository.central.tips()
        elsewhere = {one.key for one in (*commits.patches(tip, theirs), *refs.parked())}
        for one in snapshots:
            patches = commits.patches(one.commit, theirs)
            if one in doomed and not self._only(patches, elsewhere, tip):
                refs.drop(one)
            else:
                elsewhere |= {patch.key for patch in patches}

    def _only(self, patches: Iterable[Patch], elsewhere: set[str], tip: ObjectId) -> bool:
        """Tell whether one of them is nowhere else: neither as a patch, nor as what the tip has already."""
        for patch in only_copies(patches, elsewhere):
            merged = self.repository.merging.merge(patch, tip)
            if merged.conflicts or merged.tree != self.repository.commits.tree(tip):
                return True
        return False
