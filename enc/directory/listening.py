"""Where the embedded slapd listens besides its socket and the loopback: an address of this machine, over TLS only.

There is no plain port elsewhere: whoever speaks first is answered by a TLS
handshake or not at all, so no password can be asked for in clear. The loopback's
plain port stays the loopback's.

Failure modes: `UsageError` for what is no address. Not here: the certificate (embedded_config.py).
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass

from enc.terms.errors import UsageError

LDAPS_PORT = 636
"""Of ldaps:// (IANA)."""
_SIX = r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
_FORM = re.compile(rf"(?:(?P<four>[0-9.]+)|\[(?P<six>{_SIX})\])(?::(?P<port>[0-9]{{1,5}}))?|(?P<bare>{_SIX})")


@dataclass(frozen=True)
class Listening:
    """One address and port."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int = LDAPS_PORT

    @classmethod
    def parse(cls, text: str) -> Listening:
        """Return what ADDRESS or ADDRESS:PORT says; an IPv6 address with a port stands in brackets.

        Raise `UsageError` for anything else. A name is nothing to listen on: what it leads to is the resolver's.
        """
        found = _FORM.fullmatch(text)
        port = int(found["port"] or LDAPS_PORT) if found else 0
        address = None
        if found:
            with suppress(ValueError):
                address = ipaddress.ip_address(found["four"] or found["six"] or found["bare"])
        if address is None or not 0 < port < 1 << 16:
            raise UsageError(
                f"--listen {text[:80]!r}: not an IP address of this machine, with or without a port "
                "(192.0.2.1, 0.0.0.0:1636, [2001:db8::1]:636)"
            )
        return cls(address, port)

    @property
    def uri(self) -> str:
        """Where slapd is to listen, and, unless it is every address, where clients find it."""
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"ldaps://{host}:{self.port}"
