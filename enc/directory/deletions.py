"""Who deleted an entry, as the embedded directory keeps it (slapo-accesslog(5)); other servers tell nobody.

An entry that is gone has no modifiersName, and syncrepl says only that it went. So the embedded slapd logs deletions,
and nothing else, in a database of its own below `cn=deletions`: which entry, who, when. Operators and the reading
account read it. It is not part of a backup.

Owns where that is, and asking it. Failure modes: those of ldap_store.py; a server without it gives none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from enc.directory.ldap_store import LdapSource
from enc.terms.filters import escape

LOG = "cn=deletions"
KEPT_DAYS = 365
LARGEST = 1 << 30
"""Bytes of its database: some 800,000 deletions. When it is full, further ones are not logged."""

_AT_ONCE = 50


class Deletion(NamedTuple):
    """That somebody deleted an entry."""

    dn: str
    who: str
    at: str
    """In UTC, YYYYmmddHHMMSS and more, as the beginning of an entryCSN: such texts can be compared."""


def slapd_lines() -> Iterator[str]:
    """Yield what slapd.conf says in the database whose deletions are logged."""
    yield "overlay accesslog"
    yield f"logdb {LOG}"
    yield "logops delete"
    yield "logsuccess TRUE"
    yield f"logpurge {KEPT_DAYS}+00:00 1+00:00"


def of(source: LdapSource, names: Iterable[str]) -> list[Deletion]:
    """Return the deletions of these entries, the earliest first."""
    wanted = list(dict.fromkeys(names))
    found = []
    for first in range(0, len(wanted), _AT_ONCE):
        these = "".join(f"(reqDN={escape(name)})" for name in wanted[first : first + _AT_ONCE])
        filter_text = f"(&(objectClass=auditDelete)(|{these}))"
        for record in source.search(LOG, filter_text, attributes=("reqDN", "reqAuthzID", "reqStart")):
            dn, who, at = (record.first(name) for name in ("reqDN", "reqAuthzID", "reqStart"))
            if dn and who and at:
                found.append(Deletion(dn, who, at))
    return sorted(found, key=lambda one: one.at)
