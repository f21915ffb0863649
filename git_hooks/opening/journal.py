"""What an audit has seen, so that nothing is examined twice; kept in one directory for one repository.

    state.json        whose it is, and by which rules: what others found is worth nothing
    seen-N            ids of examined objects, 20 (or 32) octets each; one file for each process of an audit
    found.jsonl       a line for each object in which there was something
    checkpoint.json   how long seen-N were when all that belongs to them was on disk

An object is noted as seen when what was found in it has been written, so a kill at any moment repeats the one that
each process was at. One at which a rule could not look (a busy machine, a Puppet that is not installed) is not noted:
the next audit examines it again.

What a power cut may take is another matter: found.jsonl could be shorter then than seen-N lets believe. So now and then
a checkpoint is made, and after a power cut (another boot) what was seen later does not count.

A secret is never in here: findings are keyed hashes, keys are told by their public halves.

Failure modes: `NotWritten`; what is damaged is examined again.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import elapsed, whole_file
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import NotWritten, Strength

_VERSION = 1


class Found(NamedTuple):
    """What one object holds."""

    name: str
    kind: str
    path: str
    """Where it stands in some commit; empty: nowhere."""
    findings: tuple[tuple[int, str, str, str], ...] = ()
    """Line, kind, fingerprint and what it is the value of (secrets/findings.py)."""
    keys: tuple[tuple[int, str, str, bool], ...] = ()
    """Private keys: line, kind, digest of the public half, whether under a passphrase (secrets/private_keys.py)."""
    certificates: tuple[tuple[str, str, float, float], ...] = ()
    unchecked: tuple[str, ...] = ()
    """Why some rules could not look at it."""

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing."""
        return not (self.findings or self.keys or self.certificates or self.unchecked)


class Journal:
    """One directory. An audit holds its lock; the processes of the audit only append."""

    def __init__(self, directory: Path) -> None:
        """Read nothing yet."""
        self.directory = directory
        self._found = JsonLines(directory / "found.jsonl", mode=0o600, survives=Strength.KILL)

    @property
    def lock(self) -> str:
        """The file on which an audit, and a `publish`, hold a lock."""
        return str(self.directory / "lock")

    def open(self, repository: str, rules: str, id_size: int) -> set[bytes]:
        """Return the ids of what was seen by these rules in this repository; what others saw goes."""
        whose = {"version": _VERSION, "repository": repository, "rules": rules, "id_size": id_size}
        if _json(self.directory / "state.json") != whose:
            self._forget()
            whole_file.write(self.directory / "state.json", json.dumps(whose), mode=0o600, survives=Strength.POWER_CUT)
        boot = elapsed.look().boot
        checkpoint = _json(self.directory / "checkpoint.json") or {}
        if checkpoint.get("boot") != boot:
            self._cut(checkpoint.get("sizes", {}))
            whole_file.write(
                self.directory / "checkpoint.json",
                json.dumps({"boot": boot, "sizes": self._sizes()}),
                mode=0o600,
                survives=Strength.POWER_CUT,
            )
        seen: set[bytes] = set()
        for file in self._seen_files():
            content = file.read_bytes()
            whole = len(content) - len(content) % id_size
            if whole < len(content):
                os.truncate(file, whole)
            seen.update(content[at : at + id_size] for at in range(0, whole, id_size))
        self._drop_unchecked()
        return seen

    def is_of(self, repository: str, rules: str) -> bool:
        """Tell whether what was seen was seen in this repository and by these rules."""
        state = _json(self.directory / "state.json") or {}
        return (state.get("version"), state.get("repository"), state.get("rules")) == (_VERSION, repository, rules)

    def writer(self, number: int) -> Writer:
        """Return where one process of the audit writes."""
        return Writer(self._found, self.directory / f"seen-{number}")

    def checkpoint(self) -> None:
        """Bring all that was written so far to the disk, and note it."""
        sizes = self._sizes()
        with suppress(FileNotFoundError, NotWritten):
            whole_file.sync(self._found.file)
        for file in self._seen_files():
            whole_file.sync(file)
        content = json.dumps({"boot": elapsed.look().boot, "sizes": sizes})
        whole_file.write(self.directory / "checkpoint.json", content, mode=0o600, survives=Strength.POWER_CUT)

    def found(self) -> dict[str, Found]:
        """Return what was found, by the names of the objects."""
        told = (_found(line.record) for line in self._found.read() if line.record is not None)
        return {one.name: one for one in told if one is not None}

    def _drop_unchecked(self) -> None:
        """Forget what was found in objects that are examined again."""
        records = [line.record for line in self._found.read() if line.record is not None]
        kept = [record for record in records if not record.get("unchecked")]
        if len(kept) < len(records):
            self._found.rewrite(iter(kept))

    def _seen_files(self) -> list[Path]:
        return sorted(self.directory.glob("seen-*"))

    def _sizes(self) -> dict[str, int]:
        return {file.name: file.stat().st_size for file in self._seen_files()}

    def _cut(self, sizes: Mapping[str, int]) -> None:
        for file in self._seen_files():
            os.truncate(file, min(file.stat().st_size, int(sizes.get(file.name, 0))))

    def _forget(self) -> None:
        for file in (*self._seen_files(), Path(self._found.file), self.directory / "checkpoint.json"):
            file.unlink(missing_ok=True)


class Writer:
    """Appends what one process has seen."""

    def __init__(self, found: JsonLines, seen: Path) -> None:
        self._found = found
        self._path = str(seen)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._seen = os.open(seen, flags, 0o600)
        except OSError as error:
            raise NotWritten(error, self._path) from error

    def write(self, found: Found) -> None:
        """Note what was found in an object, then that it was seen; raise `NotWritten`."""
        if not found.is_empty:
            self._found.append(found._asdict())
        if found.unchecked:
            return
        octets = bytes.fromhex(found.name)
        try:
            written = os.write(self._seen, octets)
        except OSError as error:
            raise NotWritten(error, self._path) from error
        if written < len(octets):  # what is torn there is cut off at the next start
            raise NotWritten(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self._path)

    def close(self) -> None:
        """Close the file."""
        os.close(self._seen)


def _json(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _found(record: dict[str, Any]) -> Found | None:
    try:
        return Found(
            str(record["name"]),
            str(record["kind"]),
            str(record["path"]),
            tuple((int(line), str(kind), str(print_), str(where)) for line, kind, print_, where in record["findings"]),
            tuple((int(line), str(kind), str(half), bool(sealed)) for line, kind, half, sealed in record["keys"]),
            tuple((str(half), str(name), float(a), float(b)) for half, name, a, b in record["certificates"]),
            tuple(map(str, record["unchecked"])),
        )
    except (KeyError, TypeError, ValueError):
        return None


