"""One bare repository as the branch manager sees it: branches, commits, trees that may become files, contents.

Owns: how large an object may be, and what is remembered of trees. How objects and refs are read is `reading`'s;
moving refs is `refstore`'s. Writes nothing.

Failure modes: the repository is missing or damaged: `RepositoryError`. An
object or ref that is not there: `NotFound`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import NamedTuple, Self

from enc.terms.errors import NotFound
from enc.terms.names import HEADS, BranchName
from git_hooks.repository.reading import Reader, RepositoryError, Seen, Wanted, open_reader
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import Entry, committed_at, parse_tree

_REMEMBERED = 200_000
"""Entries of trees kept in memory, some 250 bytes each. Not so many trees: those of a large directory are large."""


class RememberedTrees:
    """The trees of one repository that were asked for lately; several who read it may share one, in any threads.

    There are two generations. When the young one has half of what is kept, it becomes the old one, and what was not
    asked for since the last time is forgotten: what every push asks for stays, what one push brought goes.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._lock = threading.Lock()
        self._young: dict[str, tuple[Entry, ...]] = {}
        self._old: dict[str, tuple[Entry, ...]] = {}
        self._entries = 0
        """Of the young ones."""

    def get(self, tree: str) -> tuple[Entry, ...] | None:
        """Return what was remembered of `tree`."""
        with self._lock:
            known = self._young.get(tree)
            if known is None and (known := self._old.pop(tree, None)) is not None:
                self._keep(tree, known)
            return known

    def add(self, tree: str, entries: tuple[Entry, ...]) -> None:
        """Remember what `tree` has."""
        with self._lock:
            if tree not in self._young:
                self._keep(tree, entries)

    def _keep(self, tree: str, entries: tuple[Entry, ...]) -> None:
        if self._entries + len(entries) > _REMEMBERED // 2:
            self._old, self._young, self._entries = self._young, {}, 0
        self._young[tree] = entries
        self._entries += len(entries)


class Divergence(NamedTuple):
    """How many commits only the first has, and only the second."""

    ahead: int
    behind: int


