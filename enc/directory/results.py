"""What an LDAP result code means for who asked (RFC 4511, appendix A; RFC 4528; RFC 4533). Pure.

One table, so that the same answer of a server never becomes two different
errors. The server's own words are kept, in one line.
"""

from __future__ import annotations

from enc.directory.messages import Result
from enc.terms.errors import (
    Conflict,
    DirectoryRefused,
    DirectoryUnreachable,
    NotAllowed,
    NotFound,
    ToolkitError,
)

SUCCESS = 0
PROTOCOL_ERROR = 2
SIZE_LIMIT = 4
REFERRAL = 10
CRITICAL_UNAVAILABLE = 12
CONSTRAINT_VIOLATION = 19
NO_SUCH_OBJECT = 32
INVALID_CREDENTIALS = 49
UNWILLING = 53
ASSERTION_FAILED = 122
SYNC_REFRESH_REQUIRED = 4096

OF_THE_SCHEMA = frozenset({17, 21, 65})
"""What a server says of a class or attribute that it does not know: undefined type, violation of a class, or invalid
syntax, which is slapd's word for an unknown class."""

_MEANINGS: dict[int, tuple[type[ToolkitError], str]] = {
    1: (DirectoryUnreachable, "the server could not do it (operations error)"),
    3: (DirectoryRefused, "the server's time limit was reached; raise it for this account"),
    SIZE_LIMIT: (DirectoryRefused, "the server returns too few entries to this account; raise its size limit"),
    8: (DirectoryRefused, "the server requires stronger authentication, or TLS"),
    REFERRAL: (DirectoryRefused, "this server refers to another server"),
    11: (DirectoryRefused, "an administrative limit of the server was reached; raise it for this account"),
    CRITICAL_UNAVAILABLE: (DirectoryRefused, "the server does not offer an extension that is needed here"),
    13: (DirectoryRefused, "the server requires TLS"),
    16: (Conflict, "the attribute or value to remove is no longer there; read the entry again"),
    17: (DirectoryRefused, "the server's schema does not have the attribute"),
    CONSTRAINT_VIOLATION: (DirectoryRefused, "the value violates one of the server's constraints"),
    20: (Conflict, "the value to add is already there; read the entry again"),
    21: (DirectoryRefused, "the value does not fit the attribute's syntax"),
    NO_SUCH_OBJECT: (NotFound, "there is no such entry"),
    34: (DirectoryRefused, "not a distinguished name that the server understands"),
    48: (DirectoryRefused, "the server does not allow this kind of authentication"),
    INVALID_CREDENTIALS: (DirectoryRefused, "name or password is wrong"),
    50: (NotAllowed, "this account lacks the rights for that in the directory"),
    51: (DirectoryUnreachable, "the server is busy"),
    52: (DirectoryUnreachable, "the server is shutting down or not ready"),
    UNWILLING: (DirectoryRefused, "the server is unwilling to do that"),
    64: (DirectoryRefused, "the name does not fit the entry"),
    65: (DirectoryRefused, "the entry would violate the server's schema"),
    66: (DirectoryRefused, "the entry has entries below it"),
    68: (Conflict, "an entry with that name already exists"),
    71: (DirectoryRefused, "the entry is in another server's part of the tree"),
    80: (DirectoryUnreachable, "the server had an internal error (its disk may be full)"),
    ASSERTION_FAILED: (Conflict, "somebody else changed the entry in the meantime; read it again"),
}


def failure(result: Result, where: str) -> ToolkitError:
    """Return the error that `result`, which is no success, is for who asked; `where` is a DN or an address."""
    kind, meaning = _MEANINGS.get(result.code, (DirectoryRefused, f"the server answered with code {result.code}"))
    words = "; ".join(text for text in (result.diagnostic, *result.referrals) if text)
    return kind(f"{meaning}: {words}" if words else meaning, where=where)
