"""The working copy in which people edit: it goes along when the local branch is moved, and nothing of theirs is lost.

Uncommitted work is carried where git can show that it is not in the way: in
files that are the same before and after. Where it is in the way, and while a
rebase, a merge or commits that were not pushed are in there, the whole sync is
refused before anything has changed. git decides both (`git read-tree -m -u`,
first without acting).

What a kill leaves: a file beside the sync's results says from which commit to
which the files were being moved. The next `mend` puts back the files that are
still as one of the two has them, or half of the new one; then it is tried anew.
A file that is neither was edited since, and stays.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.names import BranchName
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.instance.keep import reason
from puppetmaster_self.sync.commits import Commits
from puppetmaster_self.sync.git import Answer, Git
from puppetmaster_self.sync.own_refs import NEXT
from puppetmaster_self.sync.patch_repository import PatchRepository

_UNDER_WAY = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisect",
}
_SHOWN = 5


class WorkingCopy:
    """One clone of the instance's own repository, or none."""

    def __init__(
        self,
        path: Path,
        branch: BranchName,
        repository: PatchRepository,
        mark: Path,
        at: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`mark` is the file that says what is under way; `at` is told before each act."""
        self.path = path
        self._git = Git(path, repository.git.handles)
        self._branch = branch
        self._repository = repository
        self._mark = mark
        self._at = at

    @property
    def _dot_git(self) -> Path:
        return self.path / ".git"

    def mend(self) -> None:
        """Put back what an interrupted move left."""
        try:
            under_way = json.loads(self._mark.read_text(encoding="ascii"))
            old, new = ObjectId(under_way["old"]), ObjectId(under_way["new"])
        except FileNotFoundError:
            return
        if self._dot_git.is_dir() and self._checked_out() and self._tip() == old:
            lock = self._dot_git / "index.lock"
            if lock.exists() and not _is_open(lock):
                lock.unlink(missing_ok=True)
            names = self._git.paths("diff-tree", "-r", "--no-renames", "-z", "--name-only", old, new)
            # git writes the index last and whole: where it has moved, all files have, and only the branch is left.
            if names & self._git.paths("diff-index", "--cached", "--no-renames", "-z", "--name-only", new):
                self._put_back(old, new, names)
            else:
                self._git.run("update-ref", "-m", "puppetmaster-self sync", self._branch.ref, new, old)
        self._mark.unlink(missing_ok=True)

    def obstacle(self, target: ObjectId) -> str:
        """Return why the working copy cannot go along to `target`, which refs/sync/next holds; empty: it can."""
        if not self._dot_git.is_dir():
            return ""
        tip = self._tip()
        if tip is None or tip == target:
            return ""
        for name, what in _UNDER_WAY.items():
            if (self._dot_git / name).exists():
                return f"{what} is under way in {self.path}; finish or abort it"
        if not self._repository.refs.hold(tip):
            return f"{self.path} has commits that were not pushed; git push, or git pull --rebase"
        self._fetch()
        if not self._checked_out():
            return ""
        self._git.ask("update-index", "-q", "--refresh")
        tried = self._git.ask("read-tree", "-n", "-m", "-u", tip, target)
        if tried.status == 0:
            return ""
        return f"uncommitted work in {self.path} is in the way: {_paths(tried)}; commit it or stash it (git stash)"

    def bring(self, target: ObjectId) -> str:
        """Move it to `target`; return why that was not possible, empty if it was."""
        if obstacle := self.obstacle(target):
            return obstacle
        if not self._dot_git.is_dir() or (tip := self._tip()) is None or tip == target:
            return ""
        whole_file.write(
            self._mark, json.dumps({"old": tip, "new": target}).encode("ascii"), mode=0o600, survives=Strength.POWER_CUT
        )
        self._at("working copy")
        if self._checked_out():
            moved = self._git.ask("read-tree", "-m", "-u", tip, target)
            if moved.status:
                self._mark.unlink()
                return f"{self.path} stays as it is: {_paths(moved)}"
        self._at("working copy's branch")
        self._git.run("update-ref", "-m", "puppetmaster-self sync", self._branch.ref, target, tip)
        self._mark.unlink()
        return ""

    def _put_back(self, old: ObjectId, new: ObjectId, names: Iterable[str]) -> None:
        for name in names:
            path = self.path / name
            before, after = self._content(old, name), self._content(new, name)
            present = _read(path)
            if present == before:
                continue
            if present is not None and not (after is not None and after.startswith(present)):
                continue  # edited since
            if before is None:
                with contextlib.suppress(OSError):
                    path.unlink()
            else:
                self._git.run("checkout-index", "-f", "--", name)

    def _content(self, commit: ObjectId, name: str) -> bytes | None:
        answer = self._git.ask("cat-file", "blob", f"{commit}:{name}")
        return answer.output if answer.status == 0 else None

    def _tip(self) -> ObjectId | None:
        return Commits(self._git).tip(self._branch.ref)

    def _checked_out(self) -> bool:
        return self._git.ask("symbolic-ref", "--quiet", "HEAD").output.strip() == self._branch.ref.encode("ascii")

    def _fetch(self) -> None:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        self._git.run("fetch", *options, str(self._repository.git.directory), NEXT)


def _read(path: Path) -> bytes | None:
    """Return what git would keep of a path: a file's content, a link's target."""
    try:
        return str(path.readlink()).encode("utf-8", "surrogateescape") if path.is_symlink() else path.read_bytes()
    except OSError:
        return None


def _is_open(path: Path) -> bool:
    """Tell whether some process has a file open."""
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if handle.readlink() == path:
                return True
    return False


def _paths(answer: Answer) -> str:
    """Return the paths of which git says that they are in the way, else its words."""
    found = [line.split("'")[1] for line in answer.words.splitlines() if line.startswith("error: ") and "'" in line]
    found = found or [line.strip() for line in answer.words.splitlines() if line.startswith("\t")]
    if not found:
        return reason(answer.words)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