class Repository:
    """One bare repository, read only. Not for several threads at once."""

    def __init__(
        self,
        path: str,
        *,
        quarantine: bool = False,
        environ: Mapping[str, str] = os.environ,
        trees: RememberedTrees | None = None,
    ) -> None:
        """Open nothing yet. With `quarantine`, also see what pre-receive has not let in, as `environ` names it.

        `trees` are those that others remember of the same repository.
        """
        self.path = path
        self._quarantine = quarantine
        self._environ = environ
        self._opened: Reader | None = None
        self._trees = trees or RememberedTrees()

    def __enter__(self) -> Self:
        """Open it."""
        self._reader()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Give back what is held; the repository may be asked again, which opens it anew."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def commit_of(self, revision: str) -> ObjectId:
        """Return the commit that a ref or object name means; raise `NotFound`."""
        commit = self._reader().resolve(revision)
        if commit is None:
            raise NotFound(f"no commit {revision}", where=self.path)
        return ObjectId(commit)

    def has(self, commit: ObjectId) -> bool:
        """Tell whether `commit` is here."""
        return self._one(commit, _nothing).kind == "commit"

    def tip(self, branch: BranchName) -> ObjectId | None:
        """Return the commit of `branch`, None if there is no such branch.

        Raise `RepositoryError` if there is one, but not its commit: a damaged
        repository must not look like a deleted branch.
        """
        commit = self._reader().resolve(branch.ref)
        if commit is not None:
            return ObjectId(commit)
        if any(name == branch.ref for name, _ in self._reader().refs(HEADS)):
            raise RepositoryError(f"the commit of branch {branch} is missing; run git fsck", where=self.path)
        return None

    def tree_of(self, commit: ObjectId) -> str:
        """Return the name of the tree of `commit`; raise `NotFound`."""
        content = self._one(commit, self._wanted).content or b""
        if not content.startswith(b"tree "):
            raise NotFound(f"no commit {commit}", where=self.path)
        return content[5 : content.index(b"\n")].decode("ascii")

    def tree(self, tree: str) -> tuple[Entry, ...]:
        """Return the entries of `tree`, whatever they are; raise `UnsoundTree` if it is damaged.

        What of them may become files is not judged here (trees.unfit).
        """
        known = self._trees.get(tree)
        if known is None:
            seen = self._one(tree, self._wanted)
            if seen.kind != "tree" or seen.content is None:
                raise NotFound(f"no tree {tree}", where=self.path)
            known = parse_tree(seen.content, len(tree) // 2)
            self._trees.add(tree, known)
        return known

    def blob(self, blob: str) -> bytes:
        """Return the content of one file or link."""
        return next(self.blobs([blob]))

    def blobs(self, blobs: Iterable[str]) -> Generator[bytes]:
        """Yield the contents of `blobs` in order; several are asked for at once. Close it if not all are read."""
        names = list(blobs)
        with closing(self._reader().look(names, self._wanted)) as found:
            for name, seen in zip(names, found, strict=True):
                if seen.kind != "blob" or seen.content is None:
                    raise NotFound(f"no blob {name}", where=self.path)
                yield seen.content

    def branches(self) -> dict[BranchName, ObjectId]:
        """Return all branches with their commits, those of unacceptable names left out."""
        found = ((ref.removeprefix(HEADS), commit) for ref, commit in self._reader().refs(HEADS))
        return {BranchName(name): ObjectId(commit) for name, commit in found if BranchName.accepts(name)}

    def refs(self, below: str) -> list[tuple[str, ObjectId]]:
        """Return (name, object) of the refs below `below`, which ends in '/'; what is no UTF-8 is surrogates."""
        return [(name, ObjectId(found)) for name, found in self._reader().refs(below)]

    def committed(self, commits: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """Return when each commit was made, as its committer's machine had it; those without a time are left out."""
        names = list(dict.fromkeys(commits))
        found = zip(names, self._reader().look(names, self._wanted), strict=True)
        times = ((name, committed_at(seen.content or b"")) for name, seen in found if seen.kind == "commit")
        return {name: time for name, time in times if time is not None}

    def contains(self, commit: ObjectId, other: ObjectId) -> bool:
        """Tell whether `other` is `commit` or one of its ancestors."""
        return commit == other or self._reader().contains(commit, other)

    def merge_base(self, first: ObjectId, second: ObjectId) -> ObjectId | None:
        """Return where the histories of two commits part; None: they have none in common, or one is not there."""
        found = self._reader().merge_base(first, second)
        return None if found is None else ObjectId(found)

    def fresh(self, commit: ObjectId, known: Iterable[ObjectId], most: int) -> list[ObjectId]:
        """Return `commit` and its ancestors that none of `known` is or has, latest first, at most `most`."""
        return [ObjectId(one) for one in self._reader().fresh(commit, list(known), most)]

    def divergence(self, first: ObjectId, second: ObjectId) -> Divergence | None:
        """Return how far two commits are from each other; None if one is not there."""
        found = self._reader().divergence(first, second)
        return None if found is None else Divergence(*found)

    # What those that know more about sizes say otherwise

    def _wanted(self, name: str, kind: str, size: int) -> bool:
        """Tell whether an object is read whole; none is too large, once it was let in."""
        del name, kind, size
        return True

    def _one(self, name: str, wanted: Wanted) -> Seen:
        return next(self._reader().look([name], wanted))

    def _reader(self) -> Reader:
        if self._opened is None:
            self._opened = open_reader(self.path, self._environ, quarantine=self._quarantine)
        return self._opened


def _nothing(name: str, kind: str, size: int) -> bool:
    """Want the kind only."""
    del name, kind, size
    return False
