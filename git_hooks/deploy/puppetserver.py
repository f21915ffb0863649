"""Tells puppetservers that an environment has changed.

Keeps one connection (enc/programs/https.py) to each configured server as long as the
process lives. puppetserver forgets an environment through
`DELETE /puppet-admin-api/v1/environment-cache`, for which its auth.conf needs
a rule (none is shipped; docs/branches.md has it).

Failure modes: `FlushFailed` with the server and what to do. Nothing is assumed
about what the server has cached then.
"""

from __future__ import annotations

from enc.programs.https import KeptConnection, Tls
from enc.programs.machine_trouble import said
from enc.settings import PuppetserverSettings
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName

_PATH = "/puppet-admin-api/v1/environment-cache?environment="


class FlushFailed(ToolkitError):
    """A puppetserver did not say that it forgot the environment."""


class Puppetservers:
    """All puppetservers that serve this machine's environments."""

    def __init__(self, settings: PuppetserverSettings) -> None:
        """Connect to nothing yet."""
        tls = Tls(settings.ca_file, settings.certificate_file, settings.key_file)
        self._connections = [KeptConnection(url, tls, settings.timeout) for url in settings.urls]

    def flush(self, environment: EnvironmentName) -> None:
        """Let every server forget `environment`; raise `FlushFailed` after having asked all of them."""
        failures = []
        for connection in self._connections:
            try:
                _flush(connection, environment)
            except FlushFailed as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Close the connections; the next flush opens them anew."""
        for connection in self._connections:
            connection.close()


def _flush(connection: KeptConnection, environment: EnvironmentName) -> None:
    from http.client import HTTPException  # a process that flushes nothing does not wait for it

    try:
        status = connection.ask("DELETE", _PATH + environment).status
    except (OSError, HTTPException) as error:
        raise FlushFailed(f"could not be asked to forget {environment}: {said(error)}", where=connection.url) from error
    if status != 204:
        hint = "; its auth.conf must allow this certificate to flush environments" if status in (401, 403) else ""
        raise FlushFailed(f"answered {status} when asked to forget {environment}{hint}", where=connection.url)
