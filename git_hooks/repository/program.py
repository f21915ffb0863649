"""Reads a bare repository through git's own program, for sha1 and sha256 alike.

Owns: two processes of `git cat-file`, started at the first question and kept
until `close`. They are there after 2 ms, which is why cold hooks use them. One
tells kinds and sizes (`--batch-check`), for which git need not unpack an
object; the other gives contents, of what is wanted by its size.

Failure modes: git is not installed, or ends in the middle: `RepositoryError`;
its own words stand on the standard error that the caller has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import BinaryIO, NamedTuple

from git_hooks.repository.git_program import PROGRAM
from git_hooks.repository.git_program import command as git_command
from git_hooks.repository.reading import MISSING, RepositoryError, Seen, Wanted

_AHEAD = 200
"""So many questions are asked before the first answer is read: they fit a pipe's buffer, so nobody waits for ever."""


class _GitEnded(RepositoryError):
    """The process that answers is gone."""


class ByProgram:
    """One bare repository, through git's own program."""

    def __init__(self, path: str, environment: Mapping[str, str]) -> None:
        """Start nothing yet."""
        self._path = path
        self._environment = environment
        self._sizes = _Batch(path, self._spawn, "--batch-check")
        self._contents = _Batch(path, self._spawn, "--batch")

    def resolve(self, revision: str) -> str | None:
        """See Reader."""
        if "\n" in revision or "\0" in revision:
            return None
        head = self._sizes.ask([f"{revision}^{{commit}}"])
        return head.name if head.kind == "commit" else None

    def look(self, names: Sequence[str], wanted: Wanted) -> Generator[Seen]:
        """See Reader."""
        for heads in self._heads(names):
            whole = [head.kind != MISSING and wanted(*head) for head in heads]
            with closing(
                self._contents.read_all([h.name for h, wants in zip(heads, whole, strict=True) if wants])
            ) as read:
                for head, wants in zip(heads, whole, strict=True):
                    yield Seen(head.kind, head.size, next(read) if wants else None)

    def heads(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """See Reader."""
        return [(head.kind, head.size) for heads in self._heads(names) for head in heads]

    def _heads(self, names: Sequence[str]) -> Iterator[list[_Head]]:
        for start in range(0, len(names), _AHEAD):
            part = [name if "\n" not in name else MISSING for name in names[start : start + _AHEAD]]
            yield self._sizes.ask_all(part)

    def refs(self, below: str) -> list[tuple[str, str]]:
        """See Reader."""
        output = self._run("for-each-ref", "--format=%(objectname) %(refname)", below)
        # Not splitlines(): a name may hold what ends a line for Unicode, and its beginning be another branch's name.
        lines = output.decode("utf-8", "surrogateescape").split("\n")
        pairs = (line.split(" ", 1) for line in lines if line)
        return [(ref, name) for name, ref in pairs]

    def contains(self, commit: str, other: str) -> bool:
        """See Reader."""
        return self._finish("merge-base", "--is-ancestor", other, commit)[0] == 0

    def merge_base(self, first: str, second: str) -> str | None:
        """See Reader."""
        status, output = self._finish("merge-base", first, second)
        return output.decode("ascii").split()[0] if status == 0 else None

    def fresh(self, commit: str, known: Sequence[str], most: int) -> list[str]:
        """See Reader."""
        words = ["rev-list", f"--max-count={most}", "--ignore-missing", "--stdin"]
        asked = "".join(f"{name}\n" for name in (commit, *(f"^{name}" for name in known)))
        status, output = self._finish(*words, given=asked.encode("ascii", "replace"))
        return output.decode("ascii").split() if status == 0 else []

    def divergence(self, first: str, second: str) -> tuple[int, int] | None:
        """See Reader."""
        status, output = self._finish("rev-list", "--left-right", "--count", f"{first}...{second}", "--")
        counts = output.split()
        return (int(counts[0]), int(counts[1])) if status == 0 and len(counts) == 2 else None

    def close(self) -> None:
        """See Reader."""
        self._sizes.close()
        self._contents.close()

    # The processes

    def _spawn(self, *command: str) -> tuple[int, BinaryIO, BinaryIO]:
        """Start git; return its process id, its standard input and output."""
        down_read, down_write = os.pipe()
        up_read, up_write = os.pipe()
        try:
            # posix_spawn and not subprocess: a hook is over in the time that importing the latter takes.
            pid = os.posix_spawnp(
                PROGRAM,
                git_command(self._path, *command),
                self._environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, down_read, 0), (os.POSIX_SPAWN_DUP2, up_write, 1)],
            )
        except OSError as error:
            os.close(down_write)
            os.close(up_read)
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self._path) from error
        finally:
            os.close(down_read)
            os.close(up_write)
        return pid, os.fdopen(down_write, "wb", buffering=0), os.fdopen(up_read, "rb", buffering=65536)

    def _finish(self, *command: str, given: bytes = b"") -> tuple[int, bytes]:
        """Return the status and all output of a git that reads all of `given` before it writes."""
        pid, questions, answers = self._spawn(*command)
        with answers:
            left = memoryview(given)
            with questions, suppress(BrokenPipeError):
                while left:
                    left = left[questions.write(left) or 0 :]
            output = answers.read()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output

    def _run(self, *command: str) -> bytes:
        status, output = self._finish(*command)
        if status:
            raise RepositoryError(f"git {command[0]} failed with status {status}", where=self._path)
        return output


