"""What one bare repository can be asked. Two readers answer: libgit2 (library.py) and git's own program (program.py).

libgit2 reads in this process what git's program is asked for over pipes: sizes
without contents, refs, ahead and behind; and it checks each object against its
name. Loading it costs more than a cold hook's whole work, and it knows no
sha256. So `open_reader` takes git's program where a hook runs by itself, for
repositories of sha256, and where pygit2 (1.18 or later) is not installed; a
process that stays calls `use_library` once.

Both are held to the same contract by tests/real/test_readers.py. What is read
means nothing here: trees and branches are `objects`'.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple, Protocol

from enc.terms.errors import ToolkitError
from git_hooks.repository.git_program import sealed

MISSING = "missing"
"""The kind of an object that is not there."""


class RepositoryError(ToolkitError):
    """The repository could not be read."""


class Seen(NamedTuple):
    """One object, or what was wanted of it."""

    kind: str
    """commit, tree, blob, tag; `MISSING`: not there."""
    size: int = 0
    """Bytes of its content."""
    content: bytes | None = None
    """None: it was not wanted."""


Wanted = Callable[[str, str, int], bool]
"""Name, kind and size of an object → whether its content is wanted. What it raises ends the reading."""


class Reader(Protocol):
    """One bare repository, read only, for one thread at a time."""

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a ref, an object name or an expression of git's means; None: there is none."""

    def look(self, names: Sequence[str], wanted: Wanted) -> Generator[Seen]:
        """Yield what each object is, in order, with the content where it is wanted. Close it if not all are read."""

    def heads(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """Return kind and size of each object, in order, without its content; (`MISSING`, 0) where there is none."""

    def refs(self, below: str) -> list[tuple[str, str]]:
        """Return (name, object) of the refs below `below`, which ends in '/'."""

    def contains(self, commit: str, other: str) -> bool:
        """Tell whether `other` is an ancestor of `commit`; not, if one of them is not there."""

    def merge_base(self, first: str, second: str) -> str | None:
        """Return the best common ancestor of two commits; None: there is none, or one of them is not there."""

    def fresh(self, commit: str, known: Sequence[str], most: int) -> list[str]:
        """Return `commit` and its ancestors that none of `known` is or has, latest first, at most `most`.

        Those of `known` that are no commits, or not there, count for nothing.
        """

    def divergence(self, first: str, second: str) -> tuple[int, int] | None:
        """Return how many commits only `first` has, and only `second`; None if one is not there."""

    def close(self) -> None:
        """Give back what is held; the next question opens it anew."""


_library: Callable[[str, str | None], Reader] | None = None


def use_library() -> None:
    """From now on read through libgit2 in this process: for services and commands, which are worth its loading.

    Where pygit2 is not installed, as on an instance that has Debian's packages
    only, git's program goes on reading.
    """
    global _library
    try:
        from git_hooks.repository import library
    except ImportError:
        return
    library.prepare()
    _library = library.ByLibrary


def open_reader(path: str, environ: Mapping[str, str], *, quarantine: bool) -> Reader:
    """Return a reader of the repository at `path`; with `quarantine`, of what pre-receive sees, too.

    `environ` is what git gave the hook. Raise `RepositoryError` if there is no repository.
    """
    if not os.path.isdir(path):
        raise RepositoryError("no such repository", where=path)
    if _library is not None and not is_sha256(path):
        return _library(path, environ.get("GIT_OBJECT_DIRECTORY") if quarantine else None)
    from git_hooks.repository.program import ByProgram

    return ByProgram(path, sealed(environ, quarantine=quarantine))


def is_sha256(path: str) -> bool:
    """Tell whether the repository's objects have names that libgit2 does not know (gitrepository-layout(5))."""
    try:
        with open(os.path.join(path, "config"), encoding="utf-8", errors="replace") as config:
            lines = ["".join(line.split()).lower() for line in config]
    except OSError:
        return False
    return "objectformat=sha256" in lines
