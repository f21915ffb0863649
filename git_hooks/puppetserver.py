"""Tells puppetservers that an environment has changed: the only HTTP client of the deploy.

Owns: one TLS connection to each configured server, kept as long as the
process lives; certificates are verified on both sides. puppetserver forgets an
environment through `DELETE /puppet-admin-api/v1/environment-cache`, for which
its auth.conf needs a rule (none is shipped; docs/branches.md has it).

Failure modes: `FlushFailed` with the server and what to do. Nothing is assumed
about what the server has cached then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from enc.errors import ToolkitError
from enc.names import EnvironmentName

if TYPE_CHECKING:
    from http.client import HTTPSConnection
    from ssl import SSLContext

    from enc.settings import PuppetserverSettings

_PATH = "/puppet-admin-api/v1/environment-cache?environment="


class FlushFailed(ToolkitError):
    """A puppetserver did not say that it forgot the environment."""


class Puppetservers:
    """All puppetservers that serve this machine's environments."""

    def __init__(self, settings: PuppetserverSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._connections: dict[str, HTTPSConnection] = {}
        self._context: SSLContext | None = None

    def flush(self, environment: EnvironmentName) -> None:
        """Let every server forget `environment`; raise `FlushFailed` after having asked all of them."""
        failures = []
        for url in self._settings.urls:
            try:
                self._flush(url, environment)
            except FlushFailed as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Close the connections; the next flush opens them anew."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _flush(self, url: str, environment: EnvironmentName) -> None:
        from http.client import HTTPException

        kept = url in self._connections
        try:
            status = self._delete(url, environment)
        except (OSError, HTTPException) as error:
            self._forget(url)
            if not kept:
                raise FlushFailed(f"could not be asked to forget {environment}: {error}", where=url) from error
            # The server closes connections that were idle; a fresh one tells whether that was all.
            self._flush(url, environment)
            return
        if status != 204:
            hint = "; its auth.conf must allow this certificate to flush" if status in (401, 403) else ""
            raise FlushFailed(f"answered {status} when asked to forget {environment}{hint}", where=url)

    def _delete(self, url: str, environment: EnvironmentName) -> int:
        connection = self._connections.get(url)
        if connection is None:
            connection = self._connections[url] = self._connect(url)
        connection.request("DELETE", _PATH + environment)
        response = connection.getresponse()
        response.read()
        return response.status

    def _forget(self, url: str) -> None:
        connection = self._connections.pop(url, None)
        if connection is not None:
            connection.close()

    def _connect(self, url: str) -> HTTPSConnection:
        # Here and not above: a process that flushes nothing does not pay 15 ms for TLS.
        import ssl
        from http.client import HTTPSConnection

        settings = self._settings
        if self._context is None:
            context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
            if settings.certificate_file is not None:
                context.load_cert_chain(settings.certificate_file, settings.key_file)
            self._context = context
        parts = urlsplit(url)
        assert parts.hostname is not None
        return HTTPSConnection(parts.hostname, parts.port or 8140, context=self._context, timeout=settings.timeout)
