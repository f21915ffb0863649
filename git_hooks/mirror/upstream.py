"""The forge: what branches there are, and their commits. What a fetch brings is apart until all is there (arriving.py).

How git is run over the network, and how that fails, is remote_git.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from enc.terms.names import HEADS, BranchName
from git_hooks.mirror.arriving import arriving
from git_hooks.mirror.remote_git import RemoteGit, UpstreamFailed
from git_hooks.repository.bounds import Bounds
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import BranchSettings


class Upstream:
    """The repository at the forge, and its copy here."""

    def __init__(self, settings: BranchSettings) -> None:
        """Connect to nothing yet."""
        self._url = settings.mirror.url or ""
        self._repository = str(settings.repository)
        bounds = Bounds(settings.git_memory, int(settings.git_seconds), settings.mirror.fetch_bytes)
        self._git_at = RemoteGit(self._repository, self._url, settings.mirror, bounds, "branches.mirror")

    def branches(self) -> dict[BranchName, ObjectId]:
        """Return all branches at the forge whose names are taken here."""
        found = {}
        # Not splitlines(): a branch `production`, a line separator and more would pass for `production`.
        for line in self._git("ls-remote", "--heads", "--", self._url).split("\n"):
            commit, _, ref = line.partition("\t")
            name = ref.removeprefix(HEADS)
            if ref.startswith(HEADS) and BranchName.accepts(name) and ObjectId.accepts(commit):
                found[BranchName(name)] = ObjectId(commit)
        return found

    def fetch(self, branches: Iterable[BranchName]) -> None:
        """Bring the commits of `branches` here; no branch moves. What is not used, git collects some weeks later."""
        refs = [branch.ref for branch in branches]
        options = ("--no-tags", "--no-recurse-submodules", "--no-auto-maintenance")
        try:
            with arriving(self._repository) as objects, self._git_at.place(objects) as place:
                self._git_at.run(place, ("fetch", "--quiet", *options, "--", self._url, *refs))
                # What has no beginning git leaves out, and succeeds: its parents would be missing here.
                if Path(place, "FETCH_HEAD").read_bytes().count(b"\n") < len(refs):
                    raise UpstreamFailed(
                        "git fetch: the forge has a shallow repository, which lacks the beginning of its history; "
                        "complete it there (git fetch --unshallow)",
                        where=self._url,
                    )
        except OSError as error:
            where = str(error.filename or self._repository)
            raise UpstreamFailed(f"the fetch cannot be stored: {error.strerror or error}", where=where) from error

    def _git(self, *arguments: str) -> str:
        with self._git_at.place() as place:
            return self._git_at.run(place, arguments)
