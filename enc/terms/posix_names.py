"""Names and numbers that machines know accounts and groups by, each parsed once at the door (names.py). Pure.

What LDAP says here becomes a line of passwd(5) on every machine, and a path and a program there: so nothing that
ends a line or a field, no path that leads elsewhere, and no number that the system has given to something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from enc.terms.names import Name

_SYSTEM = (
    (0, 999, "the system's own accounts (Debian Policy 9.2.2)"),
    (60_000, 65_535, "accounts that Debian and systemd give, and nobody (Debian Policy 9.2.2, systemd's UIDS-GIDS.md)"),
)
HIGHEST = 2**31 - 1
"""Beyond it are programs that read a number as negative (systemd's UIDS-GIDS.md)."""


def number_fault(number: int) -> str | None:
    """Return why no person and no project can have `number`, as the end of a sentence; None: they can."""
    for first, last, what in _SYSTEM:
        if first <= number <= last:
            return f"is one of {first}-{last}: {what}"
    return f"is not between 1000 and {HIGHEST}" if not 0 <= number <= HIGHEST else None


@dataclass(frozen=True)
class NumberRange:
    """Numbers from `first` to `last`, both included."""

    first: int
    last: int

    @classmethod
    def read(cls, text: str) -> NumberRange:
        """Read `50000-59999`; raise ValueError with the rule."""
        match = re.fullmatch(r"([0-9]{1,10})-([0-9]{1,10})", text, re.ASCII)
        if match is None or int(match[1]) > int(match[2]):
            raise ValueError(f"{text!r} is not FIRST-LAST, two numbers of which the second is not lower")
        found = cls(int(match[1]), int(match[2]))
        for first, last, what in _SYSTEM:
            if found.meets(cls(first, last)):
                raise ValueError(f"{text} meets {first}-{last}: {what}")
        if found.last > HIGHEST:
            raise ValueError(f"{text} goes beyond {HIGHEST}")
        return found

    def meets(self, other: NumberRange) -> bool:
        """Tell whether a number is in both."""
        return self.first <= other.last and other.first <= self.last

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


class LoginName(Name):
    """The name of an account on machines."""

    __slots__ = ()
    kind = "a login name"
    rule = "a-z, 0-9, '_', '-' and '.' only, starting with a letter or '_', no '.' at the end, at most 32 characters"
    pattern = re.compile(r"[a-z_](?:[a-z0-9_.-]*[a-z0-9_-])?", re.ASCII)
    longest = 32
    reserved = frozenset(
        (
            *("root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy"),
            *("www-data", "backup", "list", "irc", "gnats", "nobody", "_apt", "messagebus", "sshd", "puppet"),
        )
    )
    """Accounts that machines have themselves (base-passwd of Debian), or that Puppet needs."""

    @classmethod
    def broken(cls, text: str) -> str:
        """Return the rule that `text`, which is no such name, breaks."""
        return "machines have an account of their own of this name" if text in cls.reserved else cls.rule


class HomeDirectory(Name):
    """Where somebody's files are on machines."""

    __slots__ = ()
    kind = "a home directory"
    rule = (
        "an absolute path of letters, digits, '_', '-' and '.', without '.', '..' or an empty step in it, "
        "at most 255 characters"
    )
    pattern = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.-]+)+", re.ASCII)
    longest = 255


class LoginShell(Name):
    """The program that somebody gets who logs in."""

    __slots__ = ()
    kind = "a login shell"
    rule = HomeDirectory.rule
    pattern = HomeDirectory.pattern
    longest = 255
