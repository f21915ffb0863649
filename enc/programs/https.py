"""One kept HTTPS connection to a puppetserver, with certificates verified on both sides.

Owns TLS and HTTP towards puppetserver: deploys flush environments through it
(git_hooks/deploy/puppetserver.py), and the certificate authority is asked through it
(enc/authority). Bounded in every way: a request, its answer included, takes at
most `timeout` seconds whatever the server sends, and an answer has at most
`limit` bytes.

A kept connection that turns out to be closed (servers close idle ones) is
opened again once, so every request sent here must be one that does no harm
when it is carried out twice.

Failure modes: OSError and http.client.HTTPException as they come; the callers
say what they were about.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from http.client import HTTPSConnection
    from ssl import SSLContext

_LARGEST = 1 << 20


class Tls(NamedTuple):
    """Whom we trust, and who we are. Files in PEM."""

    ca_file: Path | None = None
    """None: the system's authorities."""
    certificate_file: Path | None = None
    key_file: Path | None = None


class Answer(NamedTuple):
    """What the server said."""

    status: int
    body: bytes


@contextmanager
def ended_after(seconds: float, connected: Callable[[], socket.socket | None]) -> Iterator[threading.Event]:
    """Within: the connection that `connected` returns ends after `seconds`, and the event says so.

    A socket's own time-out begins anew with every byte that comes.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        connection = connected()
        if connection is not None:
            with suppress(OSError):
                # Not SSLSocket's own, which takes TLS away from under whoever is reading.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


class KeptConnection:
    """A connection to one server (https://HOST[:PORT], 8140 without a port), opened when first needed."""

    def __init__(self, url: str, tls: Tls, timeout: float) -> None:
        """Connect to nothing yet."""
        self.url = url
        self._tls = tls
        self._timeout = timeout
        self._connection: HTTPSConnection | None = None
        self._context: SSLContext | None = None

    def close(self) -> None:
        """Close it; the next request opens it anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, method: str, path: str, body: bytes | None = None, *, limit: int = _LARGEST) -> Answer:
        """Send a request, perhaps with a JSON `body`; raise OSError or HTTPException, too long an answer included."""
        # Here and not above: a process that asks nobody does not pay 15 ms for TLS.
        from http.client import HTTPException

        kept = self._connection is not None
        try:
            return self._ask(method, path, body, limit)
        except (OSError, HTTPException) as error:
            self.close()
            if not kept or isinstance(error, TimeoutError):
                raise
        try:
            return self._ask(method, path, body, limit)
        except (OSError, HTTPException):
            self.close()
            raise

    def _ask(self, method: str, path: str, body: bytes | None, limit: int) -> Answer:
        from http.client import HTTPException

        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        if connection.sock is None:
            connection.connect()
        with ended_after(self._timeout, lambda: connection.sock) as late:
            try:
                headers = {"Accept": "application/json, text/plain"}
                if body is not None:
                    headers["Content-Type"] = "application/json"
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                content = response.read(limit + 1)
            except (OSError, HTTPException) as error:
                if late.is_set():
                    raise TimeoutError(f"no complete answer within {self._timeout:g} s") from error
                raise
        if late.is_set():
            raise TimeoutError(f"no complete answer within {self._timeout:g} s")
        if len(content) > limit:
            raise OSError(f"the answer is longer than {limit} bytes")
        if response.length:
            raise OSError("the answer was cut off")  # read() with a limit does not say so
        return Answer(response.status, content)

    def _connect(self) -> HTTPSConnection:
        import ssl
        from http.client import HTTPSConnection

        if self._context is None:
            context = ssl.create_default_context(cafile=str(self._tls.ca_file) if self._tls.ca_file else None)
            if self._tls.certificate_file is not None:
                context.load_cert_chain(self._tls.certificate_file, self._tls.key_file)
            self._context = context
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        return HTTPSConnection(parts.hostname, parts.port or 8140, context=self._context, timeout=self._timeout)
