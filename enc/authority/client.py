"""Asks one certificate authority (puppetserver's /puppet-ca/v1), and lets it revoke.

Its auth.conf must allow our certificate (docs/instances.md has the rules). An
authority that cannot be asked, and one that says no, are two errors: of the
first one nothing follows, and what was to be done has to be done later.

puppetserver writes its revocation list without a lock: of two revocations at
one moment, one can be lost. So `remove` revokes, looks whether the list has
it, and only then lets the certificate be forgotten; and the caller lets only
one such call run at once (Journal.authority_lock).

Not here: who may revoke, and when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http.client import HTTPException
from typing import TypeVar

from enc.authority import statuses
from enc.authority.statuses import CertificateStatus, Statuses
from enc.programs.https import Answer, KeptConnection, Tls
from enc.programs.machine_trouble import said
from enc.settings import AuthoritiesSettings, AuthoritySettings
from enc.terms.errors import ToolkitError, bounded, one_line
from enc.terms.names import Certname, ProjectName

_API = "/puppet-ca/v1"
_LISTING = 256 << 20
"""Bytes that the list of all certificates may have: some 600 for each."""
_LIST_TIME = 6
"""The list of all takes so many times as long as other answers: puppetserver reads each certificate for it."""
_CRL = 64 << 20
_TRIES = 5

_Read = TypeVar("_Read")


class AuthorityUnreachable(ToolkitError):
    """An authority gave no answer, or one that means nothing."""


class AuthorityRefused(ToolkitError):
    """An authority answered, and did not do it."""


class Authority:
    """One authority; connects when first needed. Use `close` at the end."""

    def __init__(self, server: AuthoritySettings, timeout: float) -> None:
        """Connect to nothing yet."""
        self.server = server
        tls = Tls(server.ca_file, server.certificate_file, server.key_file)
        self._connection = KeptConnection(server.url, tls, timeout)
        self._slow = KeptConnection(server.url, tls, timeout * _LIST_TIME)

    @property
    def name(self) -> str:
        """How it is called."""
        return self.server.name

    def signs_for(self, project: ProjectName | None) -> bool:
        """Tell whether instances of `project` get their certificates here."""
        return not self.server.projects or project in self.server.projects

    def close(self) -> None:
        """Close the connections; the next question opens them anew."""
        self._connection.close()
        self._slow.close()

    def status(self, certname: Certname) -> CertificateStatus | None:
        """Return what it holds under a name: a certificate, else a pending request; None: neither."""
        answer = self._ask("GET", f"/certificate_status/{certname}")
        if answer.status == 404:
            return None
        found = self._read(statuses.read_one, self._expect(answer, 200, f"report the status of {certname}"))
        if found.name != certname:
            raise AuthorityUnreachable(f"answered about {found.name} when asked about {certname}", where=self._where)
        return found

    def all(self) -> Statuses:
        """Return all certificates and requests."""
        answer = self._ask("GET", "/certificate_statuses/all", connection=self._slow, limit=_LISTING)
        return self._read(statuses.read_all, self._expect(answer, 200, "list its certificates"))

    def certificate(self, certname: Certname) -> bytes | None:
        """Return somebody's certificate (PEM); None: there is none."""
        answer = self._ask("GET", f"/certificate/{certname}")
        return None if answer.status == 404 else self._expect(answer, 200, f"give the certificate of {certname}")

    def remove(self, certname: Certname) -> bool:
        """Revoke and forget what it holds under a name, and delete a pending request; tell whether there was any."""
        found = self.status(certname)
        there = found is not None
        if found is not None and found.state != "requested":
            self._revoke(certname, found)
            body = json.dumps({"certnames": [certname]}).encode()
            self._expect(self._ask("PUT", "/clean", body), 200, f"forget the certificate of {certname}")
            found = self.status(certname)
            if found is not None and found.state != "requested":
                raise AuthorityRefused(f"still holds a certificate of {certname}", where=self._where)
        if found is not None:
            self.delete_request(certname)
        return there

    def delete_request(self, certname: Certname) -> None:
        """Delete a pending request; none is fine."""
        answer = self._ask("DELETE", f"/certificate_request/{certname}")
        if answer.status != 404:
            self._expect(answer, 204, f"delete the request of {certname}")

    def crl(self) -> bytes:
        """Return its revocation list (PEM; with intermediate authorities several)."""
        answer = self._ask("GET", "/certificate_revocation_list/ca", connection=self._slow, limit=_CRL)
        return self._expect(answer, 200, "give its revocation list")

    def certificates(self) -> bytes:
        """Return its own certificate and those above it (PEM)."""
        return self._expect(self._ask("GET", "/certificate/ca"), 200, "give its own certificate")

    def _revoke(self, certname: Certname, found: CertificateStatus) -> None:
        body = json.dumps({"desired_state": "revoked"}).encode()
        for _ in range(_TRIES):
            if found.state == "revoked":
                return
            answer = self._ask("PUT", f"/certificate_status/{certname}", body)
            if answer.status == 404:
                return
            self._expect(answer, 204, f"revoke the certificate of {certname}")
            # The state is read from the revocation list itself.
            now = self.status(certname)
            if now is None or now.serial != found.serial:
                return
            found = now
        raise AuthorityRefused(f"does not list {certname} as revoked, after {_TRIES} tries", where=self._where)

    @property
    def _where(self) -> str:
        return f"{self.name} ({self.server.url})"

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        connection: KeptConnection | None = None,
        limit: int = 1 << 20,
    ) -> Answer:
        try:
            return (connection or self._connection).ask(method, _API + path, body, limit=limit)
        except (OSError, HTTPException) as error:
            raise AuthorityUnreachable(f"this authority cannot be reached: {said(error)}", where=self._where) from error

    def _expect(self, answer: Answer, status: int, what: str) -> bytes:
        if answer.status == status:
            return answer.body
        if answer.status in (401, 403):
            why = "its auth.conf does not allow this to our certificate (docs/instances.md)"
        else:
            words = bounded(one_line(answer.body.decode("utf-8", "replace").strip()))
            why = f"it answered {answer.status}: {words}"
        raise AuthorityRefused(f"did not {what}: {why}", where=self._where)

    def _read(self, read: Callable[[bytes], _Read], body: bytes) -> _Read:
        try:
            return read(body)
        except ValueError as error:
            raise AuthorityUnreachable(f"its answer {bounded(one_line(str(error)))}", where=self._where) from error


def open_all(settings: AuthoritiesSettings) -> tuple[Authority, ...]:
    """Return the authorities of the configuration, connected to none yet."""
    return tuple(Authority(server, settings.timeout) for server in settings.servers)


def close_all(authorities: Iterable[Authority]) -> None:
    """Close all connections."""
    for authority in authorities:
        authority.close()
