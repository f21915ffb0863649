"""Files of JSON lines that only grow: journals, and trails of what was done.

A record is one JSON object on one line of ASCII; JSON escapes every control
character, so no text in it can end the line. Records are appended by one write
under a lock on the file itself.

What may go wrong with the end, and what becomes of it:

- A write that is short is completed. If that fails (a full disk), the file is
  cut to where it was: `NotWritten` means that nothing of the record is there.
- A power cut, or a kill in the middle, can leave a last line without its end.
  Nobody was told that it is written. The next writer closes it off with a
  newline before its own record, so that it stands alone and takes no other
  line with it; with `cuts` it is cut away, for readers to whom a line that
  cannot be read is damage.

Readers need no lock. They get each line with its number and either its record
or None, and decide what that means to them.

Links are not followed, for the file may stand where others can write (on the
way to it, root follows none of theirs: directories.py), and nothing but a
regular file is taken, for a pipe would keep nothing.

Not here: what records say.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import directories, whole_file
from enc.programs.whole_file import NotWritten, Strength

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_BLOCK = 65_536


class Line(NamedTuple):
    """One line of such a file."""

    number: int
    """From 1 on."""
    text: bytes
    record: dict[str, Any] | None
    """None: it cannot be read."""
    whole: bool
    """False: its end is missing, and somebody may be writing it."""


class JsonLines:
    """One file. Making the object does nothing; for several processes and threads at once."""

    def __init__(
        self,
        file: str | Path,
        *,
        mode: int | None,
        survives: Strength,
        cuts: bool = False,
        longest: int | None = None,
        patience: float | None = None,
    ) -> None:
        """Say how the file is.

        `mode`: of a new file; what is there keeps its own; None: it has to be there.
        `survives`: with `Strength.POWER_CUT` each record is on disk when it is written.
        `cuts`: what a torn last line becomes, see above.
        `longest`: octets from which the file is moved to `older` before a record is added.
        `patience`: seconds to wait for the lock; then it goes without, and moves and cuts nothing. None: for ever.
        """
        self.file = os.fspath(file)
        self.older = f"{self.file}.1"
        self._mode = mode
        self._lasting = survives >= Strength.POWER_CUT
        self._cuts = cuts
        self._longest = longest
        self._patience = patience

    def append(self, *records: Mapping[str, Any]) -> int:
        """Add records, all of them or none, and return how long the file is then; raise `NotWritten`."""
        data = b"".join(line(record) for record in records)
        with self._told(), self._locked() as (handle, held):
            end = self._mend(handle, held)
            try:
                _write(handle, data if end.whole else b"\n" + data)
                if self._lasting:
                    os.fsync(handle)
            except BaseException:
                if held:
                    # If even that is refused, the next writer closes the line off.
                    with suppress(OSError):
                        os.ftruncate(handle, end.size)
                raise
            return os.fstat(handle).st_size

    def mend(self) -> None:
        """Close off or cut a torn last line now; nothing without a file. Raise `NotWritten`."""
        with self._told(), suppress(FileNotFoundError), self._locked(make=False) as (handle, held):
            end = self._mend(handle, held)
            if not end.whole:
                _write(handle, b"\n")

    def rewrite(self, records: Iterator[Mapping[str, Any]]) -> None:
        """Let the file hold `records` and nothing else, old or new at any moment; raise `NotWritten`."""
        mode = 0o600 if self._mode is None else self._mode
        with self._told(), self._locked():
            whole_file.write(self.file, b"".join(map(line, records)), mode=mode, survives=Strength.ORDER)

    def revise(self, change: Callable[[list[Line]], Iterable[Mapping[str, Any]]]) -> None:
        """Let the file hold what `change` makes of its lines, old or new at any moment; raise `NotWritten`.

        `change` works under the lock. For files that are bounded, and short.
        """
        mode = 0o600 if self._mode is None else self._mode
        with self._told(), self._locked():
            content = b"".join(map(line, change(self.read())))
            whole_file.write(self.file, content, mode=mode, survives=Strength.KILL)

    def check(self) -> None:
        """Raise `NotWritten` if the file could not be opened for writing now."""
        with self._told():
            os.close(self._open())

    def read(self) -> list[Line]:
        """Return the lines; none if there is no such file. Raise OSError."""
        try:
            with open(self.file, "rb") as stream:
                return list(lines(stream.read()))
        except FileNotFoundError:
            return []

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except NotWritten:
            raise
        except OSError as error:
            raise NotWritten(error, self.file) from error

    @contextmanager
    def _locked(self, *, make: bool = True) -> Iterator[tuple[int, bool]]:
        """Give a handle of the file with room for more, and whether it is locked."""
        while True:
            handle = self._open(make=make)
            try:
                held = _lock(handle, self._patience)
                if held and not same(handle, self.file):  # moved aside while we waited
                    continue
                if held and self._longest is not None and os.fstat(handle).st_size >= self._longest:
                    with directories.held(self.file) as (directory, name):
                        os.replace(name, f"{name}.1", src_dir_fd=directory, dst_dir_fd=directory)
                    continue
                yield handle, held
                return
            finally:
                os.close(handle)

    def _open(self, *, make: bool = True) -> int:
        with directories.held(self.file) as (directory, name):
            try:
                handle = os.open(name, _FLAGS, dir_fd=directory)
            except FileNotFoundError:
                if self._mode is None or not make:
                    raise
                handle = self._make(self._mode, directory, name)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "this is not a regular file")
        return handle

    def _make(self, mode: int, directory: int, name: str) -> int:
        handle = os.open(name, _FLAGS | os.O_CREAT, 0o600, dir_fd=directory)
        try:
            os.fchmod(handle, mode)
            if self._lasting:
                directories.sync(directory)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _mend(self, handle: int, held: bool) -> _End:
        """See to a torn last line; return the end, which is not whole if a newline has still to be written."""
        size = os.fstat(handle).st_size
        torn = _torn(handle, size)
        if torn == 0:
            return _End(size, whole=True)
        if self._cuts and held:
            with suppress(OSError):  # refused for a file that may only grow (chattr +a)
                os.ftruncate(handle, size - torn)
                return _End(size - torn, whole=True)
        return _End(size, whole=False)


class _End(NamedTuple):
    size: int
    whole: bool


def line(record: Mapping[str, Any]) -> bytes:
    """Return a record as its line."""
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def lines(content: bytes, first: int = 1) -> Iterator[Line]:
    """Yield the lines in `content` that are not empty, the first of which has the number `first`."""
    texts = content.split(b"\n")
    for number, text in enumerate(texts, first):
        if text:
            yield Line(number, text, record_of(text), whole=number - first < len(texts) - 1)


def record_of(text: bytes) -> dict[str, Any] | None:
    """Return the record that a line is; None if it is none."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):  # hostile nesting has no end
        return None
    return record if isinstance(record, dict) else None


def same(handle: int, file: str | Path) -> bool:
    """Tell whether an open file is the one that stands at `file` now."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(file))
    except FileNotFoundError:
        return False


def _lock(handle: int, patience: float | None) -> bool:
    if patience is None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return True
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        else:
            return True


def _torn(handle: int, size: int) -> int:
    """Return how many bytes stand behind the last newline."""
    if not size or os.pread(handle, 1, size - 1) == b"\n":
        return 0
    at = size
    while at:
        step = min(at, _BLOCK)
        at -= step
        found = os.pread(handle, step, at).rfind(b"\n")
        if found >= 0:
            return size - (at + found + 1)
    return size


def _write(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]
