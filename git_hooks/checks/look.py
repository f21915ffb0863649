"""What checks of a tree are given and give back. Pure.

A check yields what is wrong with what is *new*: what no known tree has at the
same place. What a branch of this repository shows already was checked when it
came. There are three things to look at, and a check may look at each:

- a directory (`Look`): names, kinds and sizes of what is in it;
- a file (`File`): the content of those that the check asks for (`reads`). Sizes
  are known before any content is read, and no more is read than is asked for;
- the tree as a whole (`Tree`), if nothing was wrong with its parts: what depends
  on several places at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from git_hooks.index.assigned import Assigned
from git_hooks.puppet_code.calls import Read, Reading
from git_hooks.repository.trees import FILE, PROGRAM, Entry, depth, join

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.index.environment import Environment
    from git_hooks.secrets.certificates import Certificate
    from git_hooks.secrets.private_keys import PrivateKey

At = Callable[[str], Iterable[Entry]]
"""Returns what stands at a path."""


Keys = Callable[
    [str, "Sequence[PrivateKey]", "Sequence[Certificate]", "Callable[[PrivateKey], bool]"], Iterable[tuple[str, str]]
]
"""Is told what keys and certificates there are at a place, and whom to ask whether a key is allowed there; returns what
is wrong, and at which place."""


class Site(NamedTuple):
    """What operators have on their branches, those of no project: a branch of a project may have that, too."""

    own: bool
    """The branch that is looked at is one of these, or a tag: only operators push it."""
    at: At
    """Returns what stands at a path on these branches."""
    content: Callable[[Entry], bytes]
    """Returns what a file or link of them holds."""
    reviewed: Callable[[str, Entry], bool] = lambda *_: True
    """Tells whether they have, or had where the commit left them, this file at this path; or somebody approved it."""
    read: Read = lambda *_: Reading()
    """Returns what Puppet's parser says of code."""
    versions: At = lambda _: ()
    """Returns what stands, or stood where the commit left them, at a path of these branches."""
    shown: bool = True
    """puppetserver gets to see the branch: it becomes an environment. Else it is only read, by people."""
    unchecked: Callable[[str], str] = lambda _: ""
    """Notes that a file was not checked, for the reason given; returns words if it may not come for that."""
    unknown: Callable[[str], str] = lambda _: ""
    """The same for what is no single file."""
    told: Callable[[str], object] = lambda _: None
    """Notes what nobody can check, whatever the branch requires."""
    assigned: Callable[[], Sequence[Assigned]] | None = None
    """Returns what the nodes of the branch's environment are assigned, raises `ToolkitError` if that cannot be told;
    None: no node has the branch yet."""
    keys: Keys = lambda *_: ()
    """Compares private keys with the certificates that are known, and notes that they came."""
    hide: Callable[[Iterable[str]], None] = lambda _: None
    """Takes what must not be said in any words about this tree."""
    proposed: str = ""
    """What branches are called on which members of this project propose code; empty: there is no place for that."""


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


class Look(NamedTuple):
    """One directory."""

    path: str
    """Empty for the root."""
    entries: tuple[Entry, ...]
    """Everything in it."""
    new: tuple[Entry, ...]
    """What no known tree has here."""
    size: Callable[[Entry], int]
    """Returns the bytes of a new file or link."""
    settings: Settings
    before: tuple[Collection[str], ...] = ()
    """The names that each known tree has here."""

    def where(self, entry: Entry) -> str:
        """Return the path of an entry of this directory."""
        return join(self.path, entry.name)

    def depth(self) -> int:
        """Return how many directories stand above its entries."""
        return depth(self.path)


class File(NamedTuple):
    """One entry that a check asked for; it may be a directory, too, or whatever is called so."""

    directory: str
    """The path of the directory that it is in; empty for the root."""
    entry: Entry
    size: int
    """Bytes of a file or a link's target; else 0."""
    content: bytes | None
    """None: it is larger than the check asked for, or it is no file and no link; or `reads` is still being asked."""
    settings: Settings
    site: Site = OPERATORS

    @property
    def path(self) -> str:
        """Where it stands."""
        return join(self.directory, self.entry.name)

    @property
    def is_file(self) -> bool:
        """Whether it is a file, and no link."""
        return self.entry.mode in (FILE, PROGRAM)


class Tree(NamedTuple):
    """A tree in whose parts nothing is wrong."""

    at: At
    known: tuple[At, ...]
    """The trees that it is compared with."""
    entries: Callable[[Entry], tuple[Entry, ...]]
    """Returns what is in a directory of it."""
    content: Callable[[Entry, int], bytes | None]
    """Returns what a file or link holds; None: more bytes than this, or it is neither."""
    settings: Settings
    site: Site = OPERATORS
    environments: Callable[[], tuple[Environment, Environment]] | None = None
    """Returns what the branch was to Puppet, and what it is to be; None: it is new."""


class Brought(NamedTuple):
    """A content that a path gets in a commit, also if a later one takes it away: the history is read like the tree."""

    commit: str
    """Its name, shortened; empty: the branch's own tree has it."""
    path: str
    entry: Entry
    """A file or link."""


class History(NamedTuple):
    """What commits bring that the repository has on no branch and no tag."""

    brought: Iterator[Brought]
    """What the branch is to show comes first."""
    messages: Iterator[tuple[str, bytes]]
    """The names of commits and annotated tags, shortened, and what they say."""
    content: Callable[[Entry], bytes | None]
    """Returns what a file or link holds; None: it is too large to be read."""
    cut: Callable[[], str]
    """Returns, when all were looked at, why it were not all; empty: it were."""
    settings: Settings
    site: Site


Reads = Callable[[File], int | None]
"""Returns up to how many bytes of it the check reads; None: it does not look."""


class Check(NamedTuple):
    """A line of the table of checks."""

    directory: Callable[[Look], Iterable[Problem]] | None = None
    """Looks at each directory with something new in it."""
    file: Callable[[File], Iterable[Problem]] | None = None
    """Looks at each new entry that `reads` asks for."""
    reads: Reads | None = None
    """Is asked about each new entry. Without it, `file` looks at none."""
    also: tuple[str, ...] = ()
    """Paths that `reads` is asked about even if they are not new, where something else in their directory is."""
    tree: Callable[[Tree], Iterable[Problem]] | None = None
    """Looks at each tree whose parts are sound."""
    history: Callable[[History], Iterable[Problem]] | None = None
    """Looks at all that new commits bring."""
