"""Which local commits are patches: read from the local branch, the central one and where that has been.

Owns: what makes a branch a queue, and which of its patches upstream has taken.
Reads, but for the scratch objects of a merge that is tried. Not here: what
becomes of the patches (replay.py).

Failure modes: a branch that is no queue (too long, or a merge with changes of
its own): `ToolkitError`, which says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.sync.central import Central
from puppetmaster_self.sync.commits import LONGEST, Commits, parents_of, patch_of
from puppetmaster_self.sync.git import Git
from puppetmaster_self.sync.merging import Merging
from puppetmaster_self.sync.own_refs import BASE
from puppetmaster_self.sync.upstream import Commit, Patch, Queue


@dataclass(frozen=True)
class Queueing:
    """Reads the queues of one repository."""

    git: Git
    commits: Commits
    central: Central
    merging: Merging

    def queue(self, local: BranchName, branch: BranchName) -> Queue:
        """Return the local commits on `branch` as it was fetched; raise `ToolkitError` if they are no queue."""
        tip, theirs = self.commits.tip(local.ref), self.central.tip(branch)
        if tip is None or theirs is None:
            raise ToolkitError(f"no branch {local if tip is None else branch}", where=str(self.git.directory))
        once = (f"^{commit}" for commit in self._once(branch))
        new = self.commits.listed("--topo-order", f"--max-count={LONGEST + 1}", tip, f"^{theirs}", *once)
        if len(new) > LONGEST:
            raise ToolkitError(
                f"{local} has more than {LONGEST} commits that {branch} never had; is {branch} the right branch?"
            )
        all_new = int(self.git.text("rev-list", "--count", tip, f"^{theirs}"))
        behind = int(self.git.text("rev-list", "--count", theirs, f"^{tip}"))
        patches = []
        for commit in reversed(new):
            raw = self.commits.raw(commit)
            if len(parents := parents_of(raw)) > 1:
                self._refuse_change(commit, parents)
            else:
                patches.append(patch_of(commit, raw))
        return Queue(tip, theirs, tuple(patches), all_new - len(new), behind)

    def taken(self, queue: Queue) -> dict[ObjectId, Commit | None]:
        """Return the patches of which upstream has a commit with the same patch-id, with that commit."""
        marked = self._equal("--right-only", f"{queue.upstream}...{queue.local}")
        return {one.commit: self._taken_as(queue, one) for one in queue.patches if one.commit in marked}

    def _once(self, branch: BranchName) -> tuple[ObjectId, ...]:
        """Return where the central branch was: what stood there is no patch, even if upstream has thrown it away."""
        base = self.commits.tip(BASE)
        return tuple(dict.fromkeys([*([base] if base else []), *self.central.seen(branch)]))

    def _refuse_change(self, commit: ObjectId, parents: Sequence[ObjectId]) -> None:
        """Raise `ToolkitError` if a merge holds more than git's own merge of its parents."""
        merged = self.merging.merge_commits(parents[0], parents[1]) if len(parents) == 2 else None
        if merged is None or merged.conflicts or merged.tree != self.commits.tree(commit):
            raise ToolkitError(
                f"the merge {self.commits.told(commit)} has changes of its own that are in no patch; turn it into a "
                "line of commits (git rebase), then sync again"
            )

    def _taken_as(self, queue: Queue, patch: Patch) -> Commit | None:
        without = () if patch.parent is None else (f"^{patch.parent}",)
        found = self._equal("--left-only", f"{queue.upstream}...{patch.commit}", *without)
        return self.commits.told(ObjectId(found[-1])) if found else None

    def _equal(self, side: str, *words: str) -> list[str]:
        """Return the commits of one side that the other has under another name."""
        marked = self.git.text("rev-list", "--cherry-mark", side, "--no-merges", *words).splitlines()
        return [line[1:] for line in marked if line.startswith("=")]
