"""The journal of signing: every verdict, one JSON document a line.

puppetserver's account appends; the file's group reads. A line is one write to
a file opened for appending, under a lock that also guards the move aside when
the file has grown too long (one generation is kept: strangers can cause lines).
A power cut can tear the last line; the next writer ends it, readers skip it.

JSON escapes every control character, so that no text of a request can end a
line. A request's claims stand only in `reason`; `project` is what LDAP says, so
that nobody writes into another project's part of the journal.

If it cannot be written, nothing is signed: no certificate without a trace.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enc.rights.roles import Action, Person, allowed
from enc.terms.errors import ToolkitError, bounded
from enc.terms.names import ProjectName
from enc.times import iso

_PATIENCE = 0.2
_CERTNAME = 500
_REASON = 16_384
"""Characters that are kept. What a request can put into a reason is bounded where the reason is made."""


@dataclass(frozen=True)
class Line:
    """One verdict."""

    time: str
    """UTC, RFC 3339."""
    certname: str
    """As puppetserver gave it; it need not be a certname."""
    code: str
    signed: bool
    reason: str
    key: str = ""
    """SHA-256 of the request's public key, in hex; empty if the request could not be read."""
    project: str | None = None
    """Of the instance, as LDAP says; None: not known, for operators only."""


def line(certname: str, code: str, reason: str, *, signed: bool, key: str, project: str | None, now: float) -> Line:
    """Return the line of a verdict at `now` (seconds since 1970)."""
    when = iso(now)
    return Line(when, bounded(certname, _CERTNAME), code, signed, bounded(reason, _REASON), key, project)


LONGEST = 10_485_760
"""Octets of the journal; a longer one is moved to `….1` (one generation) before the next line."""


class Journal:
    """The journal in one file. Making the object does nothing."""

    def __init__(self, file: Path, longest: int = LONGEST) -> None:
        """`longest`: octets from which the file is moved aside."""
        self.file = file
        self._longest = longest

    @property
    def older(self) -> Path:
        """Where the lines before the last move aside are."""
        return self.file.with_name(self.file.name + ".1")

    def check(self) -> None:
        """Raise `ToolkitError` if it could not be written now."""
        try:
            os.close(self._open())
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, told: Line) -> None:
        """Write a line; raise `ToolkitError` if that fails."""
        text = json.dumps(dataclasses.asdict(told), ensure_ascii=True, separators=(",", ":"))
        data = text.encode("ascii") + b"\n"
        try:
            handle = self._locked()
            try:
                end = os.fstat(handle).st_size
                torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"
                data = b"\n" + data if torn else data
                if os.write(handle, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(handle)
        except OSError as error:
            raise self._unwritable(error) from error

    def read(self) -> list[Line]:
        """Return all lines, oldest first; what is no whole line is skipped. Raise `ToolkitError`."""
        found: list[Line] = []
        for file in (self.older, self.file):
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ToolkitError(
                    f"the journal of signing cannot be read: {error.strerror}", where=str(file)
                ) from error
            found += lines(content)
        return found

    def follow(self, pause: float = 0.5) -> Iterator[list[Line]]:
        """Yield what is there and then what comes, for ever, also across moves aside; look each `pause` seconds."""
        if self.older.exists():
            yield lines(self.older.read_bytes())
        stream, rest = None, b""
        while True:
            if stream is None and self.file.exists():
                stream = self.file.open("rb")
            if stream is not None:
                # Looked at before the reading: what was written before a move aside is read to its end first.
                moved = not _same(stream.fileno(), self.file)
                rest += stream.read()
                whole, _, rest = rest.rpartition(b"\n")
                yield lines(whole)
                if moved:
                    stream.close()
                    stream, rest = None, b""
                    continue
            time.sleep(pause)

    def _locked(self) -> int:
        """Return a handle of the file, locked if that can be, with room for a line."""
        while True:
            handle = self._open()
            try:
                if not _lock(handle):
                    return handle
                if not _same(handle, self.file):  # moved aside while we waited
                    os.close(handle)
                    continue
                if os.fstat(handle).st_size < self._longest:
                    return handle
                self.file.replace(self.older)
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _open(self) -> int:
        self.file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Links are not followed: the file may stand where others can write. Nor do we wait for a pipe's reader.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self.file, flags, 0o640)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "it is not a regular file")
        return handle

    def _unwritable(self, error: OSError) -> ToolkitError:
        return ToolkitError(
            f"the journal of signing cannot be written: {error.strerror}; see signing.journal", where=str(self.file)
        )


def lines(content: bytes) -> list[Line]:
    """Return the lines in `content`; what is none is skipped."""
    found = []
    for text in content.split(b"\n"):
        try:
            document: dict[str, Any] = json.loads(text)
            found.append(Line(**document))
        except (ValueError, TypeError):
            continue
    return found


def readable_by(person: Person, told: Line) -> bool:
    """Tell whether `person` may read a line: a project's people theirs, operators all."""
    project = ProjectName(told.project) if told.project and ProjectName.accepts(told.project) else None
    return allowed(person, Action.SIGNING_READ, project).allowed


def _lock(handle: int) -> bool:
    """Tell whether the lock was to be had; a reader who holds it for ever must not stop us, and costs only the move."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        else:
            return True


def _same(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False
