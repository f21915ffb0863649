"""Commits of the instance's own repository, as patches: what they say, what they change. Reads only.

Owns: how a commit's text becomes a `Patch`. Not here: which commits are local
(queueing.py), what becomes of a patch (upstream.py).

Failure modes: a commit that is not there, or git's words: `GitFailed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import tree_and_parents
from puppetmaster_self.sync.git import Git
from puppetmaster_self.sync.upstream import Commit, Patch, key_of

LONGEST = 1000
"""So many local commits are a queue; more are a branch that does not belong to this upstream."""


@dataclass(frozen=True)
class Commits:
    """The commits of one repository."""

    git: Git

    def tip(self, ref: str) -> ObjectId | None:
        """Return the commit of a ref, None if there is none."""
        answer = self.git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        text = answer.output.decode("ascii", "replace").strip()
        return ObjectId(text) if answer.status == 0 and ObjectId.accepts(text) else None

    def listed(self, *words: str) -> list[ObjectId]:
        """Return the commits that `git rev-list` names, in its order."""
        return [ObjectId(line) for line in self.git.text("rev-list", *words).split()]

    def patches(self, tip: ObjectId, without: Iterable[ObjectId]) -> tuple[Patch, ...]:
        """Return the commits of `tip` that none of `without` has, but no merges."""
        words = ("--no-merges", f"--max-count={LONGEST}", tip, *(f"^{one}" for one in without))
        return tuple(self.patch(commit) for commit in self.listed(*words))

    def patch(self, commit: ObjectId) -> Patch:
        """Return one commit as a patch; of a merge, on its first parent."""
        return patch_of(commit, self.raw(commit))

    def raw(self, commit: ObjectId) -> bytes:
        """Return the text of a commit as git keeps it."""
        return self.git.run("cat-file", "commit", commit)

    def told(self, commit: ObjectId) -> Commit:
        """Return a commit as people are told of it."""
        return self.patch(commit).told

    def tree(self, commit: ObjectId) -> str:
        """Return the tree of a commit."""
        return self.git.text("rev-parse", f"{commit}^{{tree}}").strip()

    def touched(self, patch: Patch) -> frozenset[str]:
        """Return the paths that a patch changes; of a rename, both."""
        words = ("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", "--no-renames", patch.commit)
        return self.git.paths(*words)


def parents_of(raw: bytes) -> tuple[ObjectId, ...]:
    """Return the parents that a commit's text names."""
    return tuple(map(ObjectId, tree_and_parents(raw)[1]))


def patch_of(commit: ObjectId, raw: bytes) -> Patch:
    """Return the patch that a commit's text tells; of a merge, on its first parent."""
    header, _, message = raw.partition(b"\n\n")
    author = next((line for line in header.split(b"\n") if line.startswith(b"author ")), b"author ?")
    who = author.removeprefix(b"author ").rpartition(b">")[0] + b">"
    subject = message.strip().partition(b"\n")[0]
    parent = next(iter(parents_of(raw)), None)
    return Patch(commit, parent, who.decode("utf-8", "replace"), subject.decode("utf-8", "replace"), key_of(raw))
