"""What is kept on the server about secrets: the key of their fingerprints, and which of them operators allow.

In the repository, in a directory of the branch manager's account that nobody
else may enter, and in no tree: who pushes cannot allow anything. An allowance
is of one secret, by its keyed hash, at paths of one pattern, with a reason, who
gave it and when it ends. It is read at each push that needs it.

The key is made when it is first needed. Whoever has lost it has lost the
allowances: the same secrets get other fingerprints, and are refused.

Failure modes: what cannot be read or written is an expected error, and a push
that needs it is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import whole_file
from enc.programs.json_lines import JsonLines, Line
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import NotFound, ToolkitError
from git_hooks.secrets.findings import Finding

_PLACE = "puppetmaster/secrets"
_KEY = 32
"""Octets of the key."""


class Allowance(NamedTuple):
    """That one secret may be pushed, and audited, at some paths."""

    fingerprint: str
    path: str
    """A pattern, in which `*` matches anything."""
    reason: str
    who: str
    at: float
    """When it was given, seconds since 1970."""
    until: float
    """When it ends."""

    def covers(self, finding: Finding, now: float) -> bool:
        """Tell whether it is for a finding, and still counts."""
        return self.fingerprint == finding.fingerprint and fnmatchcase(finding.path, self.path) and now < self.until


def place(repository: Path) -> Path:
    """Return the directory, which is made if it is not there, but in no repository that is not; raise `NotWritten`."""
    found = repository / _PLACE
    try:
        found.parent.mkdir(exist_ok=True)
        found.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise NotWritten(error, str(found)) from error
    return found


def key(repository: Path) -> bytes:
    """Return the key of the fingerprints, which is made if it is not there; raise `ToolkitError`."""
    file = place(repository) / "key"
    found = known_key(repository)
    if found is None:
        try:
            whole_file.make(file, os.urandom(_KEY).hex(), mode=0o600, survives=Strength.POWER_CUT)
        except OSError as error:
            raise ToolkitError(reason(error), where=str(file)) from error
        found = known_key(repository) or b""
    return found


def known_key(repository: Path) -> bytes | None:
    """Return the key if it was made already, and make nothing; raise `ToolkitError`."""
    file = repository / _PLACE / "key"
    try:
        found = _read(file)
    except OSError as error:
        raise ToolkitError(reason(error), where=str(file)) from error
    if found is not None and len(found) != _KEY:
        what = "does not hold the key of the fingerprints of secrets; remove it, and a new one is made"
        raise ToolkitError(what, where=str(file))
    return found


def _read(file: Path) -> bytes | None:
    try:
        return bytes.fromhex(file.read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        return b""


class Allowances:
    """The allowances of one site."""

    def __init__(self, repository: Path) -> None:
        """Read nothing yet."""
        self._repository = repository
        self._read: tuple[Allowance, ...] | None = None

    def allow(self, finding: Finding, now: float) -> bool:
        """Tell whether a finding is allowed; they are read once for each object of this class."""
        if self._read is None:
            self._read = self.all()
        return any(one.covers(finding, now) for one in self._read)

    def all(self) -> tuple[Allowance, ...]:
        """Return all, those that ended, too; raise `ToolkitError` if they cannot be read."""
        file = self._repository / _PLACE / "allowed.jsonl"
        try:
            return tuple(_allowances(JsonLines(file, mode=None, survives=Strength.POWER_CUT).read(), file))
        except ToolkitError:
            raise
        except OSError as error:
            raise ToolkitError(reason(error), where=str(file)) from error

    def add(self, allowance: Allowance) -> None:
        """Keep one, in the place of an earlier one for the same secret and pattern; raise `ToolkitError`."""
        same = (allowance.fingerprint, allowance.path)
        self._revise(lambda before: (*(one for one in before if (one.fingerprint, one.path) != same), allowance))

    def revoke(self, fingerprint: str, path: str | None = None) -> tuple[Allowance, ...]:
        """Take back those of a secret, for one pattern or all, and return them; raise `NotFound` if there is none."""
        gone: list[Allowance] = []

        def without(before: tuple[Allowance, ...]) -> Iterable[Allowance]:
            gone[:] = [one for one in before if one.fingerprint == fingerprint and path in (None, one.path)]
            return tuple(one for one in before if one not in gone)

        self._revise(without)
        if not gone:
            raise NotFound("no secret with this fingerprint is allowed", where=fingerprint)
        return tuple(gone)

    def _revise(self, change: Callable[[tuple[Allowance, ...]], Iterable[Allowance]]) -> None:
        file = place(self._repository) / "allowed.jsonl"

        def lines(before: list[Line]) -> Iterable[Mapping[str, Any]]:
            return [one._asdict() for one in change(tuple(_allowances(before, file)))]

        JsonLines(file, mode=0o600, survives=Strength.POWER_CUT).revise(lines)
        self._read = None


def _allowances(lines: Iterable[Line], file: Path) -> Iterable[Allowance]:
    for line in lines:
        try:
            found = Allowance(**(line.record or {}))
            yield found._replace(at=float(found.at), until=float(found.until))
        except (TypeError, ValueError) as error:
            raise ToolkitError(f"line {line.number} is no allowance; correct or remove it", where=str(file)) from error
