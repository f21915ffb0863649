"""The journal of signing: every verdict, one JSON document a line.

puppetserver's account appends; the file's group reads. When the file has grown
too long, it is moved aside (one generation is kept: strangers can cause lines).
What tears a line, and what becomes of it, is json_lines.py's; readers skip it.

A request's claims stand only in `reason`; `project` is what LDAP says, so
that nobody writes into another project's part of the journal.

If it cannot be written, nothing is signed: no certificate without a trace.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from enc.programs import json_lines
from enc.programs.json_lines import JsonLines
from enc.programs.machine_trouble import reason
from enc.programs.times import iso
from enc.programs.whole_file import Strength
from enc.rights.roles import Action, Person, allowed
from enc.terms.errors import ToolkitError, bounded
from enc.terms.names import ProjectName

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
        # Not synced: each signed request waits for this, and a certificate leaves traces of its own. A reader who holds
        # the lock for ever must not stop us, and costs only the move aside.
        self._lines = JsonLines(file, mode=0o640, survives=Strength.KILL, longest=longest, patience=_PATIENCE)

    @property
    def older(self) -> Path:
        """Where the lines before the last move aside are."""
        return Path(self._lines.older)

    def check(self) -> None:
        """Raise `ToolkitError` if it could not be written now."""
        try:
            self.file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lines.check()
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, told: Line) -> None:
        """Write a line; raise `ToolkitError` if that fails."""
        try:
            self.file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lines.append(dataclasses.asdict(told))
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
        stream, at = None, 0
        while True:
            if stream is None and self.file.exists():
                stream = self.file.open("rb")
            if stream is not None:
                # Looked at before the reading: what was written before a move aside is read to its end first.
                moved = not json_lines.same(stream.fileno(), self.file)
                stream.seek(at)  # what follows the last whole line may be taken back, and another line begin there
                whole, end, _ = stream.read().rpartition(b"\n")
                at += len(whole) + len(end)
                yield lines(whole)
                if moved:
                    stream.close()
                    stream, at = None, 0
                    continue
            time.sleep(pause)

    def _unwritable(self, error: OSError) -> ToolkitError:
        return ToolkitError(
            f"the journal of signing cannot be written: {reason(error)}; see signing.journal", where=str(self.file)
        )


def lines(content: bytes) -> list[Line]:
    """Return the lines in `content`; what is none is skipped."""
    found = []
    for line in json_lines.lines(content):
        with suppress(TypeError):
            found.append(Line(**(line.record or {})))
    return found


def readable_by(person: Person, told: Line) -> bool:
    """Tell whether `person` may read a line: a project's people theirs, operators all."""
    project = ProjectName(told.project) if told.project and ProjectName.accepts(told.project) else None
    return allowed(person, Action.SIGNING_READ, project).allowed
