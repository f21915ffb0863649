"""The trees of two versions: which paths differ, what the files of a `source` hold, what there is to read.

Paths that differ are those of git's trees. Files are read in the versions on
disk, so modules of a Puppetfile count as well; versions are immutable, and
nothing outside of the store is followed, whatever a link says.

Not here: what a difference means (enc/catalogs).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from enc.catalogs.compare import Contents
from enc.catalogs.reach import Tree
from enc.terms.errors import NotFound
from git_hooks.checks import environment_conf
from git_hooks.index import conf as conf_file
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import join

_SOURCE = "puppet://"
_MOUNT = "modules"
_LARGEST = 4 << 20
"""Bytes of a file that is searched for names."""
_MOST = 100_000
"""Files of one tree."""
_CHUNK = 1 << 20


class Differing(NamedTuple):
    """How two trees differ."""

    paths: tuple[str, ...]
    """Files that are new, changed or gone."""
    directories: tuple[str, ...]
    """Directories that one of them does not have."""


def differing(repository: Repository, old: ObjectId, new: ObjectId) -> Differing:
    """Return how the trees of two commits differ; raise `NotFound`."""
    paths: list[str] = []
    directories: list[str] = []
    _differ(repository, "", repository.tree_of(old), repository.tree_of(new), paths, directories)
    return Differing(tuple(paths), tuple(directories))


def _differ(
    repository: Repository, at: str, old: str | None, new: str | None, paths: list[str], directories: list[str]
) -> None:
    sides = [{entry.name: entry for entry in repository.tree(tree)} if tree is not None else {} for tree in (old, new)]
    if (old is None) != (new is None):
        directories.append(at)
    for name in sorted(sides[0].keys() | sides[1].keys()):
        before, after = (side.get(name) for side in sides)
        if before == after:
            continue
        path = join(at, name)
        trees = [entry.id if entry is not None and entry.is_directory else None for entry in (before, after)]
        if any(trees):
            _differ(repository, path, trees[0], trees[1], paths, directories)
        if any(entry is not None and not entry.is_directory for entry in (before, after)):
            paths.append(path)


class VersionTree:
    """One version's tree on disk."""

    def __init__(self, store: str, version: str) -> None:
        """`store`: the directory beyond which nothing is read; `version`: the version's directory in it."""
        self._store = os.path.realpath(store) + "/"
        self._version = version
        conf = self.read(conf_file.NAME).encode()
        found = environment_conf.modulepath(conf) if conf else frozenset()
        self.modules = tuple(sorted(one for one in found if not one.startswith(("/", "$")))) or ("modules",)
        self.manifests = environment_conf.manifests(conf)
        self._held: dict[str, Mapping[str, str] | None] = {}
        self._digests: dict[str, str] = {}

    def contents(self) -> Contents:
        """Return what is held by the files that a `source` names."""
        return Contents(self._of_source)

    def tree(self) -> Tree:
        """Return it as enc/catalogs/reach.py reads it."""
        return Tree(self.modules, self.below, self.read, self.manifests)

    def read(self, path: str) -> str:
        """Return the text of a file; empty if there is none, or it is too large or leads out of the store."""
        place = self._place(path)
        if place is None or not os.path.isfile(place):
            return ""
        try:
            with open(place, "rb") as file:
                return file.read(_LARGEST).decode("utf-8", "replace")
        except OSError:
            return ""

    def below(self, directory: str) -> tuple[str, ...]:
        """Return the paths of all files below a directory, links to directories included."""
        return tuple(self._walk(directory, frozenset(), [_MOST]))

    def _walk(self, directory: str, above: frozenset[str], left: list[int]) -> Iterator[str]:
        place = self._place(directory)
        if place is None or place in above:
            return
        try:
            names = sorted(os.listdir(place))
        except OSError:
            return
        for name in names:
            left[0] -= 1
            if left[0] < 0:
                return
            path = join(directory, name)
            if os.path.isdir(f"{place}/{name}"):
                yield from self._walk(path, above | {place}, left)
            else:
                yield path

    def _place(self, path: str) -> str | None:
        real = os.path.realpath(f"{self._version}/{path}" if path else self._version)
        return real if f"{real}/".startswith(self._store) else None

    def _of_source(self, source: str) -> Mapping[str, str] | None:
        if source not in self._held:
            self._held[source] = self._read_source(source)
        return self._held[source]

    def _read_source(self, source: str) -> Mapping[str, str] | None:
        if not source.startswith(_SOURCE):
            return None
        mount, _, rest = source.removeprefix(_SOURCE).partition("/")[2].partition("/")
        module, _, path = rest.partition("/")
        if mount != _MOUNT or not module or ".." in rest.split("/"):
            return None
        for directory in self.modules:
            if self._place(f"{directory}/{module}") and os.path.isdir(f"{self._version}/{directory}/{module}"):
                top = join(f"{directory}/{module}/files", path) if path else f"{directory}/{module}/files"
                place = self._place(top)
                if place is None:
                    return None
                if os.path.isfile(place):
                    return {"": self._digest(place)}
                files = self.below(top)
                held = {one[len(top) + 1 :]: self._place(one) for one in files}
                return {name: self._digest(one) for name, one in held.items() if one is not None} or None
        return None

    def _digest(self, place: str) -> str:
        known = self._digests.get(place)
        if known is None:
            found = hashlib.sha256()
            try:
                with open(place, "rb") as file:
                    while part := file.read(_CHUNK):
                        found.update(part)
            except OSError:
                return "unreadable"
            known = self._digests[place] = f"sha256 {found.hexdigest()[:16]}"
        return known


def reached(repository: Repository, old: ObjectId, new: ObjectId) -> Differing | None:
    """Return how two commits differ; None: that cannot be told, so everything may be affected."""
    try:
        return differing(repository, old, new)
    except NotFound:
        return None
