"""Public keys whose private half stands in a repository that we hold: no certificate is given for one.

One file for each, called like the key's digest (SHA-256 of its SubjectPublicKeyInfo, in hex): whether it is there is
one look, however many there are, and each is there whole or not at all. In it is when that was first known. `branch-
manager` writes them (at pushes and in audits), the authority's account reads them; a digest is no secret.

Nothing is ever taken out: a key that was published stays published.

Failure modes: a directory that is not there, or cannot be read, is an error and never "not published".
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.times import iso
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import ToolkitError

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class PublishedKeys:
    """Those of one directory. Making the object does nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self) -> None:
        """Make the directory, so that "no key is published" can be told; raise `NotWritten`."""
        try:
            self.directory.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            raise NotWritten(error, str(self.directory)) from error

    def add(self, public: str, now: float) -> bool:
        """Note that the key with this digest is published; return whether that is new. Raise `NotWritten`."""
        place = self._place(public)
        if place.exists():
            return False
        content = json.dumps({"since": iso(now)}) + "\n"
        return whole_file.make(place, content, mode=0o644, survives=Strength.POWER_CUT)

    def has(self, public: str) -> bool:
        """Tell whether the key with this digest is published; raise `ToolkitError` if that cannot be told."""
        try:
            self._place(public).lstat()
        except FileNotFoundError:
            if self.directory.is_dir():
                return False
            do = "run branch-manager audit-secrets"
            raise ToolkitError(f"is not there (signing.published_keys); {do}", where=str(self.directory)) from None
        except OSError as error:
            raise ToolkitError(f"cannot be read: {reason(error)}", where=str(self.directory)) from error
        return True

    def _place(self, public: str) -> Path:
        if not _DIGEST.fullmatch(public):
            raise ToolkitError(f"{public!r} is not the SHA-256 of a key")
        return self.directory / public
