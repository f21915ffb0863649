"""In whose entries in LDAP an ssh key stands (`sshPublicKey`).

LDAP is asked for the entries in which that very key stands, and for nothing of
them but uid and keys. A directory whose schema has no rule for parts of values
(openssh-lpk's own has none) finds nothing that way; then everybody's keys are
read. Of an entry with more than `_LARGEST` octets the keys are left out: what
one person writes costs the others no more than that.

Not here: what a key may do (transport/keys.py, push/signatures.py), and whose it
is if it stands in several entries (known_keys.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from enc.directory.ldap_store import LdapSource
from enc.settings import Settings
from enc.terms.errors import InvalidName
from enc.terms.filters import escape
from enc.terms.names import PersonName
from enc.terms.record import Record
from git_hooks.ssh_keys.key_lines import KeyLine, PublicKey, lines_of

ATTRIBUTE = "sshPublicKey"
_WANTED = ("uid", ATTRIBUTE)
_LARGEST = 64 * 1024
_AT_ONCE = 20
"""Keys in one question."""


def source_of(settings: Settings) -> LdapSource:
    """Return a way to LDAP that reads people's entries up to the size at which their keys count."""
    return LdapSource(replace(settings, directory=replace(settings.directory, largest_entry=_LARGEST)))


class Holders:
    """Asks LDAP in whose entries keys stand."""

    def __init__(self, source: LdapSource, settings: Settings) -> None:
        """`source`: see `source_of`."""
        self._source = source
        self._base = settings.people_base
        self._people = settings.people.filter

    def keys_of(self, person: PersonName) -> list[PublicKey]:
        """Return the keys in the entry of a person."""
        entries = self._source.search(self._base, self._people.replace("%s", escape(person)), attributes=_WANTED)
        return list(owners(entries))

    def of(self, keys: Sequence[PublicKey]) -> list[Record]:
        """Return the entries in which any of `keys` stands, and perhaps others."""
        found: dict[str, Record] = {}
        for at in range(0, len(keys), _AT_ONCE):
            for entry in self._search("".join(f"({ATTRIBUTE}=*{_part(key)}*)" for key in keys[at : at + _AT_ONCE])):
                found[entry.dn] = entry
        if found or not keys or self._finds_parts():
            return list(found.values())
        return self._search(f"({ATTRIBUTE}=*)")

    def _finds_parts(self) -> bool:
        """Tell whether the server finds values by a part of them; one that has no rule for it says there are none."""
        every = f"(&{self._anybody}(|({ATTRIBUTE}=*ssh-*)({ATTRIBUTE}=*ecdsa-*)))"
        return self._source.finds_any(self._base, every)

    def _search(self, any_of: str) -> list[Record]:
        return self._source.search(self._base, f"(&{self._anybody}(|{any_of}))", attributes=_WANTED)

    @property
    def _anybody(self) -> str:
        return self._people.replace("%s", "*")


def _part(key: PublicKey) -> str:
    """Return what every value with this key contains: the last letters of base64 can be written in several ways."""
    return escape(key.partition(" ")[2].rstrip("=")[:-4])


def owners(entries: Iterable[Record]) -> dict[PublicKey, dict[PersonName, list[KeyLine]]]:
    """Return key → the people in whose entries it stands → the lines there."""
    found: dict[PublicKey, dict[PersonName, list[KeyLine]]] = defaultdict(dict)
    for entry in entries:
        for name in _names(entry):
            for value in entry.all(ATTRIBUTE):
                for told in lines_of(value):
                    found[told.key].setdefault(name, []).append(told)
    return found


def _names(entry: Record) -> Iterator[PersonName]:
    """Yield the first sound uid of an entry: a key has one person."""
    for uid in entry.all("uid"):
        try:
            yield PersonName(uid)
        except InvalidName:
            continue
        return
