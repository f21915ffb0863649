"""The refs that are ours in the instance's own repository: moved as a whole or not at all.

    refs/heads/LOCAL       the local branch, which people push to as well
    refs/sync/base         the central commit that the patches stand on
    refs/sync/next         what is about to become the local branch
    refs/snapshots/TIME    the local branch, before it was moved at TIME
    refs/parked/COMMIT     a patch that was set aside: the commit itself

Not here: refs/remotes/ (central.py), which snapshots are needed (snapshots.py).

Failure modes: a ref that somebody moved meanwhile: `Conflict`, and nothing has
changed.
"""

from __future__ import annotations

import calendar
import time
from dataclasses import dataclass

from enc.terms.errors import Conflict
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.instance.keep import reason
from puppetmaster_self.sync.commits import Commits
from puppetmaster_self.sync.git import Git
from puppetmaster_self.sync.upstream import Patch, Snapshot

BASE = "refs/sync/base"
NEXT = "refs/sync/next"
_PARKED = "refs/parked/"
_SNAPSHOTS = "refs/snapshots/"


@dataclass(frozen=True)
class OwnRefs:
    """Those of one repository."""

    git: Git
    commits: Commits

    def point(self, ref: str, new: ObjectId, old: ObjectId | None = None) -> None:
        """Let a ref be at `new`; with `old`, only if it is there: else raise `Conflict`."""
        expected = () if old is None else (old,)
        answer = self.git.ask("update-ref", "--create-reflog", "-m", "puppetmaster-self sync", ref, new, *expected)
        if answer.status:
            raise Conflict(f"{ref} was not moved, git says: {reason(answer.words)}", where=str(self.git.directory))

    def hold(self, commit: ObjectId) -> bool:
        """Tell whether some ref leads to a commit."""
        answer = self.git.ask("for-each-ref", "--count=1", f"--contains={commit}")
        return answer.status == 0 and bool(answer.output.strip())

    def parked(self) -> tuple[Patch, ...]:
        """Return the patches that were set aside, in their authors' order."""
        output = self.git.text("for-each-ref", "--sort=authordate", "--format=%(objectname)", _PARKED)
        return tuple(self.commits.patch(ObjectId(line)) for line in output.split())

    def park(self, patch: Patch) -> None:
        """Keep a patch aside."""
        self.point(_PARKED + patch.commit, patch.commit)

    def unpark(self, patch: Patch) -> None:
        """Keep a patch aside no longer, if it was."""
        if self.commits.tip(_PARKED + patch.commit) is not None:
            self._forget(_PARKED + patch.commit, patch.commit)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Return the former states of the local branch, the newest first."""
        found = []
        for line in self.git.text("for-each-ref", "--format=%(objectname) %(refname)", _SNAPSHOTS).splitlines():
            commit, _, ref = line.partition(" ")
            name = ref.removeprefix(_SNAPSHOTS)
            if (at := _moment(name)) is not None:
                found.append(Snapshot(name, ObjectId(commit), at))
        return tuple(sorted(found, key=lambda one: one.name, reverse=True))

    def keep(self, name: str, commit: ObjectId) -> None:
        """Keep a commit as the snapshot `name`."""
        self.point(_SNAPSHOTS + name, commit)

    def drop(self, snapshot: Snapshot) -> None:
        """Keep a snapshot no longer."""
        self._forget(_SNAPSHOTS + snapshot.name, snapshot.commit)

    def _forget(self, ref: str, old: ObjectId) -> None:
        self.git.run("update-ref", "-d", ref, old)


def _moment(name: str) -> float | None:
    """Return the time (seconds since 1970) that is a snapshot's name; None: it is none."""
    text = name.partition("-")[0]
    try:
        return float(calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return None
