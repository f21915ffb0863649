"""What a running embedded directory is to have: its programs' accounts, their passwords in files, the numbers' entries.

A password is made once and kept in a file of mode 0600 below the data directory;
LDAP holds its hash. A directory that was made before an account existed gets the
account at its next start. The file comes first and the entry after it, and both
steps find out for themselves whether they are done: a kill between them loses nothing.

What an account may do is access.py's.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from enc.directory import slapd_process
from enc.directory.edits import DirectoryEditor
from enc.directory.embedded_config import number_units
from enc.directory.service_accounts import ServiceAccount
from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.settings import DirectorySettings, Settings
from enc.terms.errors import Conflict


def password_hash(file: Path) -> str:
    """Return the hash of the password in `file`; make both if there is none."""
    if not file.exists():
        whole_file.write(file, secrets.token_urlsafe(32) + "\n", mode=0o600, survives=Strength.POWER_CUT)
    # slappasswd hashes the file to its last byte; a client strips the newline.
    bare = file.with_name(file.name + ".bare")
    try:
        whole_file.write(bare, file.read_text().rstrip("\n"), mode=0o600, survives=Strength.KILL)
        return slapd_process.run_offline(
            "slappasswd", ["-n", "-h", "{SSHA}", "-T", bare], what="the password cannot be hashed"
        )
    finally:
        bare.unlink(missing_ok=True)


def ensure_number_units(uri: str, suffix: str) -> None:
    """Make the entries for numbers in the running directory at `uri`, unless they are there."""
    settings = Settings(directory=DirectorySettings(uris=(uri,), suffix=suffix))
    with DirectoryEditor(settings) as editor:
        if editor.read(f"ou=services,{suffix}") is None:
            return  # a tree of its owner's own
        for place, unit in number_units(suffix):
            if editor.read(place) is None:
                with suppress(Conflict):  # made this moment by somebody else
                    editor.add(place, {"objectClass": ("organizationalUnit",), "ou": (unit,)})


def ensure(account: ServiceAccount, file: Path, uri: str, suffix: str) -> None:
    """Make `account` in the running directory at `uri` (ldapi, as its owner), unless it is there."""
    settings = Settings(directory=DirectorySettings(uris=(uri,), suffix=suffix))
    with DirectoryEditor(settings) as editor:
        above = f"ou=services,{suffix}"
        if editor.read(account.dn(suffix)) is not None or editor.read(above) is None:
            return  # a tree of its owner's own has accounts of its own
        try:
            editor.add(account.dn(suffix), account.attributes(password_hash(file)))
        except Conflict:
            return  # made this moment by somebody else
