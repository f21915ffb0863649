"""Connections that end by themselves where the client is slow: each wait for it is bounded, and its pace is looked at.

Both kinds, plain and TLS, are sockets as gunicorn uses them. Without blocking
(`setblocking(False)`, while the front waits for a head) nothing is measured.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from enc.web.pace import Pace, TooSlow

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def is_closed_to_us(listen: str) -> bool:
    """Tell whether this account may not listen at ADDRESS:PORT (ip(7): ports below 1024 need a capability)."""
    address, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.strip("[]"), int(port)))
        except PermissionError:
            return True
        except OSError:
            return False  # what else is wrong, who listens in earnest says
    return False


class Measured(socket.socket):
    """What both kinds do."""

    patience = 60.0
    """Seconds that one wait may take."""
    pace = Pace(0, 60)
    """Of the request that is being served."""
    ends: float | None = None
    """When all waiting must be over, by the monotonic clock; None: never."""

    def setblocking(self, flag: bool, /) -> None:
        """Wait with patience, or not at all; never for ever."""
        self.settimeout(self.patience if flag else 0.0)

    def recv(self, size: int = 1024, flags: int = 0, /) -> bytes:
        """Receive; raise `TooSlow`."""
        if self.gettimeout() == 0.0:
            return super().recv(size, flags)
        began = self._waiting()
        try:
            piece = super().recv(size, flags)
        except TimeoutError as error:
            raise TooSlow("nothing came") from error
        self.pace.moved(len(piece), time.monotonic() - began)
        return piece

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send as much as goes; raise `TooSlow`."""
        if self.gettimeout() == 0.0:
            return super().send(data, flags)
        began = self._waiting()
        try:
            sent = super().send(data, flags)
        except TimeoutError as error:
            raise TooSlow("nothing was taken") from error
        self.pace.moved(sent, time.monotonic() - began)
        return sent

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """Send all, piece by piece; raise `TooSlow`."""
        with memoryview(data) as view, view.cast("B") as octets:
            done = 0
            while done < len(octets):
                done += self.send(octets[done:], flags)

    def _waiting(self) -> float:
        now = time.monotonic()
        if self.ends is not None:
            if self.ends <= now:
                raise TooSlow("this request took too long")
            self.settimeout(min(self.patience, self.ends - now))
        return now


class Plain(Measured):
    """A connection without TLS."""


class Secure(Measured, ssl.SSLSocket):
    """A connection with TLS."""


def secure(plain: socket.socket, context: ssl.SSLContext) -> Secure:
    """Return the server's end of TLS over `plain`, which is used up; the handshake is still to come. Raise OSError."""
    context.sslsocket_class = Secure
    wrapped: Any = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    return wrapped  # type: ignore[no-any-return]
