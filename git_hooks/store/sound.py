"""A repository's trees as they are laid out: without what may not become a file.

A tree from which something is left out is another tree. It is rendered as git
would, and gets the name that git would give it; so whatever is laid out still
proves itself by its name (store.py, verify.py), and nothing that is built on
trees needs to know that something is missing. git does not have these trees:
they are kept here, for as long as a build or a verification takes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import Entry, check_entries, join, object_id, render_tree
from git_hooks.store.survey import Survey


class Sound:
    """Reads like a repository. What is asked for must have been surveyed (`show`), or be sound as it is."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        """What is there as it is."""
        self._made: dict[str, tuple[Entry, ...]] = {}
        self._roots: dict[str, str] = {}
        """Tree of a commit → tree that is laid out."""
        self._checked: set[tuple[str, str]] = set()

    def show(self, found: Survey) -> str:
        """Return the root tree that is laid out where `found` was surveyed."""
        left = {(one.path, one.id) for one in found.of("left out")}
        places = {one.path for one in found.of("left out", "recast")}
        if found.tree not in self._roots:
            self._roots[found.tree] = self._remade("", found.tree, left, _directories(places)) if places else found.tree
        return self._roots[found.tree]

    def tree_of(self, commit: ObjectId) -> str:
        """Return the tree of `commit` as it is laid out; raise `NotFound`."""
        tree = self.repository.tree_of(commit)
        return self._roots.get(tree, tree)

    def tree(self, tree: str, path: str = "") -> tuple[Entry, ...]:
        """Return the entries of `tree`, which stands at `path`; raise `UnsoundTree` if one may not become a file.

        That happens only if `path` was not surveyed: nothing reaches a disk unseen.
        """
        entries = self._made.get(tree)
        if entries is None:
            entries = self.repository.tree(tree)
        if (tree, path) not in self._checked:
            check_entries(entries, path)
            self._checked.add((tree, path))
        return entries

    def blob(self, blob: str) -> bytes:
        """Return the content of one file or link."""
        return self.repository.blob(blob)

    def blobs(self, blobs: Iterable[str]) -> Generator[bytes]:
        """Yield the contents of `blobs` in order. Close it if not all are read."""
        return self.repository.blobs(blobs)

    def _remade(self, path: str, tree: str, left: set[tuple[str, str]], touched: set[str]) -> str:
        """Return the tree without what is left out below `path`; `touched` are the directories that become others."""
        entries: list[Entry] = []
        seen: set[str] = set()
        for entry in self.repository.tree(tree):
            where = join(path, entry.name)
            if entry.name in seen or (where, entry.id) in left:
                continue
            seen.add(entry.name)
            if entry.is_directory and where in touched:
                entry = entry._replace(id=self._remade(where, entry.id, left, touched))
            entries.append(entry)
        name = object_id("tree", render_tree(entries), len(tree) // 2)
        self._made[name] = tuple(entries)
        return name


def _directories(places: Iterable[str]) -> set[str]:
    """Return the directories above and at `places`."""
    return {directory for place in places for directory in _above(place)}


def _above(place: str) -> Iterator[str]:
    yield ""
    parts = place.split("/")
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])
