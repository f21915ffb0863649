"""Nova's dynamic vendordata: Nova posts what it starts, and gets what the instance shall do first.

A WSGI application (PEP 3333) at `/`. Nova's token is looked at before the body
is: Keystone must know it, and its user must have `openstack.caller_role`. The
answer is a JSON text, which cloud-init takes as vendor data if Nova knows us
under the name `cloud-init` (docs/openstack.md), or `{}`: nothing is to be done,
because the instance has its certificate. Nova asks at every boot and more
often, so asking twice changes nothing.

Answers: 200; 400 no request of Nova's, or a hostile name; 401 no token that
Keystone knows; 403 the wrong user, or a project that is none of ours; 404,
405, 411, 413; 409 the name belongs to another server; 503 LDAP, a CA or
Keystone cannot be asked now. With any but 200, Nova starts the instance
without us, or not at all (`vendordata_dynamic_failure_fatal`).

Not here: making instances (`Allotment`), the connection to OpenStack (client.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

from enc import log
from enc.cloud import nova
from enc.cloud.client import Caller
from enc.errors import Conflict, InvalidName, NotAllowed, NotFound, ToolkitError
from enc.names import ProjectName
from enc.settings import OpenStackSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIEnvironment

LONGEST = 1 << 20
"""Bytes of a body: Nova adds the user data, of which it takes 64 KB."""
_TOKEN = 8192
"""Characters of a token that are shown to Keystone."""


class Keystone(Protocol):
    """What is asked of Keystone (`client.Cloud`)."""

    def caller(self, token: str) -> Caller | None:
        """Return whose token this is, None if it is no (longer a) token."""

    def project_name(self, project_id: str) -> str:
        """Return the name of a project; raise `NotFound`."""


class Server(NamedTuple):
    """A server that starts, in our words."""

    instance_id: str
    name: str
    """Short, as in instances.name."""
    project: ProjectName


Allotment = Callable[[Server], str | None]
"""Makes the instance if there is none, and returns its vendor data while it waits for its certificate, else None.

Raises `Conflict` if the name is another server's.
"""


class _Refused(ToolkitError):
    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class Vendordata:
    """The WSGI application; several threads may use it."""

    def __init__(self, settings: OpenStackSettings, keystone: Keystone, allot: Allotment) -> None:
        """Take what to ask; nothing is asked yet."""
        self._settings = settings
        self._keystone = keystone
        self._allot = allot
        self._log = log.get("vendordata")

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request of Nova's."""
        address = str(environ.get("REMOTE_ADDR", ""))
        headers: tuple[tuple[str, str], ...] = ()
        said: object
        try:
            status, said = 200, self._answer(environ, address)
        except ToolkitError as error:
            status, headers = _status_of(error), error.headers if isinstance(error, _Refused) else ()
            said = {
                "error": str(error)
                if status < 500
                else "this does not work now; an operator finds the reason in the log"
            }
            self._log.warning("%s: answered %d: %s", address, status, error)
        except Exception:  # the entry point of a request: one bug is one answer
            self._log.exception("%s: a bug stopped a request", address)
            status, said = 500, {"error": "a bug stopped this; an operator finds it in the log"}
        text = json.dumps(said).encode() + b"\n"
        kind = ("Content-Type", "application/json")
        no_cache = ("Cache-Control", "no-store")  # it may hold a token
        start(f"{status} {HTTPStatus(status).phrase}", [kind, ("Content-Length", str(len(text))), no_cache, *headers])
        return [text]

    def _answer(self, environ: WSGIEnvironment, address: str) -> object:
        path, method = str(environ.get("PATH_INFO", "")), environ["REQUEST_METHOD"]
        if path == "/healthz":
            return {}
        if path not in ("", "/"):
            raise _Refused(404, "nothing is here; Nova asks at /")
        if method != "POST":
            raise _Refused(405, "Nova posts here", (("Allow", "POST"),))
        caller = self._caller(str(environ.get("HTTP_X_AUTH_TOKEN", "")))
        starting = nova.read(_body(environ["wsgi.input"], str(environ.get("CONTENT_LENGTH") or "")))
        project = nova.project_of(starting.project_id, self._settings.projects, self._keystone.project_name)
        answer = self._allot(Server(starting.instance_id, starting.name, project))
        what = "nothing to do" if answer is None else "vendor data with its token"
        self._log.info(
            "%s: %s (%s of %s, for %s): %s",
            address,
            starting.instance_id,
            starting.name,
            project,
            caller.user_name,
            what,
        )
        return {} if answer is None else answer

    def _caller(self, token: str) -> Caller:
        challenge = (("WWW-Authenticate", "Keystone"),)
        if not token:
            raise _Refused(401, "a token of Keystone's is needed (X-Auth-Token)", challenge)
        if len(token) > _TOKEN or not (token.isascii() and token.isprintable()):
            raise _Refused(401, "this is no token of Keystone's", challenge)
        caller = self._keystone.caller(token)
        if caller is None:
            raise _Refused(401, "Keystone does not know this token (any more)", challenge)
        users, role = self._settings.caller_users, self._settings.caller_role
        if role not in caller.roles:
            raise _Refused(403, f"{caller.user_name} has no role {role} (openstack.caller_role)")
        if users and caller.user_name not in users and caller.user_id not in users:
            raise _Refused(403, f"{caller.user_name} is not among openstack.caller_users")
        return caller


def _status_of(error: ToolkitError) -> int:
    """Return the HTTP status that says what `error` says."""
    if isinstance(error, _Refused):
        return error.status
    if isinstance(error, nova.BadRequest | InvalidName):
        return 400
    if isinstance(error, NotAllowed | NotFound):
        return 403
    return 409 if isinstance(error, Conflict) else 503


def _body(source: InputStream, announced: str) -> bytes:
    if not (announced.isascii() and announced.isdigit() and len(announced) < 12):
        raise _Refused(411, "a Content-Length is needed")
    if int(announced) > LONGEST:
        raise _Refused(413, f"a body has at most {LONGEST} bytes")
    body = source.read(int(announced))
    if len(body) != int(announced):
        raise _Refused(400, "the request broke off")
    return body
