"""Reads the history of a repository's branches, and moves branches to refs/archive/ and back.

Owns: the only writing of refs that is no push, and the names below
refs/archive/: BRANCH@SECONDS, the time when it was archived. ('@' is in no
branch name, so an archived branch never stands in the way of another.) A move
is one transaction of git's: after a kill, a branch is here or there, and a
branch that somebody pushed to meanwhile is not moved.

Failure modes: git refuses or fails: `RepositoryError`; moved meanwhile: `Conflict`.
"""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from enc.errors import Conflict
from enc.names import BranchName
from git_hooks.history import History
from git_hooks.refs import HEADS, ObjectId
from git_hooks.repository import RepositoryError, git_environment

ARCHIVE = "refs/archive/"


class Archived(NamedTuple):
    """A branch that was taken away, and is kept."""

    branch: BranchName
    commit: ObjectId
    at: int
    """When, in seconds since 1970."""

    @property
    def ref(self) -> str:
        """Where it is kept."""
        return f"{ARCHIVE}{self.branch}@{self.at}"


class RefStore:
    """The refs of one bare repository."""

    def __init__(self, path: str) -> None:
        """Start nothing."""
        self.path = path

    def history(self) -> History:
        """Return all commits of all branches."""
        return History(self._git("rev-list", "--topo-order", "--parents", "--branches").splitlines())

    def dates(self) -> dict[BranchName, int]:
        """Return when the last commit of each branch was made, as its author's machine had it."""
        output = self._git("for-each-ref", "--format=%(committerdate:unix) %(refname)", HEADS)
        pairs = (line.partition(" ")[::2] for line in output.splitlines())
        return {
            BranchName(ref.removeprefix(HEADS)): int(date)
            for date, ref in pairs
            if BranchName.accepts(ref.removeprefix(HEADS)) and date.isdigit()
        }

    def containing(self, commit: ObjectId) -> tuple[BranchName, ...]:
        """Return the branches that have `commit`, sorted."""
        output = self._git("for-each-ref", f"--contains={commit}", "--format=%(refname)", HEADS)
        names = (ref.removeprefix(HEADS) for ref in output.splitlines())
        return tuple(sorted(BranchName(name) for name in names if BranchName.accepts(name)))

    def archived(self) -> tuple[Archived, ...]:
        """Return what is in the archive, the newest first."""
        found = []
        for line in self._git("for-each-ref", "--format=%(objectname) %(refname)", ARCHIVE).splitlines():
            commit, _, ref = line.partition(" ")
            branch, _, at = ref.removeprefix(ARCHIVE).rpartition("@")
            if BranchName.accepts(branch) and at.isdigit() and at.isascii():
                found.append(Archived(BranchName(branch), ObjectId(commit), int(at)))
        return tuple(sorted(found, key=lambda one: (-one.at, one.branch)))

    def archive(self, branch: BranchName, commit: ObjectId, at: int) -> Archived:
        """Take `branch`, which is at `commit`, away, and keep it."""
        kept = Archived(branch, commit, at)
        self._move(f"create {kept.ref} {commit}", f"delete {branch.ref} {commit}", branch)
        return kept

    def restore(self, kept: Archived) -> None:
        """Bring an archived branch back."""
        self._move(f"create {kept.branch.ref} {kept.commit}", f"delete {kept.ref} {kept.commit}", kept.branch)

    def create(self, branch: BranchName, commit: ObjectId) -> None:
        """Make a new branch."""
        self._move(f"create {branch.ref} {commit}", "", branch)

    def _move(self, create: str, delete: str, branch: BranchName) -> None:
        commands = "\n".join(line for line in ("start", create, delete, "prepare", "commit") if line) + "\n"
        done = self._run(["update-ref", "--stdin"], commands)
        if done.returncode:
            raise Conflict(f"the branch was not moved, git says: {done.stderr.strip()}", where=branch)

    def _git(self, *words: str) -> str:
        done = self._run([*words])
        if done.returncode:
            raise RepositoryError(f"git {words[0]} failed: {done.stderr.strip()}", where=self.path)
        return done.stdout

    def _run(self, words: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", f"--git-dir={self.path}", *words],
                env=git_environment(os.environ),
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except OSError as error:
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self.path) from error
