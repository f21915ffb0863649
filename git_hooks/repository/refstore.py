"""Moves a repository's branches to refs/archive/ and back, and says when and where commits arrived.

Owns: the only writing of refs that is no push, and the names below
refs/archive/: BRANCH@SECONDS, the time when it was archived, or the next second
that is free. ('@' is in no branch name, so an archived branch never stands in
the way of another.) What is kept there is a branch that went away, or commits
that a branch forgot. A move is one transaction of git's own program: after a kill, a branch is here or there, and a
branch that somebody pushed to meanwhile is not moved. (libgit2's transactions know no old value, have no order,
and start no reference-transaction hook.) Which branches have a commit is git's to say, too: it uses the commit-graph.

Failure modes: git refuses or fails: `RepositoryError`; moved meanwhile: `Conflict`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from enc.programs.times import compact
from enc.terms.errors import Conflict
from enc.terms.names import HEADS, BranchName
from git_hooks.repository.git_program import command, sealed
from git_hooks.repository.objects import Repository
from git_hooks.repository.reading import RepositoryError
from git_hooks.repository.refs import ObjectId

ARCHIVE = "refs/archive/"
_AT_ONCE = 500
"""Refs that one transaction of git's takes out: each may be a file that git locks."""


class Archived(NamedTuple):
    """A branch that was taken away, and is kept."""

    branch: BranchName
    commit: ObjectId
    at: int
    """When, in seconds since 1970."""

    @property
    def name(self) -> str:
        """What people call it: `topic/red/x@20261101T143005`, in UTC."""
        return f"{self.branch}@{compact(self.at)}"

    @property
    def ref(self) -> str:
        """Where it is kept."""
        return f"{ARCHIVE}{self.branch}@{self.at}"


class RefStore:
    """The refs of one bare repository."""

    def __init__(self, path: str) -> None:
        """Start nothing."""
        self.path = path

    def dates(self) -> dict[BranchName, int]:
        """Return when the last commit of each branch was made, as its committer's machine had it."""
        with Repository(self.path) as repository:
            branches = repository.branches()
            times = repository.committed(branches.values())
        return {branch: times[commit] for branch, commit in branches.items() if commit in times}

    def containing(self, commit: ObjectId) -> tuple[BranchName, ...]:
        """Return the branches that have `commit`, sorted."""
        refs = self._lines("for-each-ref", f"--contains={commit}", "--format=%(refname)", HEADS)
        names = (ref.removeprefix(HEADS) for ref in refs)
        return tuple(sorted(BranchName(name) for name in names if BranchName.accepts(name)))

    def archived_with(self, commit: ObjectId) -> list[str]:
        """Return the refs of the archive that have `commit`."""
        return self._lines("for-each-ref", f"--contains={commit}", "--format=%(refname)", ARCHIVE)

    def archived(self) -> tuple[Archived, ...]:
        """Return what is in the archive, the newest first."""
        found = []
        with Repository(self.path) as repository:
            refs = repository.refs(ARCHIVE)
        for ref, commit in refs:
            branch, _, at = ref.removeprefix(ARCHIVE).rpartition("@")
            if BranchName.accepts(branch) and at.isdigit() and at.isascii():
                found.append(Archived(BranchName(branch), commit, int(at)))
        return tuple(sorted(found, key=lambda one: (-one.at, one.branch)))

    def archive(self, branch: BranchName, commit: ObjectId, at: int) -> Archived:
        """Take `branch`, which is at `commit`, away, and keep it."""
        kept = self._free(branch, commit, at)
        self._move(f"create {kept.ref} {commit}", f"delete {branch.ref} {commit}", branch)
        return kept

    def keep(self, branch: BranchName, commit: ObjectId, at: int) -> Archived:
        """Keep what `branch` had before."""
        kept = self._free(branch, commit, at)
        self._move(f"create {kept.ref} {commit}", "", branch)
        return kept

    def restore(self, kept: Archived, branch: BranchName) -> None:
        """Bring what is archived back as `branch`."""
        self._move(f"create {branch.ref} {kept.commit}", f"delete {kept.ref} {kept.commit}", branch)

    def forget(self, kept: Sequence[Archived]) -> None:
        """Take these out of the archive; git collects the commits later."""
        for first in range(0, len(kept), _AT_ONCE):
            some = kept[first : first + _AT_ONCE]
            self._move("", "\n".join(f"delete {one.ref} {one.commit}" for one in some), some[0].branch)

    def move(self, branch: BranchName, commit: ObjectId, old: ObjectId | None, *, keep_at: int | None = None) -> None:
        """Let `branch`, which is at `old` (None: there is none), be at `commit`; keep `old` if `keep_at` is a time."""
        kept = self._free(branch, old, keep_at) if old is not None and keep_at is not None else None
        create = f"create {kept.ref} {kept.commit}" if kept is not None else ""
        self._move(create, f"update {branch.ref} {commit} {old or '0' * len(commit)}", branch)

    def create(self, branch: BranchName, commit: ObjectId) -> None:
        """Make a new branch."""
        self._move(f"create {branch.ref} {commit}", "", branch)

    def _free(self, branch: BranchName, commit: ObjectId, at: int) -> Archived:
        taken = {one.at for one in self.archived() if one.branch == branch}
        while at in taken:
            at += 1
        return Archived(branch, commit, at)

    def _move(self, create: str, change: str, branch: BranchName) -> None:
        commands = "\n".join(line for line in ("start", create, change, "prepare", "commit") if line) + "\n"
        done = self._run(["update-ref", "--stdin"], commands)
        if done.returncode:
            raise Conflict(f"the branch was not moved, git says: {_why(done.stderr)}", where=branch)

    def _lines(self, *words: str) -> list[str]:
        done = self._run([*words])
        if done.returncode:
            raise RepositoryError(f"git {words[0]} failed: {_why(done.stderr)}", where=self.path)
        return done.stdout.rstrip("\n").split("\n") if done.stdout else []  # for splitlines(), a name may be two lines

    def _run(self, words: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command(self.path, *words),
                env=sealed(os.environ),
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except OSError as error:
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self.path) from error


def _why(words: str) -> str:
    from enc.terms.program_words import why  # only for a failure

    return why(words)
