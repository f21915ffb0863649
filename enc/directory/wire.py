"""One socket to one LDAP server: connect, TLS, whole messages in and out, each within a bounded time.

Owns the socket and its buffer. Knows nothing of operations; which server is
tried, and who we are there, is decided in `connection`.

Every wait has an end: looking up the name (in a thread, because the C library
cannot be interrupted), connecting, the TLS handshake, sending, and receiving
a *whole* message, so that neither a server that never answers nor one that
answers an octet a second can hold us.

TLS is OpenSSL's own verification of chain, dates and host name
(`ssl.create_default_context`); there is no way to turn it off.

Failures: `DirectoryUnreachable` with the server's address; `ConfigurationError`
for certificate files of ours that cannot be used.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from enc.directory import ber
from enc.errors import ConfigurationError, DirectoryUnreachable
from enc.settings import TlsSettings

if TYPE_CHECKING:
    import ssl

_CHUNK = 256 * 1024
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


class Wire:
    """A connected socket that carries LDAP messages."""

    def __init__(self, address: Address, seconds: float) -> None:
        """Connect within `seconds`."""
        self.address = address
        self.heard = monotonic()
        """When the server last sent anything."""
        self._buffer = bytearray()
        self._at = 0
        self.secure = address.scheme == "ldapi"
        try:
            self._socket = _connect(address, monotonic() + seconds)
        except OSError as error:
            raise self.lost(error) from error

    def lost(self, error: Exception | str) -> DirectoryUnreachable:
        """Return the error that says what went wrong with this server."""
        text = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.strerror} ({self.address.host})" if self.address.scheme == "ldapi" else error.strerror
        if isinstance(error, TimeoutError):
            text = "no answer in time"
        return DirectoryUnreachable(text, where=self.address.uri)

    def start_tls(self, settings: TlsSettings, seconds: float) -> None:
        """Protect the connection from here on; verify the server's certificate and name."""
        import ssl  # only here: a direct answer over ldapi has no use for its 15 ms

        if len(self._buffer) > self._at:
            # What came before the handshake is not protected by it and may be anybody's.
            raise self.lost("octets arrived before TLS began")
        context = _context(settings)
        self._socket.settimeout(seconds)
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname=self.address.host)
        except ssl.SSLCertVerificationError as error:
            raise self.lost(f"its certificate is not accepted: {error.verify_message}") from error
        except (OSError, ValueError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error
            raise self.lost(f"TLS failed: {reason}") from error
        self.secure = True

    def is_local(self) -> bool:
        """Tell whether the other end is this machine."""
        if self.address.scheme == "ldapi":
            return True
        return ipaddress.ip_address(self._socket.getpeername()[0].partition("%")[0]).is_loopback

    def send(self, data: bytes, seconds: float) -> None:
        """Send one message."""
        deadline = monotonic() + seconds
        view = memoryview(data)
        try:
            while view:
                self._socket.settimeout(max(deadline - monotonic(), 0.001))
                view = view[self._socket.send(view) :]
        except OSError as error:
            raise self.lost(error) from error

    def receive(self, seconds: float) -> bytes | None:
        """Return the next whole message, None if it is not there within `seconds`."""
        deadline = 0.0
        while True:
            try:
                size = ber.message_size(self._buffer, self._at)
            except ber.Malformed as error:
                raise self.lost(error) from error
            if size is not None and len(self._buffer) - self._at >= size:
                data = bytes(memoryview(self._buffer)[self._at : self._at + size])
                self._at += size
                return data
            deadline = deadline or monotonic() + seconds
            if not self._fill(deadline):
                return None

    def _fill(self, deadline: float) -> bool:
        """Receive some octets; False if there are none until `deadline`."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        remaining = deadline - monotonic()
        if remaining <= 0 and self._buffer:
            return False
        try:
            self._socket.settimeout(max(remaining, 0.001))
            chunk = self._socket.recv(_CHUNK)
        except TimeoutError:
            return False
        except OSError as error:
            raise self.lost(error) from error
        if not chunk:
            raise self.lost("the server closed the connection")
        self._buffer += chunk
        self.heard = monotonic()
        return True

    def is_quiet(self) -> bool:
        """Tell whether nothing lies unread; a server that has hung up in the meantime is not quiet."""
        if len(self._buffer) > self._at:
            return False
        try:
            return not self._fill(0.0)
        except DirectoryUnreachable:
            return False

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _connect(address: Address, deadline: float) -> socket.socket:
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


def _context(settings: TlsSettings) -> ssl.SSLContext:
    import ssl

    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"no certificates of authorities can be read: {error}", where=str(settings.ca_file or "directory.tls")
        ) from error
    if settings.certificate_file is not None:
        try:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificate and its key cannot be used: {error}", where=str(settings.certificate_file)
            ) from error
    return context
