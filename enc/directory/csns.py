"""How far a server has got: the newest change of each server that writes (CSNs by server id). Pure.

OpenLDAP names every change by a CSN, `20260102030405.000000Z#000000#001#000000`:
time, counter, *server id* (hexadecimal), operation. A server's `contextCSN` and a
sync cookie (`rid=000,sid=002,csn=CSN;CSN`) hold the newest CSN of each server
id. Two servers have the same content when these are the same; one lacks
something of the other where one of its CSNs is older, or missing.

Of a cookie only the CSNs are offered to a server (`offer`):

- `sid=` in a cookie is, to slapd's syncprov, the server id of *who asks*, and it
  does not send a consumer what it thinks that the consumer wrote. A server puts
  its own id into the cookies that it hands out, so at the next server such a
  cookie hides every change that was made at the first.
- During persistence a cookie holds only the CSN of the change that it came
  with, so cookies are merged (`join`).
- No CSN is offered that the server does not have itself: it may refuse it, and
  a smaller claim only brings some entries twice.

Cookies of other servers (389-ds) are no CSNs; they are handed back as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_CSN = re.compile(r"\d{14}(?:\.\d{1,6})?Z#[0-9a-fA-F]{6}#([0-9a-fA-F]{2,3})#[0-9a-fA-F]{6}", re.ASCII)
"""draft-chu-ldap-csn; old servers wrote ids of two digits."""


@dataclass(frozen=True, slots=True)
class Csns:
    """The newest CSN by server id; empty: nothing is known."""

    by_server: Mapping[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return bool(self.by_server)

    def covers(self, other: Csns) -> bool:
        """Tell whether who stands here has everything that `other` has."""
        return all(csn <= self.by_server.get(server, "") for server, csn in other.by_server.items())

    def knows(self, csn: str) -> bool:
        """Tell whether who stands here can know of the change `csn`; one that is no CSN counts as known."""
        server = server_of(csn)
        return server is None or csn <= self.by_server.get(server, "")

    def join(self, other: Csns) -> Csns:
        """Return what has all that either has."""
        joined = dict(self.by_server)
        for server, csn in other.by_server.items():
            joined[server] = max(csn, joined.get(server, ""))
        return Csns(joined)

    def meet(self, other: Csns) -> Csns:
        """Return what both have."""
        common = self.by_server.keys() & other.by_server.keys()
        return Csns({server: min(self.by_server[server], other.by_server[server]) for server in common})

    def lacks(self, other: Csns) -> tuple[int, ...]:
        """Return the ids of the servers some of whose changes `other` has and this has not."""
        return tuple(sorted(s for s, csn in other.by_server.items() if csn > self.by_server.get(s, "")))


NOTHING_KNOWN = Csns()


def server_of(csn: str) -> int | None:
    """Return the id of the server that made the change `csn`; None if it is no CSN."""
    found = _CSN.fullmatch(csn)
    return int(found[1], 16) if found else None


def of_values(values: Iterable[str]) -> Csns:
    """Return what the values of contextCSN say; others are left out."""
    found = NOTHING_KNOWN
    for value in values:
        if (server := server_of(value)) is not None:
            found = found.join(Csns({server: value}))
    return found


def of_cookie(cookie: bytes | None) -> Csns:
    """Return the CSNs in a cookie; none if it is not OpenLDAP's."""
    text = (cookie or b"").decode("ascii", "replace")
    if not text.startswith("rid="):
        return NOTHING_KNOWN
    return of_values(csn for part in text.split(",") if part.startswith("csn=") for csn in part[4:].split(";"))


def cookie_of(csns: Csns) -> bytes:
    """Return the cookie that says `csns` and nothing about who asks; replica id 000."""
    ordered = (csns.by_server[server] for server in sorted(csns.by_server))
    return f"rid=000,csn={';'.join(ordered)}".encode("ascii")


def merged(old: bytes | None, new: bytes) -> bytes:
    """Return the cookie for a copy that has what both stand for; `new` as it is if it is not OpenLDAP's."""
    csns = of_cookie(new)
    return cookie_of(of_cookie(old).join(csns)) if csns else new


def offer(cookie: bytes | None, server: Csns) -> bytes | None:
    """Return what to ask a server with that has got as far as `server`; None: for everything."""
    csns = of_cookie(cookie)
    if not csns:
        return cookie
    shared = csns.meet(server) if server else csns
    return cookie_of(shared) if shared else None
