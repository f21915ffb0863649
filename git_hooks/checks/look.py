"""What the checks of a pushed tree are given and give back. Pure.

A check looks at one directory at a time and yields what is wrong with what is
*new* in it: what no known tree has at the same place. What a branch of this
repository shows already was checked when it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from git_hooks.repository.trees import Entry, depth, join

if TYPE_CHECKING:
    from git_hooks.puppetfile import Sources


class Limits(NamedTuple):
    """The bounds of a push (settings `pushes` and `branches.puppetfile`)."""

    file_bytes: int
    push_bytes: int
    files: int
    submodules: bool
    sources: Sources | None = None
    """Where a Puppetfile may take modules from; None: Puppetfiles are not followed."""
    links: tuple[str, ...] = ()
    """Patterns of paths at which a link may leave the tree."""
    modulepath: frozenset[str] = frozenset()
    """Directories outside of the tree that a modulepath may name."""


class Site(NamedTuple):
    """What operators have on their branches, those of no project: a branch of a project may have that, too."""

    own: bool
    """The branch that is looked at is one of these, or a tag: only operators push it."""
    at: Callable[[str], Iterable[Entry]]
    """Returns what stands at a path on these branches."""
    content: Callable[[Entry], bytes]
    """Returns what a file or link of them holds."""


OPERATORS = Site(True, lambda _: (), lambda _: b"")
"""For a branch that only operators push."""


class Problem(NamedTuple):
    """One thing that is wrong with a tree."""

    path: str
    what: str

    @property
    def text(self) -> str:
        """The sentence for the person who pushes."""
        return f"{self.path}: {self.what}" if self.path else self.what


class Blob(NamedTuple):
    """A file or a link's target: its size, and its content if it is small or was asked for."""

    size: int
    content: bytes | None


class Look(NamedTuple):
    """One directory of a pushed tree."""

    path: str
    """Empty for the root."""
    entries: tuple[Entry, ...]
    """Everything in it."""
    new: tuple[Entry, ...]
    """What no known tree has here."""
    blobs: Callable[[str], Blob]
    """Returns the new file or link of this object name."""
    limits: Limits
    site: Site = OPERATORS

    def where(self, entry: Entry) -> str:
        """Return the path of an entry of this directory."""
        return join(self.path, entry.name)

    def depth(self) -> int:
        """Return how many directories stand above its entries."""
        return depth(self.path)


Check = Callable[[Look], Iterable[Problem]]


def run(checks: Iterable[Check], look: Look) -> Iterator[Problem]:
    """Yield what any of the checks finds."""
    for check in checks:
        yield from check(look)
