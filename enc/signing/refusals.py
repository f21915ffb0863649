"""The journal of signing: every verdict, one JSON document a line; and beside it what the door turned away.

puppetserver's account appends; the file's group reads. When the file has grown
too long, it is moved aside (one generation is kept: strangers can cause lines).
What tears a line, and what becomes of it, is json_lines.py's; readers skip it.

A request's claims stand only in `reason`; `project` is what LDAP says, so
that nobody writes into another project's part of the journal.

If it cannot be written, nothing is signed: no certificate without a trace.

`enc-autosign`, the door before the judges, writes `strangers.jsonl` in the same
directory, 2 MB with the generation before: its own file, so that strangers wash
no verdict away; one line in a second at most, which says how many requests it
stands for. Those since the last line are a number in `strangers.count`.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

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


class SigningJournal:
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
        return older_of(self.file)

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

    @property
    def strangers(self) -> Path:
        """Where the door writes whom it turned away."""
        return self.file.with_name("strangers.jsonl")

    def read(self) -> list[Line]:
        """Return all lines, oldest first; what is no whole line is skipped. Raise `ToolkitError`."""
        found: list[Line] = []
        for file in (older_of(self.strangers), self.strangers, self.older, self.file):
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ToolkitError(
                    f"the journal of signing cannot be read: {error.strerror}", where=str(file)
                ) from error
            found += lines(content)
        return sorted(found, key=lambda line: line.time)  # stable: of one second, each file's own order

    def untold(self) -> int:
        """Return how many requests the door turned away since its last line; 0 if that cannot be read."""
        try:
            content = self.file.with_name("strangers.count").read_bytes()
        except OSError:
            return 0
        match = re.fullmatch(rb"[0-9]{1,12} ([0-9]{1,12})\n", content)
        return int(match[1]) if match else 0

    def follow(self, pause: float = 0.5) -> Iterator[list[Line]]:
        """Yield what is there and then what comes, for ever, also across moves aside; look each `pause` seconds."""
        tails = [_Tail(self.strangers), _Tail(self.file)]
        while True:
            new = [line for tail in tails for line in tail.more()]
            yield sorted(new, key=lambda line: line.time)
            time.sleep(pause)

    def _unwritable(self, error: OSError) -> ToolkitError:
        return ToolkitError(
            f"the journal of signing cannot be written: {reason(error)}; see signing.journal", where=str(self.file)
        )


class _Tail:
    """What comes to one file, across moves aside."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: BinaryIO | None = None
        self._at = 0
        self._first = True

    def more(self) -> list[Line]:
        """Return what came since the last time; the first time what is there."""
        found: list[Line] = []
        if self._first and older_of(self._file).exists():
            found += lines(older_of(self._file).read_bytes())
        self._first = False
        while True:
            if self._stream is None:
                if not self._file.exists():
                    return found
                self._stream, self._at = self._file.open("rb"), 0
            # Looked at before the reading: what was written before a move aside is read to its end first.
            moved = not json_lines.same(self._stream.fileno(), self._file)
            self._stream.seek(self._at)  # what follows the last whole line may be taken back, and another begin there
            whole, end, _ = self._stream.read().rpartition(b"\n")
            self._at += len(whole) + len(end)
            found += lines(whole)
            if not moved:
                return found
            self._stream.close()
            self._stream = None


def older_of(file: Path) -> Path:
    """Return where the lines of a journal before its last move aside are."""
    return Path(f"{file}.1")


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
