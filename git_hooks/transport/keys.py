"""ssh keys of people, for sshd's AuthorizedKeysCommand: read from LDAP (`sshPublicKey`), written anew.

Nothing of a value in LDAP reaches sshd but the key's type and its base64,
after both have been found sound: a value may hold options (`command=…`), line
breaks, or anything else its owner likes. Every line lets its key do one thing:
`branch-manager ssh-shell PERSON`.

A key that stands in two people's entries is nobody's, since it cannot be told
who comes. That is also what stops somebody from taking another's public key
into their own entry to be taken for them, or to let them push as somebody else.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
import syslog
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from enc.classify.model import Record
from enc.directory.ldap_store import LdapSource
from enc.errors import InvalidName
from enc.filters import escape
from enc.names import Name, PersonName
from enc.settings import Settings
from git_hooks.transport.ssh import note

TYPES = frozenset(
    {
        *("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
        *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    }
)
"""The kinds of keys that are taken (sshd decides which of them are strong enough)."""

ATTRIBUTE = "sshPublicKey"
_FEWEST_RSA_BYTES = 256 + 20


class PublicKey(Name):
    """A public key: type and base64, as OpenSSH writes it, without options and comment."""

    __slots__ = ()
    kind = "an ssh public key"
    rule = "a type of key that is taken here, then its base64"
    pattern = re.compile(r"[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{40,16000}={0,2}", re.ASCII)
    longest = 16_100

    @classmethod
    def of(cls, text: str) -> PublicKey | None:
        """Return the key in a line of an authorized_keys file, None if it holds no sound one."""
        words = text.split()
        for kind, blob in pairwise(words):
            if kind in TYPES:
                return cls(f"{kind} {blob}") if cls.accepts(f"{kind} {blob}") and _sound(kind, blob) else None
        return None


def _sound(kind: str, blob: str) -> bool:
    """Tell whether the base64 holds a key of the type that stands before it (RFC 4253, section 6.6)."""
    try:
        content = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    size = int.from_bytes(content[:4], "big")
    if kind == "ssh-rsa" and len(content) < _FEWEST_RSA_BYTES:
        return False
    return content[4 : 4 + size] == kind.encode("ascii") and len(content) > 4 + size


def authorized_lines(question: str, settings: Settings, command: Sequence[str]) -> list[str]:
    """Return the lines for sshd: for a person's uid their keys, for `TYPE BASE64` that key.

    `command` is how `branch-manager` is called, configuration included. Raise
    what LDAP raises; nothing is known about anybody then.
    """
    with LdapSource(settings) as source:
        entries = source.search(settings.people_base, _filter(settings))
    asked = PublicKey.of(question)
    if asked is None and not PersonName.accepts(question):
        return []
    found = []
    for key, people in owners(entries, settings).items():
        names = sorted(people)
        if len(names) > 1:
            if asked == key or question in names:
                text = f"one ssh key stands in several entries, so it is taken from nobody: {', '.join(names)}"
                note(text, syslog.LOG_ERR)
        elif asked == key or question == names[0]:
            found.append(line(key, names[0], command))
    return sorted(found)


def _filter(settings: Settings) -> str:
    # The octet string that a key is has no rule in LDAP by which a part of it is found, and comments differ.
    anybody = settings.people.filter.replace("%s", "*")
    return f"(&{anybody}({escape(ATTRIBUTE)}=*))"


def owners(entries: Iterable[Record], settings: Settings) -> dict[PublicKey, set[PersonName]]:
    """Return key → the people whose it is."""
    found: dict[PublicKey, set[PersonName]] = defaultdict(set)
    for entry in entries:
        for name in _names(entry):
            for value in entry.all(ATTRIBUTE):
                key = PublicKey.of(value)
                if key is not None:
                    found[key].add(name)
    return found


def _names(entry: Record) -> Iterator[PersonName]:
    """Yield the first sound uid of an entry: a key has one person."""
    for uid in entry.all("uid"):
        try:
            yield PersonName(uid)
        except InvalidName:
            continue
        return


def line(key: PublicKey, person: PersonName, command: Sequence[str]) -> str:
    """Return the line of authorized_keys that lets `key` do nothing but git on the repository."""
    called = shlex.join([*command, "ssh-shell", person])
    quoted = called.replace("\\", "\\\\").replace('"', '\\"')
    return f'restrict,command="{quoted}" {key}'
