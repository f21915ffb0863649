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

from enc.programs.machine_trouble import reason
from enc.terms.errors import NotFound
from enc.terms.names import EnvironmentName
from git_hooks.puppetfile import JOINED
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import (
    DIRECTORY,
    FILE,
    LINK,
    PROGRAM,
    SUBMODULE,
    Entry,
    UnsoundTree,
    object_id,
    render_tree,
)
from git_hooks.store.layout import Layout, is_part, is_split, tree_of
from git_hooks.store.resource_types import NAME
from git_hooks.store.sound import Sound
from git_hooks.store.survey import Survey, survey

_NO_TREE = "0" * 64
"""What a tree that is not in the repository is looked up as."""


class Fault(NamedTuple):
    """Something in the store that is not as it should be."""

    path: str
    problem: str


def verify_store(layout: Layout, repository: Repository) -> Iterator[Fault]:
    """Yield every fault of every unit and version."""
    sound = Sound(repository)
    _survey_versions(layout, repository, sound)
    verifier = _Verifier(layout, sound)
    # Versions first: they tell where in which commit a unit stands.
    versions = list(_faults_of_versions(layout, sound, verifier))
    yield from _faults_of_units(layout, verifier)
    yield from versions
    yield from _faults_of_puppetfiles(layout, verifier)


def _faults_of_versions(layout: Layout, sound: Sound, verifier: _Verifier) -> Iterator[Fault]:
    for name in _names(layout.versions):
        for commit in _names(f"{layout.versions}/{name}"):
            path = layout.version(EnvironmentName(name), ObjectId(commit))
            try:
                tree = sound.tree_of(ObjectId(commit))
            except NotFound:
                yield Fault(path, "its commit is no longer in the repository, so it cannot be verified")
                continue
            try:
                own = {entry.name for entry in sound.tree(tree)}
                added = tuple(name for name in (NAME, JOINED) if name not in own)
                if verifier.tree(path, tree, added=added) != tree:
                    yield Fault(path, "differs from its commit")
                elif strange := verifier.strange(path, tree):
                    yield Fault(path, f"links lead to files of another commit: {strange}")
            except OSError as error:
                yield Fault(path, f"cannot be read: {reason(error)}")
            except (NotFound, UnsoundTree) as error:
                yield Fault(path, f"cannot be verified: {error}")


def _faults_of_units(layout: Layout, verifier: _Verifier) -> Iterator[Fault]:
    for part in _names(layout.units):
        for unit in _names(f"{layout.units}/{part}"):
            path = layout.unit(unit)
            try:
                if verifier.unit(unit) != tree_of(unit):
                    yield Fault(path, "differs from its tree; find the file with git diff --no-index")
            except OSError as error:
                yield Fault(path, f"cannot be read: {reason(error)}")


def _names(directory: str) -> list[str]:
    """Return what is in a directory of the store; nothing, if it is not there: then versions show what is missing."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _survey_versions(layout: Layout, repository: Repository, sound: Sound) -> None:
    """Let `sound` know the trees that versions show where something of a commit is left out; git does not have them."""
    last: Survey | None = None
    for name in _names(layout.versions):
        for commit in _names(f"{layout.versions}/{name}"):
            with suppress(NotFound, UnsoundTree):
                last = survey(repository, repository.tree_of(ObjectId(commit)), last)
                sound.show(last)


def tree_of_files(layout: Layout, repository: Repository, directory: str) -> str:
    """Return the name (sha256) of the tree that `directory` holds; the repository does not know it."""
    return _Verifier(layout, Sound(repository)).tree(directory, _NO_TREE)


def _faults_of_puppetfiles(layout: Layout, verifier: _Verifier) -> Iterator[Fault]:
    """Yield what was changed since r10k or g10k fetched it: a set's name ends in what it held then."""
    for name in _names(layout.puppetfiles):
        path = f"{layout.puppetfiles}/{name}"
        if verifier.tree(path, _NO_TREE) != name.rpartition(".")[2]:
            yield Fault(path, "differs from what was fetched for its Puppetfile")


class _Verifier:
    def __init__(self, layout: Layout, repository: Sound) -> None:
        self._layout = layout
        self._repository = repository
        self._puppetfiles = layout.puppetfiles + "/"
        self._files: dict[tuple[int, int], str] = {}
        """Names of contents by inode: what is shared is read once."""
        self._places: dict[str, tuple[str, tuple[str, ...]]] = {}
        """Where units stand: the tree of a commit, and the path in it."""
        self._trees: dict[str, str] = {}
        """The trees of directories in parts, by their paths."""
        self._parts: dict[str, frozenset[str]] = {}
        """The parts that a directory's links lead into."""

    def unit(self, unit: str) -> str:
        """Return the name of the tree that a unit shows."""
        root, within = self._places.get(unit, (tree_of(unit), ()))
        return self.tree(self._layout.unit(unit), root, within)

    def strange(self, version: str, root: str) -> str:
        """Return a path at which a part that the version leads into has something else than its commit; none: empty."""
        for part in sorted(self._parts_of(version)):
            if found := self._strange(self._layout.unit(part), root, ()):
                return found
        return ""

    def _strange(self, directory: str, root: str, within: tuple[str, ...]) -> str:
        with suppress(NotFound):
            theirs = {entry.name: entry for entry in self._repository.tree(root)}
            for entry in self._entries(directory, root, within):
                other = theirs.get(entry.name)
                if other == entry:
                    continue
                path = (*within, entry.name)
                if other is None or (other.mode, entry.mode) != (DIRECTORY, DIRECTORY):
                    return "/".join(path)
                if found := self._strange(f"{directory}/{entry.name}", other.id, path):
                    return found
        return ""

    def _parts_of(self, directory: str) -> frozenset[str]:
        if directory not in self._parts:
            found: set[str] = set()
            with suppress(OSError), os.scandir(directory) as entries:
                for entry in entries:
                    unit = self._layout.unit_of(os.readlink(entry.path)) if entry.is_symlink() else None
                    if unit is not None and is_part(unit):
                        found.add(unit)
                    elif unit is not None and is_split(unit):
                        found |= self._parts_of(self._layout.unit(unit))
                    elif entry.name == JOINED and entry.is_dir():
                        found |= self._parts_of(entry.path)
            self._parts[directory] = frozenset(found)
        return self._parts[directory]

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
                    unit = self._layout.unit_of(target)
                    if unit is not None:
                        tree = self._shown(unit, target, root, (*within, item.name))
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

    def _shown(self, unit: str, target: str, root: str, within: tuple[str, ...]) -> str:
        """Return the tree that a link to or into a unit shows. The unit itself is verified on its own."""
        if not os.path.isdir(target):
            return "0" * len(root)
        if not is_part(unit):
            self._places.setdefault(unit, (root, within))
            return tree_of(unit)
        self._places.setdefault(unit, (root, ()))
        if target not in self._trees:
            self._trees[target] = self.tree(target, root, within)
        return self._trees[target]

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
