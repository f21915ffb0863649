"""Git over HTTP: git's smart protocol on one repository, as a WSGI application.

Owns: which requests there are (three paths, the dumb protocol is none of
them), who may make them, and what is answered. The repository's address is
`/NAME/`, NAME being the last part of `branches.repository`.

Passwords are taken only over HTTPS, or from this machine (where a proxy speaks
TLS). The log names person, service, outcome; no header and no query ever.

Failure modes: each is an HTTP status with one line of text, which git shows
behind `remote:`. A bug is a 500 and a traceback in the log.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from http import HTTPStatus
from ipaddress import ip_address
from typing import IO, TYPE_CHECKING, NamedTuple

from enc.errors import ToolkitError
from enc.log import get
from enc.settings import Settings
from enc.web_server import hurried
from git_hooks.transport.backend import NO_BODY, Answer, Request, Service
from git_hooks.transport.body import BadBody, taken
from git_hooks.transport.reading import refusal
from git_hooks.transport.signin import NotSignedIn, SignedIn, SignIn

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SERVICES: tuple[Service, ...] = ("git-upload-pack", "git-receive-pack")
_CHALLENGE = ("WWW-Authenticate", 'Basic realm="puppetmaster", charset="UTF-8"')
_NO_CACHE = ("Cache-Control", "no-store")


class Refused(ToolkitError):
    """A request that is answered with a line; `status` is the HTTP status."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class Wanted(NamedTuple):
    """What a request asks for."""

    service: Service
    advertise: bool


def wanted(method: str, path: str, query: str, repository: str) -> Wanted:
    """Return what a request asks of the repository called `repository`; raise `Refused`."""
    prefix = f"/{repository}/"
    rest = path.removeprefix(prefix) if path.startswith(prefix) else ""
    for service in SERVICES:
        if rest == "info/refs" and query == f"service={service}":
            _only("GET", method)
            return Wanted(service, advertise=True)
        if rest == service and not query:
            _only("POST", method)
            return Wanted(service, advertise=False)
    if rest == "info/refs" and not query:
        raise Refused(403, "this repository speaks git's smart protocol only; use git 1.6.6 or later")
    raise Refused(404, f"nothing is here; the repository is at {prefix}")


def _only(right: str, method: str) -> None:
    if method != right:
        raise Refused(405, f"this address takes {right} only", (("Allow", right),))


class GitOverHttp:
    """The WSGI application (PEP 3333); several threads may use it."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; nothing is started."""
        self._settings = settings
        self._transport = settings.branches.transport
        self._name = settings.branches.repository.name
        self._sign_in = SignIn(settings)
        self._log = get("transport")

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        address = str(environ.get("REMOTE_ADDR", ""))
        try:
            request = self._request(environ, address)
            with ExitStack() as stack:
                with self._hurry(environ, request):
                    body, size = stack.enter_context(self._body(environ, request))
                answer = Answer(request, self._settings, body, size)
            self._log.info("%s: %s %s", address, request.person or "anonymous", _shown(request))
            start(answer.status, [*answer.headers])
        except (Refused, BadBody) as refused:
            headers = refused.headers if isinstance(refused, Refused) else ()
            return self._refuse(start, refused.status, refused.message, headers, address)
        except ToolkitError as error:
            self._log.error("%s: %s", address, error)
            return self._refuse(
                start, 503, "this does not work now; an operator finds the reason in the log", (), address
            )
        except Exception:  # the entry point of a request: one bug is one answer
            self._log.exception("%s: a bug stopped a request", address)
            return self._refuse(start, 500, "a bug stopped this; an operator finds it in the log", (), address)
        return answer

    def _request(self, environ: WSGIEnvironment, address: str) -> Request:
        method, path = str(environ["REQUEST_METHOD"]), str(environ.get("PATH_INFO", ""))
        service, advertise = wanted(method, path, str(environ.get("QUERY_STRING", "")), self._name)
        pushes = service == "git-receive-pack"
        signed_in = self._who(environ, address)
        reason = refusal(signed_in.person if signed_in else None, self._transport.read)
        if signed_in is None and (reason or pushes):
            raise Refused(401, reason or "sign in to push", (_CHALLENGE,))
        if reason:
            raise Refused(403, reason)
        if pushes and signed_in is not None and not signed_in.may_push:
            raise Refused(403, "this token is for reading only")
        protocol = str(environ.get("HTTP_GIT_PROTOCOL", ""))
        return Request(service, advertise, signed_in.name if signed_in else None, address, protocol)

    def _who(self, environ: WSGIEnvironment, address: str) -> SignedIn | None:
        header = str(environ.get("HTTP_AUTHORIZATION", ""))
        if not header:
            return None
        if environ.get("wsgi.url_scheme") != "https" and not _local(address):
            raise Refused(403, "passwords and tokens are taken over HTTPS only; change this one, it went in clear")
        found = self._sign_in.check(header, address)
        if isinstance(found, SignedIn):
            return found
        raise Refused(found.status, found.reason, _headers(found))

    def _body(self, environ: WSGIEnvironment, request: Request) -> AbstractContextManager[tuple[IO[bytes] | int, int]]:
        if request.advertise:
            return nullcontext((NO_BODY, 0))
        kind = str(environ.get("CONTENT_TYPE", ""))
        # Also what keeps a web page in somebody's browser from posting here: it cannot send this type.
        if kind != f"application/x-{request.service}-request":
            raise Refused(415, "this is not a request of git's smart protocol")
        announced = str(environ.get("CONTENT_LENGTH") or "")
        if announced and not (announced.isascii() and announced.isdigit() and len(announced) < 16):
            raise Refused(400, "Content-Length is no number")
        length = int(announced) if announced else None
        if length is None and not environ.get("wsgi.input_terminated"):
            raise Refused(411, "Content-Length is needed")
        encoding = str(environ.get("HTTP_CONTENT_ENCODING", "")).lower()
        return taken(environ["wsgi.input"], length, encoding, self._transport.upload_bytes)

    def _hurry(self, environ: WSGIEnvironment, request: Request) -> AbstractContextManager[None]:
        return hurried(environ, self._transport.silence) if request.person is None else nullcontext()

    def _refuse(
        self, start: StartResponse, status: int, reason: str, headers: tuple[tuple[str, str], ...], address: str
    ) -> list[bytes]:
        if status != 401 or "sign in" not in reason:  # git always asks first without a password
            self._log.info("%s: answered %s: %s", address, status, reason)
        text = f"{reason}\n".encode()
        kind = ("Content-Type", "text/plain; charset=utf-8")
        start(f"{status} {HTTPStatus(status).phrase}", [kind, ("Content-Length", str(len(text))), _NO_CACHE, *headers])
        return [text]


def _headers(found: NotSignedIn) -> tuple[tuple[str, str], ...]:
    if found.status == 401:
        return (_CHALLENGE,)
    return (("Retry-After", str(math.ceil(found.wait))),) if found.wait else ()


def _shown(request: Request) -> str:
    verb = "fetches" if request.service == "git-upload-pack" else "pushes"
    return f"{verb} (1 of 2)" if request.advertise else verb


def _local(address: str) -> bool:
    """Tell whether a client is on this machine; one behind a unix socket has no address, and is."""
    try:
        return not address or ip_address(address).is_loopback
    except ValueError:
        return False
