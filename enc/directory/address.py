"""Where an LDAP server is, and a socket to it within a bounded time.

Owns the look-up of names (in a thread, because the C library cannot be
interrupted), the order of a host's addresses, and keep-alive. Knows nothing of
LDAP: what is said over the socket is ldap3's, within the bounds of `bounded`.

Why not ldap3's own: it looks names up in the caller's thread for as long as
that takes, and gives each address the whole time-out.

Failures: `OSError` with a sentence; `ConfigurationError` for an address that is none.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import unquote

from enc.terms.errors import ConfigurationError

_PORTS = {"ldap": 389, "ldaps": 636}
_LDAPI_SOCKETS = ("/run/slapd/ldapi", "/run/ldapi", "/run/openldap/ldapi", "/usr/local/var/run/ldapi")
"""Where `ldapi:///` is: Debian's slapd, 389-ds and Red Hat's, SUSE's, OpenLDAP's own default."""
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is."""

    uri: str
    scheme: str
    host: str
    """For ldapi: the socket's path."""
    port: int

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Read ldap://HOST[:PORT], ldaps://HOST[:PORT] or ldapi://[PATH]; raise `ConfigurationError`."""
        scheme, separator, rest = uri.partition("://")
        place = unquote(rest.split("?")[0].rstrip("/"))
        if scheme == "ldapi" and separator:
            found = (path for path in _LDAPI_SOCKETS if Path(path).exists())
            return cls(uri, scheme, place or next(found, _LDAPI_SOCKETS[0]), 0)
        host, port = place, ""
        if place.startswith("["):
            host, _, port = place[1:].partition("]")
            port = port.removeprefix(":")
        elif place.count(":") == 1:
            host, _, port = place.partition(":")
        if scheme not in _PORTS or not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
            raise ConfigurationError(
                f"{uri!r} is not ldap://HOST[:PORT], ldaps://HOST[:PORT] or ldapi://PATH", where="directory.uris"
            )
        return cls(uri, scheme, host, int(port or _PORTS[scheme]))


def connect(address: Address, deadline: float) -> socket.socket:
    """Return a connected socket; `deadline` is a time of the monotonic clock. Raise `OSError`."""
    if address.scheme == "ldapi":
        return _open(socket.AF_UNIX, address.host, deadline)
    failure: OSError = OSError(f"no address is known for {address.host}")
    places = _look_up(address, deadline)
    for left, (family, place) in zip(range(len(places), 0, -1), places, strict=True):
        now = monotonic()
        try:
            return _open(family, place, now + (deadline - now) / left)
        except OSError as error:
            failure = error
    raise failure


def _open(family: int, place: Any, deadline: float) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(max(deadline - monotonic(), 0.001))
        opened.connect(place)
        if family != socket.AF_UNIX:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, number in _KEEPALIVE.items():
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), number)
    except OSError:
        opened.close()
        raise
    return opened


def _look_up(address: Address, deadline: float) -> list[tuple[int, Any]]:
    """Return (family, socket address) of each address that the host has, at most eight."""
    found: list[tuple[int, Any]] = []
    failure: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failure.append(error)
        else:
            found.extend((family, place) for family, _, _, _, place in answers[:8])

    try:
        ipaddress.ip_address(address.host.partition("%")[0])
    except ValueError:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(max(deadline - monotonic(), 0.001))
        if asking.is_alive():
            raise OSError(f"the name {address.host} was not looked up in time") from None
    else:
        ask()
    if failure:
        raise OSError(f"the name {address.host} is not known: {failure[0]}")
    return found
