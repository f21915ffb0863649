"""One tree of git, looked into by path as puppetserver looks into its environment: links inside of it are followed.

Reads what it is asked for and remembers the directories. A link that leaves the tree leads nowhere, as do loops.

Failure modes: those of whoever reads the objects (`UnsoundTree`, `NotFound`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, Entry, join

_TARGET = 4096
_HOPS = 40
"""So many links are followed on one way, as Linux does."""
_DEEPEST = 40
"""So many directories inside one another are looked into."""


class Found(NamedTuple):
    """A file or directory, and where it really stands."""

    path: str
    entry: Entry

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.entry.mode in (FILE, PROGRAM)


class Sight:
    """One tree."""

    def __init__(
        self,
        tree: str,
        entries: Callable[[str], tuple[Entry, ...]],
        content: Callable[[Entry, int], bytes | None],
    ) -> None:
        """`entries` returns what a tree has, `content` what a file or link holds (None: more bytes than this)."""
        self.tree = tree
        self._entries = entries
        self.content = content
        self._known: dict[str, Mapping[str, Entry]] = {}

    def inside(self, tree: str) -> Mapping[str, Entry]:
        """Return what a tree has, by name."""
        known = self._known.get(tree)
        if known is None:
            known = self._known[tree] = {entry.name: entry for entry in self._entries(tree)}
        return known

    def at(self, path: str) -> Found | None:
        """Return the file or directory that a path leads to; None: there is none."""
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        way: list[tuple[str, str]] = [("", self.tree)]
        hops = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                if len(way) == 1:
                    return None
                way.pop()
                continue
            where, tree = way[-1]
            entry = self.inside(tree).get(part)
            if entry is None:
                return None
            if entry.mode == LINK:
                hops += 1
                target = self.content(entry, _TARGET)
                if target is None or target.startswith(b"/") or hops > _HOPS:
                    return None
                words = target.decode("utf-8", "surrogateescape").split("/")
                waiting += [word for word in reversed(words) if word not in ("", ".")]
            elif entry.mode == DIRECTORY:
                way.append((join(where, part), entry.id))
            elif waiting or entry.mode not in (FILE, PROGRAM):
                return None
            else:
                return Found(join(where, part), entry)
        where, tree = way[-1]
        return Found(where, Entry(DIRECTORY, where.rpartition("/")[2], tree))

    def below(self, found: Found, ends: str) -> Iterator[tuple[str, Found]]:
        """Yield the files below a directory whose names end so, with their way from there, directories sorted.

        Links to files are followed, and those to directories are not, as `**` of Ruby's Dir.glob has it.
        """
        waiting = [("", found)]
        while waiting:
            way, directory = waiting.pop()
            for name, entry in sorted(self.inside(directory.entry.id).items()):
                here, path = join(way, name), join(directory.path, name)
                if entry.mode == DIRECTORY:
                    if here.count("/") < _DEEPEST:
                        waiting.append((here, Found(path, entry)))
                elif name.endswith(ends):
                    there = self.at(path) if entry.mode == LINK else Found(path, entry)
                    if there is not None and there.is_file:
                        yield here, there