class _Head(NamedTuple):
    """What git says of an object."""

    name: str
    kind: str
    size: int


class _Batch:
    """One `git cat-file` that is kept."""

    def __init__(self, path: str, spawn: Callable[..., tuple[int, BinaryIO, BinaryIO]], mode: str) -> None:
        """Start nothing yet."""
        self._path = path
        self._spawn = spawn
        self._mode = mode
        self._pid = 0
        self._questions: BinaryIO | None = None
        self._answers: BinaryIO | None = None

    def ask(self, names: Sequence[str]) -> _Head:
        """Ask for all `names`; return the head of the first answer."""
        kept = self._questions is not None
        try:
            self._write(names)
            return self._head()
        except _GitEnded:
            if not kept:
                raise
            # It was started for an earlier deploy, and somebody has ended it since.
            self._write(names)
            return self._head()

    def ask_all(self, names: Sequence[str]) -> list[_Head]:
        """Return the heads of all, where nothing follows them."""
        return [self.ask(names), *(self._head() for _ in names[1:])]

    def read_all(self, names: Sequence[str]) -> Generator[bytes]:
        """Yield the contents of all, which are there."""
        unread = len(names)
        try:
            for number in range(len(names)):
                head = self._head() if number else self.ask(names)
                yield self._content(head)
                unread -= 1
        finally:
            if unread:  # a full disk, an object that is missing: the next question must not get these answers
                self.close()

    def close(self) -> None:
        """End it, whatever it would still say."""
        if self._questions is not None and self._answers is not None:
            self._questions.close()
            self._answers.close()
            os.waitpid(self._pid, 0)
            self._questions = self._answers = None

    def _write(self, names: Sequence[str]) -> None:
        if self._questions is None:
            self._pid, self._questions, self._answers = self._spawn("cat-file", self._mode)
        try:
            self._questions.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
        except BrokenPipeError as error:
            raise self._ended() from error

    def _head(self) -> _Head:
        assert self._answers is not None
        words = self._answers.readline().decode("utf-8", "surrogateescape").split()
        if not words:
            raise self._ended()
        if len(words) != 3 or not words[2].isdigit():
            return _Head("", MISSING, 0)
        return _Head(words[0], words[1], int(words[2]))

    def _content(self, head: _Head) -> bytes:
        assert self._answers is not None
        content = self._answers.read(head.size)
        if head.kind == MISSING or len(content) < head.size or self._answers.read(1) != b"\n":
            raise self._ended()
        return content

    def _ended(self) -> _GitEnded:
        """Clean up after a git that has ended by itself; the next question starts another."""
        self.close()
        return _GitEnded("git cat-file ended; see its message above", where=self._path)
