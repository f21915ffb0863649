"""Which links leave a directory, and what of the tree they lead to. Reads git, touches no file.

A directory with links that leave it cannot be shared by itself: what it shows
depends on what stands around it. A *part* of a tree is such a directory with
just what its links lead to, everything at its own path:

    modules/a/files/x -> ../../b/files/y
    the part of modules/a: modules/a/…, modules/b/files/y

A part is a git tree of its own (most of it is in no repository), and has its
name. So two environments share it exactly if all that it shows is equal, and
what else changes in modules/b is nothing to it.

What a link leads to is found as the system finds it: through other links,
which then belong to the part, too. A directory belongs to it whole, with what
its own links lead to. What is not there is not there in the part either.

Fails with `UnsoundTree` for a link that may not be laid out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from git_hooks.repository.trees import DIRECTORY, LINK, Entry, UnsoundTree, climb, join, object_id, render_tree

if TYPE_CHECKING:
    from git_hooks.store.arrange import Objects

_MOST_LINKS = 40
"""So many links Linux follows for one path (path_resolution(7))."""

_REMEMBERED = 200_000
"""Directories and links that are remembered: those of some ten large trees."""


class Leaving(NamedTuple):
    """A link that leads out of a directory."""

    path: str
    """From that directory."""
    up: int
    """How many directories above it."""
    blob: str
    """What it says."""

    def from_above(self, name: str) -> Leaving:
        """Return the same link as it leaves the directory above, in which the other one is called `name`."""
        return Leaving(join(name, self.path), self.up - 1, self.blob)


class Facts(NamedTuple):
    """What is known of a tree, wherever it stands."""

    names: int
    """How many files and directories it holds, at any depth."""
    leaving: tuple[Leaving, ...]
    """The links that lead out of it."""


class Surveyor:
    """Tells facts of trees, and remembers them: of the next commit's trees most are the same."""

    def __init__(self) -> None:
        self._known: dict[str, Facts] = {}
        self._size = 0

    def facts(self, objects: Objects, tree: str, path: str) -> Facts:
        """Return the facts of `tree`, which stands at `path`."""
        known = self._known.get(tree)
        if known is not None:
            return known
        names, leaving = 0, []
        for entry in objects.tree(tree, path):
            names += 1
            where = join(path, entry.name)
            if entry.mode == LINK:
                if up := climb(objects.blob(entry.id), 0, where):
                    leaving.append(Leaving(entry.name, up, entry.id))
            elif entry.is_directory:
                below = self.facts(objects, entry.id, where)
                names += below.names
                leaving += [one.from_above(entry.name) for one in below.leaving if one.up > 1]
        found = Facts(names, tuple(leaving))
        self._size += 1 + len(leaving)
        if self._size > _REMEMBERED:
            self._known.clear()
            self._size = 1 + len(leaving)
        self._known[tree] = found
        return found


class WithParts:
    """The objects of a repository, and the trees of parts beside them."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._made: dict[str, tuple[Entry, ...]] = {}
        self._named: dict[str, dict[str, Entry]] = {}

    def tree(self, tree: str, path: str = "") -> tuple[Entry, ...]:
        """Return the entries of a tree."""
        made = self._made.get(tree)
        return self._objects.tree(tree, path) if made is None else made

    def blob(self, blob: str) -> bytes:
        """Return the content of a file or link."""
        return self._objects.blob(blob)

    def entry(self, tree: str, path: str, name: str) -> Entry | None:
        """Return one entry of the tree that stands at `path`, None if there is none."""
        if tree not in self._named:
            self._named[tree] = {entry.name: entry for entry in self.tree(tree, path)}
        return self._named[tree].get(name)

    def part(self, tree: str, chosen: Mapping[str, Entry], path: str = "") -> str:
        """Return the tree that has of `tree` only the `chosen` entries, by their paths in it."""
        deeper: dict[str, dict[str, Entry]] = {}
        for place, entry in chosen.items():
            name, _, rest = place.partition("/")
            deeper.setdefault(name, {})[rest] = entry
        entries = []
        for entry in self.tree(tree, path):
            below = deeper.get(entry.name)
            if below is None:
                continue
            if "" not in below:
                entry = entry._replace(id=self.part(entry.id, below, join(path, entry.name)))
            entries.append(entry)
        made = object_id("tree", render_tree(entries), len(tree) // 2)
        if made != tree:
            self._made[made] = tuple(entries)
        return made


def part_of(objects: WithParts, surveyor: Surveyor, root: str, path: str) -> str:
    """Return the tree with just the directory at `path` of the tree `root`, and what its links lead to."""
    chosen: dict[str, Entry] = {}
    waiting = [*_led_to(objects, root, path)]
    while waiting:
        place, entry = waiting.pop()
        if not place:
            return root
        if place in chosen:
            continue
        chosen[place] = entry
        for link in surveyor.facts(objects, entry.id, place).leaving:
            for found, other in _led_to(objects, root, join(place, link.path)):
                if other.is_directory:
                    waiting.append((found, other))
                else:
                    chosen[found] = other
    return objects.part(root, chosen)


def _led_to(objects: WithParts, root: str, link: str) -> Iterator[tuple[str, Entry]]:
    """Yield the links on the way of a link, then what it leads to, each with its path; nothing that is not there."""
    here = [("", Entry(DIRECTORY, "", root))]
    names = link.split("/")[::-1]
    followed = 0
    while names:
        name = names.pop()
        path, directory = here[-1]
        if name == "..":
            here.pop()
        elif name not in ("", "."):
            where = join(path, name)
            entry = objects.entry(directory.id, path, name)
            if entry is None:
                return
            if entry.is_directory:
                here.append((where, entry))
            elif entry.mode == LINK and followed < _MOST_LINKS:
                yield where, entry
                target = objects.blob(entry.id)
                if climb(target, len(here) - 1, where):
                    raise UnsoundTree("is a link that leaves the tree", where=where)
                followed += 1
                names += target.decode("utf-8", "surrogateescape").split("/")[::-1]
            else:
                yield where, entry
                return
    yield here[-1]
