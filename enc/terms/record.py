"""An LDAP entry as a value, wherever it comes from: the directory or the follower's copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_VALUE = 64
"""Octets that a text takes besides its characters."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One LDAP entry, as far as it concerns us.

    Two records are the same only if they are the same object: what is derived
    from a shared record (a project's, say) can then be kept beside it.
    """

    dn: str
    """As the server gives it."""
    attributes: Mapping[str, tuple[str, ...]]
    """User attributes; lower-cased names, values in the server's order. Values that are not UTF-8 are left out."""
    uuid: str = ""
    """entryUUID: stays the same when the entry is renamed."""
    csn: str = ""
    """entryCSN: changes with each change of the entry, and orders changes."""
    unread: str = ""
    """Why some attributes are missing: the entry is too large to be read whole. Empty: nothing is missing.

    It is not known what such an entry says, so nothing may be concluded from what it seems not to say.
    """

    modifier: str = ""
    """Who changed the entry last (a DN), where it was asked for and the server tells it; not kept in the copy."""

    def weight(self) -> int:
        """Return about how many octets of memory it takes; who holds many at once goes by it."""
        return sum(_VALUE * len(values) + sum(map(len, values)) for values in self.attributes.values())

    def all(self, attribute: str) -> tuple[str, ...]:
        """Return the values of `attribute` (any case), in the server's order."""
        return self.attributes.get(attribute.lower(), ())

    def first(self, attribute: str) -> str | None:
        """Return the first value of `attribute`, or None."""
        values = self.attributes.get(attribute.lower(), ())
        return values[0] if values else None
