"""What commits change, told apart from where they stand: patch-ids, histories, differences. Reads only.

A patch-id is git's digest of a difference without places and white space (git-patch-id(1)): a commit and its
cherry-pick have the same one. Merges have none.

Not here: what follows from it (git_hooks/promotion, push/holds.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from git_hooks.repository.apart import GitApart
from git_hooks.repository.refs import ObjectId

_PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv")
_PATCH = ("-p", *_PLAIN, "--full-index", "--no-renames")
_FIELDS = "%H%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B"
_COUNT = 9
MOST = 5_000
"""Commits of a history that are looked at; of a longer one the newest."""


class Told(NamedTuple):
    """One commit, as it says of itself."""

    commit: ObjectId
    parents: tuple[ObjectId, ...]
    author: str
    author_email: str
    authored: str
    """Seconds since 1970, and nothing else."""
    committer: str
    committer_email: str
    committed: str
    """Seconds since 1970."""
    message: str

    @property
    def subject(self) -> str:
        """Return the first line of the message."""
        return self.message.strip().partition("\n")[0]

    @property
    def is_merge(self) -> bool:
        """Whether it has several parents."""
        return len(self.parents) > 1


def history(
    git: GitApart, having: Iterable[str], lacking: Iterable[str] = (), *, first_parent: bool = False, most: int = MOST
) -> tuple[Told, ...]:
    """Return the commits that `having` contain and `lacking` do not, the newest first.

    With `lacking`, no commit comes before its children, whatever their times say: without it, git would have to walk
    all of the history for that.
    """
    lacking = tuple(lacking)
    options = ("--first-parent",) if first_parent else ("--topo-order",) if lacking else ()
    words = ("log", "-z", f"--max-count={most}", *options, f"--format=tformat:{_FIELDS}", *_revisions(having, lacking))
    return _told(git.ask(*words))


def commits(
    git: GitApart, having: Iterable[str], lacking: Iterable[str] = (), *, most: int = MOST
) -> tuple[ObjectId, ...]:
    """Return the names of the commits that `having` contain and `lacking` do not, the newest first."""
    words = ("rev-list", f"--max-count={most}", *_revisions(having, lacking))
    return tuple(map(ObjectId, git.ask(*words).decode("ascii").split()))


def one(git: GitApart, commit: str) -> Told:
    """Return one commit."""
    return _told(git.ask("log", "-z", "--no-walk", f"--format=tformat:{_FIELDS}", commit, "--"))[0]


def patch_ids(
    git: GitApart, having: Iterable[str], lacking: Iterable[str] = (), *, most: int = MOST
) -> dict[ObjectId, str]:
    """Return commit → patch-id of what `having` contain and `lacking` do not; those that change nothing are left out.

    Merges are left out, too.
    """
    words = ("log", f"--max-count={most}", "--no-merges", *_PATCH, "--format=commit %H", *_revisions(having, lacking))
    return {ObjectId(commit): patch for patch, commit in _ids(git, *words)}


def patch_id(git: GitApart, old: str, new: str) -> str:
    """Return the patch-id of the difference of two trees or commits; empty if there is none."""
    return next((patch for patch, _ in _ids(git, "diff-tree", "-r", *_PATCH, old, new)), "")


def tree_of(git: GitApart, revision: str) -> str:
    """Return the tree of a commit."""
    return git.ask("rev-parse", "--verify", "--end-of-options", f"{revision}^{{tree}}").decode("ascii").strip()


def trees_of_change(git: GitApart, commit: str) -> tuple[str, str]:
    """Return the trees before and after a commit; before a merge it is that of its first parent."""
    told = one(git, commit)
    return tree_of(git, told.parents[0]) if told.parents else empty_tree(git), tree_of(git, commit)


def empty_tree(git: GitApart) -> str:
    """Return the tree that has nothing."""
    return git.ask("mktree").decode("ascii").strip()


def changed(git: GitApart, old: str, new: str) -> tuple[str, ...]:
    """Return the paths in which two trees or commits differ, sorted."""
    said = git.ask("diff-tree", "-r", "-z", "--no-renames", "--name-only", old, new)
    return tuple(sorted(path for path in said.decode("utf-8", "surrogateescape").split("\0") if path))


def difference(git: GitApart, old: str, new: str, *paths: str) -> str:
    """Return the patch from `old` to `new`, of `paths` or of all; what is no UTF-8 is replaced."""
    words = ("diff-tree", "-r", "-p", *_PLAIN, "--no-renames", old, new)
    named = ("--", *(f":(literal){path}" for path in paths)) if paths else ()
    return git.ask(*words, *named).decode("utf-8", "replace")


def last_on(git: GitApart, path: str, having: str, lacking: str) -> Told | None:
    """Return the newest commit that `having` contains and `lacking` does not and that changed `path`."""
    words = ("log", "-z", "--max-count=1", f"--format=tformat:{_FIELDS}", having, f"^{lacking}")
    return next(iter(_told(git.ask(*words, "--", f":(literal){path}"))), None)


def _revisions(having: Iterable[str], lacking: Iterable[str]) -> tuple[str, ...]:
    return (*having, *(f"^{one}" for one in lacking), "--")


def _told(said: bytes) -> tuple[Told, ...]:
    """Return the commits that git told of with NUL after each field: nothing in a commit can hold one."""
    fields = said.decode("utf-8", "replace").split("\0")
    found = []
    for start in range(0, len(fields) - _COUNT + 1, _COUNT):
        commit, parents, *more = fields[start : start + _COUNT]
        found.append(Told(ObjectId(commit), tuple(map(ObjectId, parents.split())), *more))
    return tuple(found)


def _ids(git: GitApart, *patches: str) -> list[tuple[str, str]]:
    """Return patch-id and commit of each patch that git tells when it is asked `patches`."""
    said = git.through(patches, ("patch-id", "--stable")).decode("ascii").splitlines()
    return [(words[0], words[1]) for words in (line.split() for line in said) if len(words) == 2]
