"""ssh keys of people, for sshd's AuthorizedKeysCommand: read from LDAP (`sshPublicKey`), written anew.

Nothing of a value in LDAP reaches sshd but the key's type and its base64, and
the limits that stand before it, after all of them have been found sound
(key_lines.py). Every line lets its key do one thing: `branch-manager ssh-shell
PERSON`. A key whose limits cannot be kept is left out, and the system's log
says so whenever that key, or its person, is asked for.

A key that stands in two people's entries is nobody's, since it cannot be told
who comes. That is also what stops somebody from taking another's public key
into their own entry to be taken for them, or to let them push as somebody else.
A key that is left out counts for this, too.
"""

from __future__ import annotations

import shlex
import syslog
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from enc.directory.ldap_store import LdapSource
from enc.settings import Settings
from enc.terms.errors import InvalidName
from enc.terms.filters import escape
from enc.terms.names import PersonName
from enc.terms.record import Record
from git_hooks.transport.key_lines import KeyLine, Limits, PublicKey, Unusable, lines_of, quoted, together
from git_hooks.transport.ssh import note

ATTRIBUTE = "sshPublicKey"


def authorized_lines(question: str, settings: Settings, command: Sequence[str], now: float) -> list[str]:
    """Return the lines for sshd: for a person's uid their keys, for `TYPE BASE64` that key.

    `command` is how `branch-manager` is called, configuration included; `now`
    are seconds since 1970. Raise what LDAP raises; nothing is known about
    anybody then.
    """
    with LdapSource(settings) as source:
        entries = source.search(settings.people_base, _filter(settings))
    asked = PublicKey.of(question)
    if asked is None and not PersonName.accepts(question):
        return []
    found = []
    for key, people in owners(entries).items():
        names = sorted(name for name, lines in people.items() if not all(line.comment for line in lines))
        names = names or sorted(people)
        if asked != key and question not in names:
            continue
        if len(names) > 1:
            text = f"one ssh key stands in several entries, so it is taken from nobody: {', '.join(names)}"
            note(text, syslog.LOG_ERR)
            continue
        limits, trouble = together(people[names[0]])
        try:
            if not trouble and (ended := limits.ended(now)):
                trouble = f"its expiry-time, {ended}, has passed"
            if not trouble:
                found.append(line(key, names[0], command, limits))
        except Unusable as error:
            trouble = str(error)
        if trouble:
            note(f"an ssh key of {names[0]} is left out: {trouble}: {_brief(key)}", syslog.LOG_WARNING)
    return sorted(found)


def _filter(settings: Settings) -> str:
    # The octet string that a key is has no rule in LDAP by which a part of it is found, and comments differ.
    anybody = settings.people.filter.replace("%s", "*")
    return f"(&{anybody}({escape(ATTRIBUTE)}=*))"


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
    called = shlex.join([*command, "ssh-shell", person])
    return f"{','.join(['restrict', f'command={quoted(called)}', *limits.options()])} {key}"
