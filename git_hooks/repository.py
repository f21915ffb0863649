"""Reads one bare repository through git's own program; the only module here that runs it.

Owns: one `git cat-file --batch` process, started at the first question and
kept until `close`; git's environment. It works for sha1 and sha256 alike and
is there after 2 ms, where a libgit2 binding costs many times that to import
and knows no sha256. Writes nothing.

Failure modes: the repository is missing, or belongs to somebody else, or git
is not installed: `RepositoryError` with git's own words. An object or ref
that is not there: `NotFound`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import BinaryIO, TypeVar

from enc.errors import NotFound, ToolkitError
from enc.names import HEADS, BranchName
from git_hooks.refs import ObjectId
from git_hooks.trees import Entry, parse_tree

T = TypeVar("T")

_AHEAD = 200
"""So many questions are asked before the first answer is read: they fit a pipe's buffer, so nobody waits for ever."""

_REMEMBERED = 200_000
"""Entries of trees kept in memory, some 250 bytes each. Not so many trees: those of a large directory are large."""

_QUARANTINE = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")


class RepositoryError(ToolkitError):
    """git could not read the repository."""


class _GitEnded(RepositoryError):
    """The process that answers is gone."""


def git_environment(environ: Mapping[str, str], *, quarantine: bool = False) -> dict[str, str]:
    """Return `environ` for a git of ours: what a hook inherits (GIT_DIR and so on) must not redirect it.

    With `quarantine`, the variables stay through which pre-receive sees the
    objects of the push. Replacement refs are ignored: with them, a pushed
    ref could make one commit show the content of another.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    if quarantine:
        kept.update({name: environ[name] for name in _QUARANTINE if name in environ})
    return kept | {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


class Repository:
    """One bare repository, read only. Not for several threads at once."""

    def __init__(self, path: str, *, quarantine: bool = False, environ: Mapping[str, str] = os.environ) -> None:
        """Start nothing yet. With `quarantine`, also see what pre-receive has not let in, as `environ` names it."""
        self.path = path
        self._quarantine = quarantine
        self._environ = environ
        self._pid = 0
        self._questions: BinaryIO | None = None
        self._answers: BinaryIO | None = None
        self._trees: dict[str, tuple[Entry, ...]] = {}
        self._entries = 0

    def __enter__(self) -> Repository:
        """Start git; it gets ready while the caller does something else."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End git."""
        self.close()

    def close(self) -> None:
        """End git; the repository may be asked again, which starts it anew."""
        if self._questions is not None and self._answers is not None:
            self._questions.close()
            self._answers.close()
            os.waitpid(self._pid, 0)
            self._questions = self._answers = None

    def commit_of(self, revision: str) -> ObjectId:
        """Return the commit that a ref or object name means; raise `NotFound`."""
        kind, commit, _ = self._one(f"{revision}^{{commit}}")
        if kind != "commit":
            raise NotFound(f"no commit {revision}", where=self.path)
        return ObjectId(commit)

    def has(self, commit: ObjectId) -> bool:
        """Tell whether `commit` is here."""
        return self._one(commit)[0] == "commit"

    def tip(self, branch: BranchName) -> ObjectId | None:
        """Return the commit of `branch`, None if there is no such branch.

        Raise `RepositoryError` if there is one, but not its commit: a damaged
        repository must not look like a deleted branch.
        """
        kind, commit, _ = self._one(f"{branch.ref}^{{commit}}")
        if kind == "commit":
            return ObjectId(commit)
        if branch.ref.encode() in self._run("for-each-ref", "--format=%(refname)", branch.ref).split(b"\n"):
            raise RepositoryError(f"the commit of branch {branch} is missing; run git fsck", where=self.path)
        return None

    def tree_of(self, commit: ObjectId) -> str:
        """Return the name of the tree of `commit`; raise `NotFound`."""
        kind, _, content = self._one(commit)
        if kind != "commit" or not content.startswith(b"tree "):
            raise NotFound(f"no commit {commit}", where=self.path)
        return content[5 : content.index(b"\n")].decode("ascii")

    def tree(self, tree: str) -> tuple[Entry, ...]:
        """Return the entries of `tree`, whatever they are; raise `UnsoundTree` if it is damaged.

        What of them may become files is not judged here (trees.unfit).
        """
        known = self._trees.get(tree)
        if known is None:
            kind, _, content = self._one(tree)
            if kind != "tree":
                raise NotFound(f"no tree {tree}", where=self.path)
            known = parse_tree(content, len(tree) // 2)
            self._entries += len(known)
            if self._entries > _REMEMBERED:
                self._trees.clear()
                self._entries = len(known)
            self._trees[tree] = known
        return known

    def blob(self, blob: str) -> bytes:
        """Return the content of one file or link."""
        return next(self.blobs([blob]))

    def blobs(self, blobs: Iterable[str]) -> Generator[bytes]:
        """Yield the contents of `blobs` in order; several are asked for at once. Close it if not all are read."""
        return self._each(list(blobs), self._blob)

    def _blob(self, blob: str) -> bytes:
        kind, _, content = self._read()
        if kind != "blob":
            raise NotFound(f"no blob {blob}", where=self.path)
        return content

    def _each(self, names: list[str], read: Callable[[str], T]) -> Generator[T]:
        """Ask for all objects, many ahead, and yield what `read` makes of the answer to each."""
        unread = 0
        try:
            for start in range(0, len(names), _AHEAD):
                part = names[start : start + _AHEAD]
                self._ask(part)
                unread = len(part)
                for name in part:
                    answer = read(name)
                    unread -= 1
                    yield answer
        finally:
            if unread:  # a full disk, an object that is missing: the next question must not get these answers
                self.close()

    def branches(self) -> dict[BranchName, ObjectId]:
        """Return all branches with their commits, those of unacceptable names left out."""
        output = self._run("for-each-ref", "--format=%(objectname) %(refname)", HEADS)
        # Not splitlines(): a name may hold what ends a line for Unicode, and its beginning be another branch's name.
        lines = output.decode("utf-8", "surrogateescape").split("\n")
        pairs = (line.split(" ", 1) for line in lines if line)
        return {
            BranchName(ref[len(HEADS) :]): ObjectId(commit)
            for commit, ref in pairs
            if BranchName.accepts(ref[len(HEADS) :])
        }

    def contains(self, commit: ObjectId, other: ObjectId) -> bool:
        """Tell whether `other` is `commit` or one of its ancestors."""
        return commit == other or self._status("merge-base", "--is-ancestor", other, commit) == 0

    # The process

    def _start(self) -> None:
        if self._questions is not None:
            return
        if not os.path.isdir(self.path):
            raise RepositoryError("no such repository", where=self.path)
        self._pid, self._questions, self._answers = self._spawn("cat-file", "--batch")

    def _spawn(self, *command: str) -> tuple[int, BinaryIO, BinaryIO]:
        """Start git; return its process id, its standard input and output."""
        down_read, down_write = os.pipe()
        up_read, up_write = os.pipe()
        try:
            # posix_spawn and not subprocess: a hook is over in the time that importing the latter takes.
            pid = os.posix_spawnp(
                "git",
                ["git", f"--git-dir={self.path}", *command],
                git_environment(self._environ, quarantine=self._quarantine),
                file_actions=[(os.POSIX_SPAWN_DUP2, down_read, 0), (os.POSIX_SPAWN_DUP2, up_write, 1)],
            )
        except OSError as error:
            os.close(down_write)
            os.close(up_read)
            raise RepositoryError(f"git cannot be started: {error.strerror}", where=self.path) from error
        finally:
            os.close(down_read)
            os.close(up_write)
        return pid, os.fdopen(down_write, "wb", buffering=0), os.fdopen(up_read, "rb", buffering=65536)

    def _finish(self, *command: str) -> tuple[int, bytes]:
        pid, questions, answers = self._spawn(*command)
        questions.close()
        with answers:
            output = answers.read()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output

    def _run(self, *command: str) -> bytes:
        status, output = self._finish(*command)
        if status:
            raise RepositoryError(f"git {command[0]} failed with status {status}", where=self.path)
        return output

    def _status(self, *command: str) -> int:
        return self._finish(*command)[0]

    def _ask(self, names: list[str]) -> None:
        self._start()
        assert self._questions is not None
        try:
            self._questions.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
        except BrokenPipeError as error:
            raise self._ended() from error

    def _read(self) -> tuple[str, str, bytes]:
        """Return kind, name and content of the next answer; kind is `missing` for what is not there."""
        assert self._answers is not None
        header = self._answers.readline().decode("utf-8", "surrogateescape").split()
        if not header:
            raise self._ended()
        if len(header) != 3 or not header[2].isdigit():
            return "missing", "", b""
        try:
            self._admit(header[1], header[0], int(header[2]))
        except ToolkitError:
            self.close()  # with what git would still say
            raise
        content = self._answers.read(int(header[2]))
        if len(content) != int(header[2]) or self._answers.read(1) != b"\n":
            raise self._ended()
        return header[1], header[0], content

    def _admit(self, kind: str, name: str, size: int) -> None:
        """Raise a `ToolkitError` for an object that is too large to be read whole; none is, once it was let in."""

    def _ended(self) -> _GitEnded:
        """Clean up after a git that has ended by itself; the next question starts another."""
        self.close()
        return _GitEnded("git cat-file ended; its own words stand above", where=self.path)

    def _one(self, name: str) -> tuple[str, str, bytes]:
        if "\n" in name:
            raise NotFound("no object has a line break in its name", where=self.path)
        kept = self._questions is not None
        try:
            self._ask([name])
            return self._read()
        except _GitEnded:
            if not kept:
                raise
            # It was started for an earlier deploy, and somebody has ended it since.
            self._ask([name])
            return self._read()
