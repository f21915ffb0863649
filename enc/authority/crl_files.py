"""Brings an authority's revocation list to the files of this master, whole or not at all.

Failure modes: `NotTrusted` (the files stay as they are), `AuthorityUnreachable`,
`ToolkitError` for a file that cannot be written; the other files are written all the same.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from enc.authority.client import Authority
from enc.authority.revocations import NotTrusted, RevocationList, check_newer, lists
from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import ConfigurationError, ToolkitError


class Written(NamedTuple):
    """What came of one file."""

    file: Path
    changed: bool


class Fetched(NamedTuple):
    """A revocation list that may be believed."""

    pem: bytes
    lists: tuple[RevocationList, ...]


def fetch(authority: Authority) -> Fetched:
    """Return the authority's list, verified with the certificates that this machine trusts for it."""
    pem = authority.crl()
    try:
        return Fetched(pem, lists(pem, trusted(authority)))
    except NotTrusted as error:
        raise NotTrusted(error.message, where=authority.name) from error


def trusted(authority: Authority) -> bytes:
    """Return the authority's certificates as this machine has them."""
    file = authority.server.ca_file
    if file is None:
        raise ConfigurationError("needs ca_file to verify revocation lists", where=f"authority {authority.name}")
    try:
        return file.read_bytes()
    except OSError as error:
        raise ToolkitError(f"cannot be read: {error.strerror}", where=str(file)) from error


def write(fetched: Fetched, files: tuple[Path, ...], authority: Authority, *, dry_run: bool = False) -> list[Written]:
    """Put the list into each file where another one is; raise the first error after all were tried."""
    written, troubles = [], []
    for file in files:
        try:
            written.append(Written(file, _write(fetched, file, trusted(authority), dry_run)))
        except ToolkitError as error:
            troubles.append(error)
    if troubles:
        raise troubles[0]
    return written


def _write(fetched: Fetched, file: Path, anchors: bytes, dry_run: bool) -> bool:
    try:
        status = file.stat() if file.exists() else None
        if status is not None:
            present = file.read_bytes()
            if present == fetched.pem:
                return False
            before = _present(present, anchors)
            try:
                check_newer(before, fetched.lists)
            except NotTrusted as error:
                raise NotTrusted(error.message, where=str(file)) from error
        if dry_run:
            return True
        mode = stat.S_IMODE(status.st_mode) if status else 0o644
        owner = (status.st_uid, status.st_gid) if status is not None and os.geteuid() == 0 else None
        # Who is told that a certificate is refused from now on can rely on it.
        whole_file.write(file, fetched.pem, mode=mode, owner=owner, survives=Strength.POWER_CUT)
    except OSError as error:
        raise ToolkitError(f"cannot be written: {reason(error)}", where=str(file)) from error
    return True


def _present(pem: bytes, anchors: bytes) -> tuple[RevocationList, ...]:
    """Return the lists that are there; none if they are no lists of this authority: those protect nobody."""
    try:
        return lists(pem, anchors)
    except NotTrusted:
        return ()
