"""Reads the values of a person's `sshPublicKey`, lines of authorized_keys, the way sshd does. Pure.

A line is a key, or options and then a key (sshd(8), "AUTHORIZED_KEYS FILE
FORMAT"). What limits a key there must limit it here, and our own line for sshd
is written anew, so every option is one of these:

- a limit that is passed on, checked and in one canonical form: `expiry-time`,
  `from`, `verify-required`;
- a limit that holds anyway, because our line says `restrict`: `no-pty`,
  `permitopen`, …;
- a permission that is not given (`pty`, `no-touch-required`, …): none of these
  is needed for git, and without it the key may do less, never more;
- anything else (`command`, `cert-authority`, `environment`, what is not known):
  the key is left out, and the reason told.

Of several lines with one key, all limits hold: a key is never wider than the
narrowest place where it stands. A line that holds nothing like a key may be
half of the next one (`expiry-time="…"` and a line break), so then the whole
value is left out. A comment is no key, as for sshd.

Not here: whose keys they are, and what sshd is answered (keys.py).
"""

from __future__ import annotations

import base64
import binascii
import calendar
import re
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from enc.terms.names import Name

TYPES = frozenset(
    {
        *("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
        *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"),
    }
)
"""The kinds of keys that are taken (sshd decides which of them are strong enough)."""
LONGEST_LINE = 8000
"""Characters. Older sshds read 8 KiB, and our own line is some hundred characters longer."""

_FEWEST_RSA_OCTETS = 256
_FIELDS = {"ssh-ed25519": 1, "ssh-rsa": 2, "sk-ssh-ed25519@openssh.com": 2, "sk-ecdsa-sha2-nistp256@openssh.com": 3}
"""How many strings follow the type in the octets of a key; ECDSA: 2 (RFC 5656, RFC 8709, OpenSSH's PROTOCOL.u2f)."""
_KEY_LIKE = re.compile(r"[a-z0-9@.-]{3,60}[ \t]+AAAA|[0-9]{3,5}[ \t]+[0-9]+[ \t]+[0-9]", re.ASCII)
"""A key of any type, or of the first version of the protocol."""
_WORD = re.compile(r'[^,="]+')
_QUOTED = re.compile(r'"((?:\\"|[^"\\]|\\(?!"))*)"')
_HELD = frozenset(
    {
        *("restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"),
        *("pty", "port-forwarding", "agent-forwarding", "x11-forwarding", "user-rc"),
        *("touch-required", "no-touch-required", "no-verify-required"),
    }
)
"""Words without a value that say no less than our `restrict`, or permit what is not needed here."""
_FORWARDING = frozenset({"permitopen", "permitlisten", "tunnel"})
"""Limits of forwarding, of which there is none here."""
_PATTERNS = re.compile(r"[A-Za-z0-9.:*?!/,_%-]{1,1000}", re.ASCII)
_TIME = re.compile(r"([0-9]{8}|[0-9]{12}|[0-9]{14})(Z|UTC)?", re.ASCII | re.IGNORECASE)


class Unusable(Exception):
    """A line cannot be taken as it is meant; the text says why."""


class PublicKey(Name):
    """A public key: type and base64, as OpenSSH writes it, without options and comment."""

    __slots__ = ()
    kind = "an ssh public key"
    rule = "a type of key that is accepted here, then its base64"
    pattern = re.compile(r"[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{40,16000}={0,2}", re.ASCII)
    longest = 16_100

    @classmethod
    def of(cls, text: str) -> PublicKey | None:
        """Return the key that `text` begins with, in the one form that it has; None if there is no sound one."""
        words = re.split(r"[ \t]+", text.strip(" \t"), maxsplit=2)
        if len(words) < 2 or words[0] not in TYPES or not cls.accepts(f"{words[0]} {words[1]}"):
            return None
        octets = _octets(words[1])
        if octets is None or not _sound(words[0], octets):
            return None
        return cls(f"{words[0]} {base64.b64encode(octets).decode('ascii')}")


class Limits(NamedTuple):
    """What limits a key, in the words of authorized_keys."""

    expiry: frozenset[str] = frozenset()
    """Times as `expiry-time` has them; the earliest counts."""
    sources: frozenset[str] = frozenset()
    """Lists of patterns as `from` has them; all must hold."""
    verify: bool = False
    """Whether a security key must ask for its PIN, or the like."""

    def and_also(self, other: Limits) -> Limits:
        """Return what is limited by both."""
        return Limits(self.expiry | other.expiry, self.sources | other.sources, self.verify or other.verify)

    def ended(self, now: float) -> str | None:
        """Return the time that has passed at `now` (seconds since 1970), None if the key is still good."""
        return next((text for text in sorted(self.expiry) if instant(text) < now), None)

    def options(self) -> list[str]:
        """Return the options for sshd; raise `Unusable` if its format has no way to say them."""
        if len(self.sources) > 1:
            raise Unusable(
                "the key is listed several times with different from=, but sshd knows only one list: write one"
            )
        found = [f"expiry-time={quoted(text)}" for text in sorted(self.expiry)]
        found += [f"from={quoted(text)}" for text in sorted(self.sources)]
        return found + (["verify-required"] if self.verify else [])


class KeyLine(NamedTuple):
    """A line that concerns a key."""

    key: PublicKey
    limits: Limits = Limits()
    trouble: str = ""
    """Why the key is left out; empty: it is not."""
    comment: bool = False
    """Whether the line is one: then it says nothing of the key."""


def lines_of(value: str) -> list[KeyLine]:
    """Return what a value of `sshPublicKey` says of which keys. Lines of which no key can be told are passed over."""
    found, halves = [], False
    for text in value.split("\n"):
        text = text.rstrip("\r").strip(" \t")
        if not text:
            continue
        likely = _likely(text)
        if text.startswith("#"):
            found += [KeyLine(key, trouble="it is in a comment (#)", comment=True) for key in likely]
            continue
        try:
            found.append(_read(text))
        except Unusable as error:
            found += [KeyLine(key, trouble=str(error)) for key in likely]
            halves = halves or not (_KEY_LIKE.match(text) or _KEY_LIKE.match(_split(text)[1]))
    if halves:
        trouble = "another line of the same value is not a key and might limit it"
        found = [line if line.trouble else line._replace(trouble=trouble) for line in found]
    return found


def together(lines: Iterable[KeyLine]) -> tuple[Limits, str]:
    """Return what limits a key that stands in `lines`, and why it is left out (empty: it is not)."""
    limits, trouble, only_comments = Limits(), "", True
    for line in lines:
        limits = limits.and_also(line.limits)
        only_comments = only_comments and line.comment
        trouble = trouble or ("" if line.comment else line.trouble)
    return limits, "it is in a comment (#)" if only_comments else trouble


def instant(text: str) -> float:
    """Return the seconds since 1970 of an `expiry-time`; raise `Unusable`.

    As sshd reads it: YYYYMMDD, with HHMM or HHMMSS behind it, in the machine's
    time zone (its standard time, also in summer), or in UTC with `Z` behind it.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unusable(f"expiry-time={_shown(text)}: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, and Z for UTC")
    try:
        parsed = time.strptime(match[1].ljust(14, "0"), "%Y%m%d%H%M%S")
        return calendar.timegm(parsed) if match[2] else time.mktime((*parsed[:8], 0))
    except (ValueError, OverflowError):
        raise Unusable(f"expiry-time={_shown(text)}: there is no such time") from None


def quoted(text: str) -> str:
    """Return `text` as the value of an option; raise `Unusable` for what no value can hold.

    sshd knows one escape, `\\"`, so a backslash stands for itself, but not at the end.
    """
    if not text.isprintable() or text.endswith("\\"):
        raise Unusable(f"sshd's options cannot contain {_shown(text)}")
    return '"' + text.replace('"', '\\"') + '"'


def _read(text: str) -> KeyLine:
    if len(text) > LONGEST_LINE:
        raise Unusable(f"its line has more than {LONGEST_LINE} characters")
    key = PublicKey.of(text)
    if key is None:
        options, rest = _split(text)
        key = PublicKey.of(rest)
        if key is None:
            raise Unusable("there is no key of an accepted type after the options, or it is damaged")
        limits = _limits(options)
    else:
        limits = Limits()
    if any(char < " " and char != "\t" for char in text) or "\x7f" in text:
        raise Unusable("its line contains a control character")
    return KeyLine(key, limits)


def _split(text: str) -> tuple[str, str]:
    """Return the options and what follows, as sshd's `sshkey_advance_past_options` finds the end of them."""
    at, inside = 0, False
    while at < len(text) and (inside or text[at] not in " \t"):
        if text.startswith('\\"', at):
            at += 1
        elif text[at] == '"':
            inside = not inside
        at += 1
    return text[:at], text[at:].lstrip(" \t")


def _limits(options: str) -> Limits:
    limits = Limits()
    for name, value in _options(options):
        if name == "expiry-time" and value is not None:
            instant(value)
            limits = limits._replace(expiry=limits.expiry | {re.sub("UTC|z", "Z", value, flags=re.IGNORECASE)})
        elif name == "from" and value is not None:
            if limits.sources:
                raise Unusable("from= appears twice")
            if value and not _PATTERNS.fullmatch(value):
                raise Unusable(f"from={_shown(value)}: a list of names, addresses and networks without spaces")
            limits = limits._replace(sources=frozenset({value}))
        elif name == "verify-required" and value is None:
            limits = limits._replace(verify=True)
        elif not (name in _HELD and value is None) and not (name in _FORWARDING and value is not None):
            raise Unusable(f"its option {_shown(name)} is not supported here")
    return limits


def _options(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield each option in lower case, with its value without quotes; None: it has none."""
    at = 0
    while True:
        match = _WORD.match(text, at)
        if match is None:
            raise Unusable(f"its options cannot be read: {_shown(text)}")
        at, value = match.end(), None
        if text.startswith("=", at):
            value, at = _value(text, at + 1)
        yield match[0].lower(), value
        if at == len(text):
            return
        if text[at] != ",":
            raise Unusable(f"its options cannot be read: {_shown(text)}")
        at += 1


def _value(text: str, at: int) -> tuple[str, int]:
    """Return the value in quotes that begins at `at`, and where it ends."""
    match = _QUOTED.match(text, at)
    if match is None:
        raise Unusable(f"its options cannot be read: {_shown(text)}")
    return match[1].replace('\\"', '"'), match.end()


def _likely(text: str) -> list[PublicKey]:
    """Return the sound keys anywhere in a line, to tell which keys a line is about that cannot be taken."""
    words = [word.strip("#\"',;") for word in text.split()]
    found = (PublicKey.of(f"{kind} {blob}") for kind, blob in pairwise(words) if kind in TYPES)
    return list(dict.fromkeys(key for key in found if key is not None))


def _octets(blob: str) -> bytes | None:
    try:
        return base64.b64decode(blob, validate=True)
    except binascii.Error:
        return None


def _sound(kind: str, octets: bytes) -> bool:
    """Tell whether `octets` are a key of that type (RFC 4253, section 6.6), whole, and in its only form."""
    fields = []
    while octets:
        size = int.from_bytes(octets[:4], "big")
        if len(octets) < 4 + size:
            return False
        fields.append(octets[4 : 4 + size])
        octets = octets[4 + size :]
    if not fields or fields[0] != kind.encode("ascii") or len(fields) != 1 + _FIELDS.get(kind, 2):
        return False
    if kind == "ssh-rsa":
        # A number with needless zeros in front would be the same key in another form.
        positive = all(field and field[0] < 128 and (field[0] or field[1:2] >= b"\x80") for field in fields[1:])
        return positive and len(fields[2].lstrip(b"\0")) >= _FEWEST_RSA_OCTETS
    if "ecdsa" in kind:
        curve = kind.partition("nistp")[2].partition("@")[0]
        octets_of_point = 1 + 2 * ((int(curve) + 7) // 8)
        return fields[1] == b"nistp" + curve.encode() and len(fields[2]) == octets_of_point and fields[2][0] == 4
    return len(fields[1]) == 32


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
