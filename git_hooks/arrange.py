"""Which units a tree is laid out as: reads git, touches no file.

A version of an environment is a small directory that shares its parts with
other versions. The parts are *units*, each named after the git tree it shows,
so that equal content is one unit wherever it comes from:

- a **leaf** is a tree as real files;
- a **split** unit is a directory whose sub-directories are links to units.

The root of a version is always split. Below it only the paths in the setting
`branches.split` are (modules/ by default): a link instead of a directory is
safe at the top and at modules/X, but deeper it is not. Ruby's `**` does not
walk through links, which hiera's globs use, and pluginsync reads a module's
`lib` only if it is a directory.

A unit must be complete in itself, because it is shared by versions that
differ beside it. So a symbolic link that leaves its unit (but not the tree)
makes the directory around it one leaf: correct, and dearer. A link that leaves
the tree is refused. An existing leaf was checked when it was made, so only
what differs from it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from enc.errors import NotFound
from git_hooks.layout import SPLIT
from git_hooks.trees import LINK, Entry, UnsoundTree, climb, join


class Objects(Protocol):
    """What is read from git (repository.Repository)."""

    def tree(self, tree: str, path: str = "") -> tuple[Entry, ...]:
        """Return the entries of a tree."""
        ...

    def blob(self, blob: str) -> bytes:
        """Return the content of a file or link."""
        ...


class Unit(NamedTuple):
    """One unit of a version: where it stands, what it shows."""

    path: str
    tree: str
    split: bool
    known: bool
    """It is in the store already; `children` is then empty."""
    entries: tuple[Entry, ...] = ()
    """Of a split unit that is not known: all its entries."""
    children: tuple[Unit, ...] = ()
    """Of a split unit that is not known: the units of its directories, in the order of the entries."""

    @property
    def name(self) -> str:
        """Its name in the store."""
        return self.tree + SPLIT if self.split else self.tree

    def new(self) -> Iterator[Unit]:
        """Yield the units that have to be made, parts before the whole."""
        if not self.known:
            for child in self.children:
                yield from child.new()
            yield self


class _Crossing(NamedTuple):
    """A tree with a link that leads this many directories above it."""

    up: int
    where: str


class Arranger:
    """Arranges trees for one deploy."""

    def __init__(
        self,
        objects: Objects,
        split: frozenset[str],
        known: Callable[[str], bool],
        base: Callable[[str], str | None],
    ) -> None:
        """Ask `known` whether a unit is in the store, and `base` for the leaf that another version has at a path."""
        self._objects = objects
        self._split = split
        self._known = known
        self._base = base

    def version(self, tree: str) -> Unit:
        """Return the arrangement of an environment's root; raise `UnsoundTree` if it may not be laid out."""
        unit = self._splitted("", tree)
        if isinstance(unit, _Crossing):
            unit = self._leaf("", tree)
        if isinstance(unit, _Crossing):
            raise UnsoundTree("is a link that leaves the tree", where=unit.where)
        return unit

    def _unit(self, path: str, tree: str) -> Unit | _Crossing:
        if path in self._split:
            if self._known(tree + SPLIT):
                return Unit(path, tree, split=True, known=True)
            unit = self._splitted(path, tree)
            if isinstance(unit, Unit):
                return unit
        return self._leaf(path, tree)

    def _splitted(self, path: str, tree: str) -> Unit | _Crossing:
        entries = self._objects.tree(tree, path)
        crossing = self._links(entries, path, 0)
        children = []
        for entry in entries:
            if crossing is None and entry.is_directory:
                child = self._unit(join(path, entry.name), entry.id)
                if isinstance(child, _Crossing):
                    crossing = child
                else:
                    children.append(child)
        return crossing or Unit(path, tree, split=True, known=False, entries=entries, children=tuple(children))

    def _leaf(self, path: str, tree: str) -> Unit | _Crossing:
        if path and self._known(tree):
            return Unit(path, tree, split=False, known=True)
        crossing = self._deepest(path, tree, self._base(path), 0)
        return crossing or Unit(path, tree, split=False, known=False)

    def _deepest(self, path: str, tree: str, base: str | None, depth: int) -> _Crossing | None:
        """Return the link that leads highest above a leaf, among what is not in `base` as well."""
        if tree == base:
            return None
        old = entries_of(self._objects, base, path)
        entries = [entry for entry in self._objects.tree(tree, path) if old.get(entry.name) != entry]
        found = [self._links(entries, path, depth)]
        for entry in entries:
            if entry.is_directory:
                before = old.get(entry.name)
                below = before.id if before is not None and before.is_directory else None
                found.append(self._deepest(join(path, entry.name), entry.id, below, depth + 1))
        return max((one for one in found if one), default=None)

    def _links(self, entries: tuple[Entry, ...] | list[Entry], path: str, depth: int) -> _Crossing | None:
        found = []
        for entry in entries:
            if entry.mode == LINK:
                where = join(path, entry.name)
                up = climb(self._objects.blob(entry.id), depth, where)
                if up:
                    found.append(_Crossing(up, where))
        return max(found, default=None)


def entries_of(objects: Objects, tree: str | None, path: str) -> dict[str, Entry]:
    """Return the entries of a tree that only serves to save work: none if git has removed it meanwhile."""
    try:
        return {entry.name: entry for entry in objects.tree(tree, path)} if tree else {}
    except NotFound:
        return {}
