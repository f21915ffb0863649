"""Which units a tree is laid out as: reads git, touches no file.

A version of an environment is a small directory that shares its parts with
other versions. What is shared are *units*, each named after the git tree it
shows, so that equal content is one unit wherever it comes from:

- a **leaf** is a tree as real files;
- a **split** unit is a directory whose sub-directories are links to units
  (splitting.py says which are);
- a **part** is for a directory with symbolic links that leave it. Reached
  through a link, its `..` is the store's, so it cannot stand alone: the part
  has it at its path in the tree, as real files, and beside it what the links
  lead to (parts.py), most of that as links to units again. The version's link
  leads into the part.

A link to a unit stands where the tree has a directory, so each path shows what
it shows in a checkout. Within a part, real is each directory on the way to what
must be real, and that is each leaf or split directory whose own part is the
whole part: several directories that lead to each other are one part.

Many directories with links that leave them (`MOST_PARTS`) make the directory
around them one leaf: correct, and a link for each of its files at each push.

The name of a split unit is enough only if no link below leaves it. Else what
it shows depends on more than its tree, and its name says on what.

A link that leaves the tree is not there any more: what is read leaves it out
(sound.py), and here it is refused. A leaf in the store was found closed
when it was made, so only what differs from it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from enc.terms.errors import NotFound
from git_hooks.repository.trees import LINK, Entry, UnsoundTree, climb, join
from git_hooks.store.layout import PART, SPLIT
from git_hooks.store.parts import Surveyor, WithParts, part_of
from git_hooks.store.splitting import LARGE, Splitting

MOST_PARTS = 20
"""If more directories than this in a split one have links that leave them, it is a leaf: parts may hold each other."""


class Objects(Protocol):
    """What is read from git (repository.Repository)."""

    def tree(self, tree: str, path: str = "") -> tuple[Entry, ...]:
        """Return the entries of a tree."""
        ...

    def blob(self, blob: str) -> bytes:
        """Return the content of a file or link."""
        ...


class Known(Protocol):
    """Tells whether a unit is in the store, whole; of a part what is on the way to `inside` of it."""

    def __call__(self, unit: str, inside: str = "") -> bool:
        """Tell it."""
        ...


class Unit(NamedTuple):
    """One directory of a version or part: where it stands in the tree, how it is laid out."""

    path: str
    tree: str
    split: bool
    name: str = ""
    """In the store; empty: it is none by itself (a version's root, or real)."""
    known: bool = False
    """It is in the store already; `children` may then be empty."""
    real: bool = False
    """It stands in its part as a directory, not as a link."""
    part: Unit | None = None
    """What it is in, if it cannot stand alone; it is then laid out there and nowhere else."""
    above: int = 0
    """So many directories above it what it shows may be decided."""
    entries: tuple[Entry, ...] = ()
    """Of a split one that is to be made: all its entries."""
    children: tuple[Unit, ...] = ()
    """Of a split one that is to be made: its directories, in the order of the entries."""

    def real_paths(self) -> Iterator[str]:
        """Yield where in a part real directories stand, the deepest."""
        for child in self.children:
            if child.real:
                yield from child.real_paths() if any(one.real for one in child.children) else (child.path,)

    def new(self, seen: set[str] | None = None) -> Iterator[Unit]:
        """Yield the units that have to be made, each once, parts before the whole; not those that are in `seen`."""
        seen = set() if seen is None else seen
        if self.part is not None:
            yield from self.part.new(seen)
        elif not self.known and self.name not in seen:
            for child in self.children:
                yield from child.new(seen)
            if not self.real:
                seen.add(self.name)
                yield self


class _Root(NamedTuple):
    """The tree in which links are followed: a version's, or a part's."""

    tree: str
    is_part: bool


class Arranger:
    """Arranges one tree."""

    def __init__(
        self,
        objects: WithParts,
        surveyor: Surveyor,
        splits: Callable[[str], Splitting],
        known: Known,
        base: Callable[[str], str | None],
    ) -> None:
        """Ask `known` whether a unit is in the store, and `base` for the tree that another version has at a path."""
        self._objects = objects
        self._surveyor = surveyor
        self._splits = splits
        self._splitting = Splitting(frozenset(), frozenset(), large=False)
        self._known = known
        self._base = base
        self._parts: dict[str, Unit] = {}

    def version(self, tree: str) -> Unit:
        """Return the arrangement of an environment's root; raise `UnsoundTree` if it may not be laid out."""
        self._splitting = self._splits(tree)
        try:
            return self._top(_Root(tree, is_part=False))
        except RecursionError as error:
            text = "hundreds of nested directories, or long chains of links"
            raise UnsoundTree(text) from error

    def _top(self, root: _Root) -> Unit:
        entries = self._objects.tree(root.tree)
        self._highest(entries, "")
        name = root.tree + PART if root.is_part else ""
        if self._is_tangled(entries, ""):
            self._above("", root.tree)
            return Unit("", root.tree, split=False, name=name)
        children = self._children(entries, "", root, sized=True)
        return Unit("", root.tree, split=True, name=name, entries=entries, children=children)

    def _children(self, entries: Iterable[Entry], path: str, root: _Root, *, sized: bool) -> tuple[Unit, ...]:
        return tuple(
            self._unit(join(path, entry.name), entry.id, root, sized=sized) for entry in entries if entry.is_directory
        )

    def _unit(self, path: str, tree: str, root: _Root, *, sized: bool) -> Unit:
        """Return the arrangement of a directory in a split one, which is split by its size or is the top (`sized`)."""
        if self._splitting.always(path):
            return self._split(path, tree, root, sized=False)
        if sized and self._splitting.by_size(path) and self._is_large(path, tree):
            return self._split(path, tree, root, sized=True)
        return self._leaf(path, tree, root)

    def _is_large(self, path: str, tree: str) -> bool:
        # Both ways it shows the same; what is there already costs nothing.
        if self._known(tree + SPLIT) or self._known(tree):
            return not self._known(tree)
        return self._surveyor.facts(self._objects, tree, path).names >= LARGE

    def _split(self, path: str, tree: str, root: _Root, *, sized: bool) -> Unit:
        name = tree + SPLIT
        if not root.is_part and self._known(name):
            return Unit(path, tree, split=True, name=name, known=True)
        entries = self._objects.tree(tree, path)
        if self._is_tangled(entries, path):
            return self._leaf(path, tree, root)
        real = self._highest(entries, path) > 0
        if real and (part := self._part(path, root)) is not None:
            # How high the links below it lead is not asked: all that they lead to is in the part's name.
            return Unit(path, tree, split=True, name=part.name, part=part, above=depth(path))
        children = self._children(entries, path, root, sized=sized)
        if real or any(child.real for child in children):
            return Unit(path, tree, split=True, real=True, entries=entries, children=children)
        above = max((child.above - 1 for child in children if child.above), default=0)
        if above:
            name += f"-{_digest(child.name for child in children)}"
        known = self._known(name)
        return Unit(path, tree, split=True, name=name, known=known, above=above, entries=entries, children=children)

    def _is_tangled(self, entries: Iterable[Entry], path: str) -> bool:
        """Tell whether so many directories lead out of themselves that their parts would cost more than one leaf."""
        directories = [(join(path, entry.name), entry.id) for entry in entries if entry.is_directory]
        # A directory that is split whatever it holds is judged by itself.
        asked = [one for one in directories if not self._splitting.always(one[0])]
        leaving = (where for where, tree in asked if not self._is_closed(tree) and self._above(where, tree))
        return len(list(islice(leaving, MOST_PARTS + 1))) > MOST_PARTS

    def _is_closed(self, tree: str) -> bool:
        """Tell whether the store shows that no link leaves a tree."""
        return self._known(tree) or self._known(tree + SPLIT)

    def _leaf(self, path: str, tree: str, root: _Root) -> Unit:
        if self._known(tree):
            return Unit(path, tree, split=False, name=tree, known=True)
        above = self._above(path, tree)
        if not above:
            return Unit(path, tree, split=False, name=tree)
        part = self._part(path, root)
        if part is None:
            return Unit(path, tree, split=False, real=True)
        return Unit(path, tree, split=False, name=part.name, part=part, above=above)

    def _part(self, path: str, root: _Root) -> Unit | None:
        """Return the part that the directory at `path` has to be in; None: that is what is arranged now."""
        tree = part_of(self._objects, self._surveyor, root.tree, path)
        if root.is_part and tree == root.tree:
            return None
        if tree not in self._parts:
            name = tree + PART
            known = self._known(name, path)
            # A smaller tree than the one that is arranged now: this comes to an end.
            top = Unit("", tree, split=True, name=name, known=True) if known else self._top(_Root(tree, is_part=True))
            self._parts[tree] = top
        return self._parts[tree]

    def _above(self, path: str, tree: str) -> int:
        """Return how high above a leaf its links lead; 0: none leaves it."""
        base = self._base(path)
        if base is not None and self._known(base) and not self._differs(path, tree, base, 0):
            return 0
        leaving = self._surveyor.facts(self._objects, tree, path).leaving
        highest = max(leaving, key=lambda link: link.up, default=None)
        if highest is None:
            return 0
        if highest.up > depth(path):
            raise UnsoundTree("is a link that leaves the tree", where=join(path, highest.path))
        return highest.up

    def _differs(self, path: str, tree: str, base: str | None, below: int) -> bool:
        """Tell whether a link leaves a leaf, `below` directories above `path`, among what is not in `base` as well."""
        if tree == base:
            return False
        old = entries_of(self._objects, base, path)
        for entry in self._objects.tree(tree, path):
            before = old.get(entry.name)
            where = join(path, entry.name)
            if before == entry:
                continue
            if entry.mode == LINK and climb(self._objects.blob(entry.id), below, where):
                return True
            if entry.is_directory:
                inner = before.id if before is not None and before.is_directory else None
                if self._differs(where, entry.id, inner, below + 1):
                    return True
        return False

    def _highest(self, entries: Iterable[Entry], path: str) -> int:
        """Return how high above their directory the links among its entries lead."""
        highest = 0
        for entry in entries:
            if entry.mode == LINK:
                where = join(path, entry.name)
                up = climb(self._objects.blob(entry.id), 0, where)
                if up > depth(path):
                    raise UnsoundTree("is a link that leaves the tree", where=where)
                highest = max(highest, up)
        return highest


def depth(path: str) -> int:
    """Return how many directories below the root a directory stands."""
    return path.count("/") + 1 if path else 0


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("/".join(names).encode("ascii")).hexdigest()[:32]


def entries_of(objects: Objects, tree: str | None, path: str) -> dict[str, Entry]:
    """Return the entries of a tree that only serves to save work: none if git has removed it meanwhile."""
    try:
        return {entry.name: entry for entry in objects.tree(tree, path)} if tree else {}
    except NotFound:
        return {}
