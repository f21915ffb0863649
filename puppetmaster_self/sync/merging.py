"""Patches carried over: git's own merge of three trees, and the commits that come of it.

Owns: the objects that this writes. No ref names them here; git collects what
nobody has pointed a ref at some weeks later, so a kill leaves nothing to mend.
No working tree is involved, neither the live one nor a scratch one. Not here:
which patches, in what order (replay.py).

Failure modes: an answer of git that is no merge: `GitFailed`. A conflict is no
failure, but a `Merged` with conflicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from git_hooks.repository.refs import ObjectId
from puppetmaster_self.instance.keep import reason
from puppetmaster_self.sync.commits import Commits
from puppetmaster_self.sync.git import Git, GitFailed
from puppetmaster_self.sync.upstream import Commit, Merged, Patch, parse_merge, rewritten

_NOBODY = "puppetmaster-self <> 0 +0000"


@dataclass(frozen=True)
class Merging:
    """The merges of one repository."""

    git: Git
    commits: Commits

    def merge(self, patch: Patch, onto: ObjectId) -> Merged:
        """Merge what `patch` changes into `onto`."""
        base, theirs = patch.parent, patch.commit
        if base is None:  # a commit without parent changes an empty tree
            base = self._scratch(self.git.run("mktree", stdin=b"").decode("ascii").strip(), ())
            theirs = self._scratch(self.commits.tree(patch.commit), (base,))
        ours = self._scratch(self.commits.tree(onto), (base,))
        return self.merge_commits(ours, theirs)

    def merge_commits(self, ours: ObjectId, theirs: ObjectId) -> Merged:
        """Merge two commits, from where they parted."""
        words = ("merge-tree", "--write-tree", "-z", "--name-only", "--messages", "--allow-unrelated-histories")
        answer = self.git.ask(*words, ours, theirs)
        try:
            return parse_merge(answer.status, answer.output)
        except ValueError as error:
            raise GitFailed(f"git merge-tree failed: {reason(answer.words)}", where=str(self.git.directory)) from error

    def write(self, patch: Patch, tree: str, parent: ObjectId) -> ObjectId:
        """Write `patch` as a commit with this tree and parent."""
        return self._write(rewritten(self.commits.raw(patch.commit), tree, parent))

    def cause(self, patch: Patch, onto: ObjectId, paths: Sequence[str]) -> Commit | None:
        """Return the first commit up to `onto` from which on `patch` conflicts, as far as that can be told.

        Commits that touched the paths are tried, halving; each time with the
        merge of everything up to the patch, so earlier patches count, too.
        """
        wanted = sorted(self.commits.touched(patch) | set(paths))
        literal = [f":(literal){path}" for path in wanted]
        words = ("--no-merges", "--reverse", "--topo-order", onto, f"^{patch.commit}", "--", *literal)
        touching = self.commits.listed(*words)
        if not touching:
            return None
        low, high = 0, len(touching) - 1
        while low < high:
            middle = (low + high) // 2
            if self.merge_commits(touching[middle], patch.commit).conflicts:
                high = middle
            else:
                low = middle + 1
        return self.commits.told(touching[low])

    def _scratch(self, tree: str, parents: Sequence[str]) -> ObjectId:
        lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {_NOBODY}", f"committer {_NOBODY}"]
        return self._write("\n".join([*lines, "", "scratch", ""]).encode("ascii"))

    def _write(self, text: bytes) -> ObjectId:
        written = self.git.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
        return ObjectId(written.decode("ascii").strip())
