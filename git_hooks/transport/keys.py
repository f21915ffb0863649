"""ssh keys of people, for sshd's AuthorizedKeysCommand: read from LDAP (`sshPublicKey`), written anew.

Nothing of a value in LDAP reaches sshd but the key's type and its base64, and
the limits that stand before it, after all of them have been found sound
(key_lines.py). Every line lets its key do one thing: `branch-manager ssh-shell
PERSON`. A key whose limits cannot be kept is left out, and the system's log
says so whenever that key, or its person, is asked for.

LDAP is asked for the entries in which that very key stands, and for nothing of
them but uid and keys. A directory whose schema has no rule for parts of values
(openssh-lpk's own has none) finds nothing that way; then everybody's keys are
read. Of an entry with more than `_LARGEST` octets the keys are left out: what
one person writes costs the others no more than that.

A key that stands in several people's entries is that of the one who has used it
(known_keys.py), so copying it shuts nobody out. As long as nobody has, it is
nobody's, since it cannot be told who comes: somebody might have taken another's
public key into their own entry to be taken for them, or to let them push as
somebody else. A key that is left out counts for this, too.
"""

from __future__ import annotations

import shlex
import syslog
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from enc.directory.ldap_store import LdapSource
from enc.settings import Settings
from enc.terms.errors import InvalidName
from enc.terms.filters import escape
from enc.terms.names import PersonName
from enc.terms.record import Record
from git_hooks.transport.key_lines import KeyLine, Limits, PublicKey, Unusable, lines_of, quoted, together
from git_hooks.transport.known_keys import KnownKeys, digest
from git_hooks.transport.ssh import note

ATTRIBUTE = "sshPublicKey"
_WANTED = ("uid", ATTRIBUTE)
_LARGEST = 64 * 1024
_AT_ONCE = 20
"""Keys in one question."""


def authorized_lines(question: str, settings: Settings, command: Sequence[str], now: float) -> list[str]:
    """Return the lines for sshd: for a person's uid their keys, for `TYPE BASE64` that key.

    `command` is how `branch-manager` is called, configuration included; `now`
    are seconds since 1970. Raise what LDAP raises; nothing is known about
    anybody then.
    """
    asked = PublicKey.of(question)
    if asked is None and not PersonName.accepts(question):
        return []
    narrow = replace(settings, directory=replace(settings.directory, largest_entry=_LARGEST))
    with LdapSource(narrow) as source:
        holders = _Holders(source, settings)
        entries = holders.of([asked] if asked is not None else holders.keys_of(PersonName(question)))
    for entry in entries:
        if entry.unread and not entry.all(ATTRIBUTE):
            note(f"the ssh keys in {entry.dn} are left out: {entry.unread}", syslog.LOG_WARNING)
    known, found = KnownKeys(settings), []
    for key, people in owners(entries).items():
        if asked not in (None, key):
            continue
        names = sorted(name for name, lines in people.items() if not all(line.comment for line in lines))
        names = names or sorted(people)
        if asked is None and question not in names:
            continue
        owner = _owner(key, names, known)
        if owner is None or (asked is None and owner != question):
            continue
        limits, trouble = together(people[owner])
        try:
            if not trouble and (ended := limits.ended(now)):
                trouble = f"its expiry-time, {ended}, has passed"
            if not trouble:
                found.append(line(key, owner, command, limits))
        except Unusable as error:
            trouble = str(error)
        if trouble:
            note(f"an ssh key of {owner} is left out: {trouble}: {_brief(key)}", syslog.LOG_WARNING)
    return sorted(found)


def _owner(key: PublicKey, names: Sequence[PersonName], known: KnownKeys) -> PersonName | None:
    """Return whose key it is that stands in the entries of `names`; None: that cannot be told."""
    if len(names) == 1:
        return names[0]
    owner = known.first(key, names)
    whose = f"it is accepted from {owner}, who used it first" if owner else "so it is not accepted from anybody"
    text = f"the same ssh key is in the entries of {', '.join(names)}; {whose}: {_brief(key)}"
    note(text, syslog.LOG_WARNING if owner else syslog.LOG_ERR)
    return owner


class _Holders:
    """Asks LDAP in whose entries keys stand."""

    def __init__(self, source: LdapSource, settings: Settings) -> None:
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


def _brief(key: PublicKey) -> str:
    """Return enough of a key to find it; the end is what differs."""
    kind, _, blob = key.partition(" ")
    return f"{kind} …{blob[-20:]}"


def line(key: PublicKey, person: PersonName, command: Sequence[str], limits: Limits) -> str:
    """Return the line of authorized_keys that lets `key` do nothing but git on the repository.

    Raise `Unusable` if sshd's format cannot hold it.
    """
    called = shlex.join([*command, "ssh-shell", "--key", digest(key), person])
    return f"{','.join(['restrict', f'command={quoted(called)}', *limits.options()])} {key}"
