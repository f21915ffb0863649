"""Finds what in the store is not what git says: every file against its blob.

A unit is named after its tree, so it proves itself: the names of its files'
contents give the trees' names, up to its own. A version is held against its
commit in the repository. What r10k or g10k fetched is held against what they
had fetched; what it should have been is not known here. A submodule is an empty directory, which does not tell
its commit; there, and only there, git is asked what it should be. Reads only; a
fault is a value, not an error.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from enc.errors import NotFound
from enc.names import EnvironmentName
from git_hooks.layout import JOINED, SPLIT, Layout
from git_hooks.refs import ObjectId
from git_hooks.repository.objects import Repository
from git_hooks.resource_types import NAME
from git_hooks.trees import DIRECTORY, FILE, LINK, PROGRAM, SUBMODULE, Entry, object_id, render_tree

_NO_TREE = "0" * 64
"""What a tree that is not in the repository is looked up as."""


class Fault(NamedTuple):
    """Something in the store that is not as it should be."""

    path: str
    problem: str


def verify_store(layout: Layout, repository: Repository) -> Iterator[Fault]:
    """Yield every fault of every unit and version."""
    verifier = _Verifier(layout, repository)
    for part in sorted(os.listdir(layout.units)):
        for unit in sorted(os.listdir(f"{layout.units}/{part}")):
            path = layout.unit(unit)
            tree = unit.removesuffix(SPLIT)
            try:
                if verifier.tree(path, tree) != tree:
                    yield Fault(path, "holds something else than its tree; see which file with git diff --no-index")
            except OSError as error:
                yield Fault(path, f"cannot be read: {error}")
    for name in sorted(os.listdir(layout.versions)):
        for commit in sorted(os.listdir(f"{layout.versions}/{name}")):
            path = layout.version(EnvironmentName(name), ObjectId(commit))
            try:
                tree = repository.tree_of(ObjectId(commit))
            except NotFound:
                yield Fault(path, "its commit is not in the repository any more, so it cannot be verified")
                continue
            own = {entry.name for entry in repository.tree(tree)}
            added = tuple(name for name in (NAME, JOINED) if name not in own)
            if verifier.tree(path, tree, added=added) != tree:
                yield Fault(path, "holds something else than its commit")
    yield from _faults_of_puppetfiles(layout, verifier)


def tree_of_files(layout: Layout, repository: Repository, directory: str) -> str:
    """Return the name (sha256) of the tree that `directory` holds; the repository does not know it."""
    return _Verifier(layout, repository).tree(directory, _NO_TREE)


def _faults_of_puppetfiles(layout: Layout, verifier: _Verifier) -> Iterator[Fault]:
    """Yield what was changed since r10k or g10k fetched it: a set's name ends in what it held then."""
    names = sorted(os.listdir(layout.puppetfiles)) if os.path.isdir(layout.puppetfiles) else []
    for name in names:
        path = f"{layout.puppetfiles}/{name}"
        if verifier.tree(path, _NO_TREE) != name.rpartition(".")[2]:
            yield Fault(path, "holds something else than was fetched for its Puppetfile")


class _Verifier:
    def __init__(self, layout: Layout, repository: Repository) -> None:
        self._layout = layout
        self._repository = repository
        self._units = layout.units + "/"
        self._puppetfiles = layout.puppetfiles + "/"
        self._files: dict[tuple[int, int], str] = {}
        """Names of contents by inode: what is shared is read once."""

    def tree(self, directory: str, root: str, within: tuple[str, ...] = (), *, added: tuple[str, ...] = ()) -> str:
        """Return the name of the tree that `directory` shows, without what was `added` to it.

        It should be the tree at the path `within` the tree `root`.
        """
        return object_id("tree", render_tree(self._entries(directory, root, within, added)), len(root) // 2)

    def _entries(self, directory: str, root: str, within: tuple[str, ...], added: tuple[str, ...] = ()) -> list[Entry]:
        entries = []
        id_size = len(root) // 2
        with os.scandir(directory) as found:
            for item in found:
                if item.name in added:
                    continue
                status = item.stat(follow_symlinks=False)
                if item.is_symlink():
                    target = os.readlink(item.path)
                    if target.startswith(self._units):
                        unit = os.path.basename(target)
                        # The unit itself is verified on its own; here it must only be there.
                        tree = unit.removesuffix(SPLIT) if os.path.isdir(self._layout.unit(unit)) else "0" * 40
                        entries.append(Entry(DIRECTORY, item.name, tree))
                    elif target == JOINED and JOINED in added:
                        # The tree's own modules; without any, the tree has no such directory.
                        own = self._entries(f"{directory}/{JOINED}", root, (*within, item.name))
                        if own:
                            entries.append(Entry(DIRECTORY, item.name, object_id("tree", render_tree(own), id_size)))
                    elif target.startswith(self._puppetfiles) and os.path.isdir(item.path):
                        continue  # a Puppetfile's module, verified with its set
                    else:
                        content = os.fsencode(target)
                        entries.append(Entry(LINK, item.name, object_id("blob", content, id_size)))
                elif item.is_dir():
                    entries.append(self._directory(item.path, root, (*within, item.name)))
                else:
                    mode = PROGRAM if status.st_mode & stat.S_IXUSR else FILE
                    entries.append(Entry(mode, item.name, self._file(item.path, status, id_size)))
        return entries

    def _directory(self, path: str, root: str, within: tuple[str, ...]) -> Entry:
        if not os.listdir(path):
            tree = root
            with suppress(NotFound):
                for name in within:
                    found = next((one for one in self._repository.tree(tree) if one.name == name), None)
                    if found is None:
                        break
                    if found.mode == SUBMODULE:
                        return found
                    tree = found.id
        return Entry(DIRECTORY, within[-1], self.tree(path, root, within))

    def _file(self, path: str, status: os.stat_result, id_size: int) -> str:
        key = (status.st_dev, status.st_ino)
        if key not in self._files:
            with open(path, "rb") as stream:
                self._files[key] = object_id("blob", stream.read(), id_size)
        return self._files[key]
