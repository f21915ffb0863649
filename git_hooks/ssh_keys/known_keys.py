"""Which ssh keys were used, by whom: what tells a key's owner from somebody who copied it.

A public key is public: anybody can put another's into the own entry, and
nothing in LDAP says who came first, or who has the other half of it. But
whoever got as far as `ssh-shell` has shown to sshd that they have it. That is
noted here, once for each key, and from then on the key is theirs as long as it
stands in their entry, whoever else writes it into another one.

Owns the files below puppetmaster/keys/ in the repository, an empty one for each
person and key, as old as the first use; the oldest of a person go when there
are more than `_KEPT`. Nobody gets in because of a file: it only decides between
people in whose entries the key stands. Losing them loses no access but to keys
that stand in several entries, until they are used while they do not.

Failure mode: what cannot be written is not noted, and the person gets in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress

from enc.settings import Settings
from enc.terms.names import PersonName
from git_hooks.ssh_keys.key_lines import PublicKey

_KEPT = 200
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def digest(key: PublicKey) -> str:
    """Return the short name of a key."""
    return hashlib.sha256(key.encode("ascii")).hexdigest()


class KnownKeys:
    """The notes beside one repository."""

    def __init__(self, settings: Settings) -> None:
        """Look at nothing yet."""
        self._directory = settings.branches.repository / "puppetmaster/keys"

    def used(self, person: PersonName, key: str) -> None:
        """Note that `person` has the key with the digest `key`."""
        if not _DIGEST.fullmatch(key):
            return
        place = self._directory / person
        with suppress(OSError):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                (place / key).touch(mode=0o600, exist_ok=False)
            except FileExistsError:
                return
            files = sorted((path.stat().st_mtime_ns, path) for path in place.iterdir())
            for _, path in files[:-_KEPT]:
                path.unlink()

    def first(self, key: PublicKey, people: Iterable[PersonName]) -> PersonName | None:
        """Return who of `people` was the first to use `key`, None if nobody did."""
        found: list[tuple[int, PersonName]] = []
        for person in people:
            with suppress(OSError):
                found.append(((self._directory / person / digest(key)).stat().st_mtime_ns, person))
        return min(found)[1] if found else None
