"""What is being done to instances, on disk before it is done: one small JSON file for each operation.

Who was killed in the middle, or could not reach an authority, leaves the file;
`instance resume` reads it and does the rest. The file holds only what LDAP
cannot tell. All of them may be lost: `instance reconcile` finds the same from
LDAP and the authorities.

Owns the directory, and the locks in it: of two operations of this machine on
one name, and of two on one authority, the second waits.

Root and the account that answers OpenStack may both work here: the directory then has the group of that account and the
set-group-ID bit (puppetmaster-vendordata.service), so each reads the other's operations and waits for its locks.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import InvalidName, ToolkitError
from enc.terms.names import Certname, ProjectName

Kind = Literal["create", "rebuild", "move", "delete"]
_KINDS: tuple[Kind, ...] = ("create", "rebuild", "move", "delete")
_FORMAT = 1
_LOCKS = 64
"""Names share so many lock files, so that they do not become ever more."""


@dataclass(frozen=True)
class Operation:
    """One operation that was begun."""

    id: str
    kind: Kind
    certname: Certname
    project: ProjectName
    """The one that it is in; with `move` the one where it goes."""
    begun: int
    """Seconds since 1970."""
    who: str
    why: str
    authorities: tuple[str, ...]
    """The names of those that still have to forget it."""
    since: int = 0
    """create, rebuild, move: the `closed since` that this operation wrote and nobody else."""
    uuid: str = ""
    """delete: of the entry that goes."""
    region: str | None = None
    """move: where it goes; None: the region stays."""
    traces: bool = False
    """delete: whether facts and reports are still on this master."""
    trouble: str = ""
    """What stopped it the last time."""


def new_id(now: int) -> str:
    """Return an id that no other operation has."""
    return f"{now}-{secrets.token_hex(4)}"


class Journal:
    """The operations in one directory. Making the object does nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, operation: Operation) -> None:
        """Put it on disk, in place of what was there about it; raise `ToolkitError`: then nothing may be done."""
        text = json.dumps({"format": _FORMAT, **dataclasses.asdict(operation)}, indent=1) + "\n"
        place = self._place(operation.id)
        try:
            self._make()
            whole_file.write(place, text, mode=0o640, survives=Strength.POWER_CUT)
        except OSError as error:
            raise ToolkitError(f"the journal cannot be written: {reason(error)}", where=str(place)) from error

    def remove(self, operation: Operation) -> None:
        """Forget an operation that is done."""
        try:
            self._place(operation.id).unlink(missing_ok=True)
            whole_file.sync(self.directory)
        except OSError as error:
            raise ToolkitError(f"the journal cannot be written: {reason(error)}", where=str(self.directory)) from error

    def read(self) -> tuple[list[Operation], list[str]]:
        """Return what was begun and not done, oldest first, and a line about each file that cannot be read."""
        found, problems = [], []
        try:
            places = sorted(self.directory.glob("*.json"))
        except OSError as error:
            raise ToolkitError(f"the journal cannot be read: {error.strerror}", where=str(self.directory)) from error
        for place in places:
            try:
                found.append(_operation(place.read_text(encoding="utf-8"), place.stem))
            except FileNotFoundError:
                continue  # done meanwhile
            except (OSError, ValueError, TypeError, KeyError, InvalidName) as error:
                problems.append(f"{place}: is not one of our operations ({reason(error)}); check it and remove it")
        return sorted(found, key=lambda operation: (operation.begun, operation.id)), problems

    @contextmanager
    def name_lock(self, certname: str, *, only_looks: bool = False) -> Iterator[None]:
        """Within, no other operation of this machine works on the name. Who `only_looks` waits for nobody."""
        with self._lock(f"name-{zlib.crc32(certname.encode()) % _LOCKS}", only_looks):
            yield

    @contextmanager
    def numbers_lock(self, *, only_looks: bool = False) -> Iterator[None]:
        """Within, no other operation of this machine looks for a free number. Who `only_looks` waits for nobody."""
        with self._lock("numbers", only_looks):
            yield

    @contextmanager
    def authority_lock(self, name: str) -> Iterator[None]:
        """Within, no other operation of this machine revokes at the authority."""
        with self._lock(f"authority-{zlib.crc32(name.encode()) % _LOCKS}"):
            yield

    @contextmanager
    def _lock(self, name: str, only_looks: bool = False) -> Iterator[None]:
        if only_looks:  # a dry run leaves nothing behind, no lock's file either
            yield
            return
        place = self.directory / f"{name}.lock"
        try:
            self._make()
            handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
            if os.fstat(handle).st_uid == os.geteuid():
                os.fchmod(handle, 0o660)  # whatever the umask: the directory may be shared by a group
        except OSError as error:
            raise ToolkitError(f"the journal cannot be written: {reason(error)}", where=str(place)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _make(self) -> None:
        self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)

    def _place(self, identity: str) -> Path:
        return self.directory / f"{identity}.json"


def _operation(text: str, identity: str) -> Operation:
    document = json.loads(text)
    if document.pop("format") != _FORMAT or document["id"] != identity or document["kind"] not in _KINDS:
        raise ValueError("another format")
    if not re.fullmatch(r"\d+-[0-9a-f]{8}", identity, re.ASCII):
        raise ValueError("another name")
    document["certname"] = Certname(document["certname"])
    document["project"] = ProjectName(document["project"])
    document["authorities"] = tuple(map(str, document["authorities"]))
    return Operation(**document)
