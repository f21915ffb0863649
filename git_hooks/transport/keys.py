"""ssh keys of people, for sshd's AuthorizedKeysCommand: read from LDAP (`sshPublicKey`), written anew.

Nothing of a value in LDAP reaches sshd but the key's type and its base64, and
the limits that stand before it, after all of them have been found sound
(key_lines.py). Every line lets its key do one thing: `branch-manager ssh-shell
PERSON`. A key whose limits cannot be kept is left out, and the system's log
says so whenever that key, or its person, is asked for. Who has a key says ssh_keys/holders.py.

A key that stands in several people's entries is that of the one who has used it
(known_keys.py), so copying it shuts nobody out. As long as nobody has, it is
nobody's, since it cannot be told who comes: somebody might have taken another's
public key into their own entry to be taken for them, or to let them push as
somebody else. A key that is left out counts for this, too.
"""

from __future__ import annotations

import shlex
import syslog
from collections.abc import Sequence

from enc.settings import Settings
from enc.terms.names import PersonName
from git_hooks.ssh_keys.holders import ATTRIBUTE, Holders, owners, source_of
from git_hooks.ssh_keys.key_lines import Limits, PublicKey, Unusable, quoted, together
from git_hooks.ssh_keys.known_keys import KnownKeys, digest
from git_hooks.transport.ssh import note


def authorized_lines(question: str, settings: Settings, command: Sequence[str], now: float) -> list[str]:
    """Return the lines for sshd: for a person's uid their keys, for `TYPE BASE64` that key.

    `command` is how `branch-manager` is called, configuration included; `now`
    are seconds since 1970. Raise what LDAP raises; nothing is known about
    anybody then.
    """
    asked = PublicKey.of(question)
    if asked is None and not PersonName.accepts(question):
        return []
    with source_of(settings) as source:
        holders = Holders(source, settings)
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
