"""Everything that a repository holds, what no ref leads to as well: its objects, where they stand, who brought them.

Asked of git's own program, which reads packs in their order and knows how to walk a history of any length; also for
what it keeps of large objects in memory: nothing, they come in pieces.

An object that is missing is passed over by the walks (git keeps going), and told by `contents`.

Failure modes: git ends with an error: `RepositoryError` with its words.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

from enc.terms.program_words import why
from git_hooks.repository.git_program import command, sealed
from git_hooks.repository.reading import MISSING, RepositoryError

_AHEAD = 100
"""Objects that are asked for before the first answer is read: their names fit a pipe."""


class Listed(NamedTuple):
    """An object, without its content."""

    name: str
    kind: str
    size: int


class Standing(NamedTuple):
    """Where an object stands first: ancestors come before descendants."""

    commit: str
    path: str
    place: int
    """How many commits of this walk come before."""


class AllObjects:
    """One bare repository, read only."""

    def __init__(self, path: str) -> None:
        """Start nothing."""
        self._path = path

    def listing(self) -> Iterator[Listed]:
        """Yield every object, in the order in which they are read fastest."""
        words = ("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype) %(objectsize)")
        with self._lines((*words, "--unordered", "--buffer")) as lines:
            for line in lines:
                name, kind, size = line.split(b" ")
                yield Listed(name.decode("ascii"), kind.decode("ascii"), int(size))

    def paths(self, commits: Iterable[str], known: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Yield object and path for what `commits` have and `known` ones, with all before them, have not."""
        asked = (*(f"{name}\n" for name in commits), *(f"^{name}\n" for name in known))
        words = ("rev-list", "--objects", "--missing=allow-any", "--stdin")
        with self._lines(words, "".join(asked).encode("ascii")) as lines:
            for line in lines:
                name, _, path = line.partition(b" ")
                if path:
                    yield name.decode("ascii"), path.decode("utf-8", "surrogateescape")

    def first(self, wanted: Mapping[str, str], commits: Iterable[str] | None) -> dict[str, Standing]:
        """Return where the objects of `wanted`, each with a path that it stands at, came first.

        `commits`: whose histories are walked; None: those of all refs. What no commit brings is left out.
        """
        paths = sorted({path for path in wanted.values() if path})
        if not paths:
            return {}
        asked = "".join(f"{name}\n" for name in commits or ()).encode("ascii") + b"--\n"
        asked += b"".join(path.encode("utf-8", "surrogateescape") + b"\n" for path in paths if "\n" not in path)
        walk = ("log", "--stdin", *(("--all",) if commits is None else ()), "--full-history", "--topo-order")
        form = ("--reverse", "--format=%x01%H", "--raw", "-m", "--root", "--no-renames", "--no-abbrev", "-z")
        found: dict[str, Standing] = {}
        commit, place = "", 0
        with self._lines((*walk, *form, "--no-show-signature", "--no-ext-diff"), asked, b"\0", literal=True) as parts:
            new = ""
            for part in parts:
                text = part.lstrip(b"\n")
                if text.startswith(b"\x01"):
                    commit, place, new = text[1:].strip().decode("ascii"), place + 1, ""
                elif text.startswith(b":"):
                    new = text.split(b" ")[3].decode("ascii")
                elif new in wanted and new not in found:
                    found[new] = Standing(commit, part.decode("utf-8", "surrogateescape"), place)
        return found

    def parents(self, commits: Iterable[str]) -> set[str]:
        """Return the parents of `commits`."""
        asked = "".join(f"{name}\n" for name in commits).encode("ascii")
        if not asked:
            return set()
        with self._lines(("rev-list", "--no-walk=unsorted", "--parents", "--stdin"), asked) as lines:
            return {name.decode("ascii") for line in lines for name in line.split(b" ")[1:]}

    def reached(self) -> set[str]:
        """Return the commits that refs lead to."""
        with self._lines(("rev-list", "--all")) as lines:
            return {line.decode("ascii") for line in lines}

    @contextmanager
    def _lines(
        self, words: Iterable[str], asked: bytes = b"", end: bytes = b"\n", *, literal: bool = False
    ) -> Iterator[Iterator[bytes]]:
        """Give the lines that git says; raise `RepositoryError` if it did not come to its end."""
        environment = sealed(os.environ) | ({"GIT_LITERAL_PATHSPECS": "1"} if literal else {})
        with tempfile.TemporaryFile() as questions, tempfile.TemporaryFile() as told:
            questions.write(asked)
            questions.seek(0)
            try:
                process = subprocess.Popen(
                    command(self._path, *words), env=environment, stdin=questions, stdout=subprocess.PIPE, stderr=told
                )
            except OSError as error:
                raise RepositoryError(f"git cannot be started: {error.strerror}", where=self._path) from error
            assert process.stdout is not None
            try:
                yield _split(process.stdout, end)
                if process.wait():
                    told.seek(0)
                    words_of_git = told.read(65_536).decode("utf-8", "replace")
                    raise RepositoryError(f"git {next(iter(words))} failed: {why(words_of_git)}", where=self._path)
            finally:
                process.kill()
                process.stdout.close()
                process.wait()


class Contents:
    """The contents of objects, one after the other, from one git that is kept."""

    def __init__(self, path: str) -> None:
        """Start git."""
        self._path = path
        words = command(path, "-c", "core.bigFileThreshold=16m", "cat-file", "--batch")
        environment = sealed(os.environ)
        try:
            self._process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=path) from error

    def read(self, names: list[str], piece: int) -> Iterator[tuple[str, Listed, Iterator[bytes]]]:
        """Yield for each of `names` what it is, and its content in pieces of so many bytes, of which all must be read.

        A name that is not there is of the kind `missing`.
        """
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None
        for start in range(0, len(names), _AHEAD):
            part = names[start : start + _AHEAD]
            with suppress(BrokenPipeError):  # told below
                asked.write("".join(f"{name}\n" for name in part).encode("ascii"))
                asked.flush()
            for name in part:
                words = answers.readline().decode("ascii", "replace").split()
                if not words:
                    raise RepositoryError("git cat-file ended; see its message above", where=self._path)
                if len(words) != 3:
                    yield name, Listed(name, MISSING, 0), iter(())
                    continue
                listed = Listed(name, words[1], int(words[2]))
                yield name, listed, self._pieces(answers, listed.size, piece)
                answers.read(1)

    def _pieces(self, answers: IO[bytes], size: int, piece: int) -> Iterator[bytes]:
        while size:
            part = answers.read(min(size, piece))
            if not part:
                raise RepositoryError("git cat-file ended in the middle of an object", where=self._path)
            size -= len(part)
            yield part

    def close(self) -> None:
        """End git."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()


def _split(stream: IO[bytes], end: bytes) -> Iterator[bytes]:
    """Yield what stands between ends of lines, whatever else is in it."""
    rest = b""
    while chunk := stream.read(1 << 16):
        *whole, rest = (rest + chunk).split(end)
        yield from whole
    if rest:
        yield rest
