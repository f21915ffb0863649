"""The instance's own repository, as the patch queue needs it: its parts, all on the same git.

Owns nothing but that: each part says what is its own. Starts no process when it
is made.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from enc.terms.errors import Conflict
from enc.terms.names import BranchName
from puppetmaster_self.sync.central import Central
from puppetmaster_self.sync.commits import Commits
from puppetmaster_self.sync.git import Git
from puppetmaster_self.sync.merging import Merging
from puppetmaster_self.sync.own_refs import OwnRefs
from puppetmaster_self.sync.queueing import Queueing

_NETWORK = 300.0


class PatchRepository:
    """One bare repository."""

    def __init__(self, path: Path, *, timeout: float = _NETWORK, lock_handle: int | None = None) -> None:
        """`timeout` (seconds) is for what goes over the network; git's processes hold `lock_handle`, too."""
        self.git = Git(path, () if lock_handle is None else (lock_handle,))
        self.commits = Commits(self.git)
        self.central = Central(self.git, self.commits, timeout)
        self.refs = OwnRefs(self.git, self.commits)
        self.merging = Merging(self.git, self.commits)
        self.queueing = Queueing(self.git, self.commits, self.central, self.merging)

    def follow(self, branch: BranchName) -> None:
        """Let another branch go along with the central one, if nobody has added to it here."""
        here, theirs = self.commits.tip(branch.ref), self.central.tip(branch)
        if here is None or theirs is None or here == theirs:
            return
        if self.git.ask("merge-base", "--is-ancestor", here, theirs).status == 0:
            with contextlib.suppress(Conflict):
                self.refs.point(branch.ref, theirs, here)
