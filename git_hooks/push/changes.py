"""Which files differ between two trees: what a push adds, changes and takes away. Reads trees, and no contents.

The walk of a push (incoming.py) looks at what is new. Here is what is gone as
well, and what stood at the same path before: for advice about changed lines,
and for checks that ask which paths a push touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from git_hooks.push.incoming import Incoming
from git_hooks.repository.trees import Entry, join


class Change(NamedTuple):
    """One path at which two trees have different files."""

    path: str
    before: Entry | None
    """A file, link or submodule; None: there was none."""
    after: Entry | None
    """None: there is none any more."""


class TooManyChanges(Exception):
    """More differs than was asked for."""


def changes(objects: Incoming, before: str | None, after: str, most: int) -> list[Change]:
    """Return what differs from tree `before` (None: it has nothing) to tree `after`, in order of the paths.

    Raise `TooManyChanges` for more than `most`.
    """
    found = []
    for one in _changes(objects, "", before, after):
        found.append(one)
        if len(found) > most:
            raise TooManyChanges
    return sorted(found, key=lambda change: change.path)


def _changes(objects: Incoming, path: str, before: str | None, after: str | None) -> Iterator[Change]:
    if before == after:
        return
    old, new = _entries(objects, before), _entries(objects, after)
    for name in old.keys() | new.keys():
        one, other = old.get(name), new.get(name)
        if one == other:
            continue
        where = join(path, name)
        yield from _changes(objects, where, _tree(one), _tree(other))
        files = [entry if entry is not None and not entry.is_directory else None for entry in (one, other)]
        if any(files):
            yield Change(where, *files)


def _entries(objects: Incoming, tree: str | None) -> dict[str, Entry]:
    return {entry.name: entry for entry in objects.raw_tree(tree)} if tree is not None else {}


def _tree(entry: Entry | None) -> str | None:
    return entry.id if entry is not None and entry.is_directory else None
