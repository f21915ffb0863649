"""Git over HTTP: git's smart protocol on one repository, as a part of a site.

Owns: which requests there are (three addresses, the dumb protocol is none of
them), who may make them, and what is answered. The repository's address is
`/NAME/`, NAME being the last part of `branches.repository`.

Passwords are taken only over HTTPS, or from this machine (where a proxy speaks
TLS). The log names person, service, outcome; no header and no query ever.

Failure modes: each is an HTTP status with one line of text, which git shows
behind `remote:` (enc/web/errors.py).
"""

from __future__ import annotations

import math
import re
from contextlib import AbstractContextManager, ExitStack, nullcontext
from ipaddress import ip_address
from typing import NoReturn

from flask import Blueprint, Response, abort, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import Forbidden, NotFound, Unauthorized, UnsupportedMediaType
from werkzeug.routing import BaseConverter

from enc.programs.log import get
from enc.settings import Settings, TransportSettings
from enc.web import part as forms
from enc.web.errors import SignInFirst
from enc.web.origin import client_of, customer, networks
from enc.web.part import Part
from enc.web.server import hurried
from enc.web.shares import Room, Shares
from git_hooks.push import policy
from git_hooks.transport.backend import NO_BODY, Answer, Request, Service
from git_hooks.transport.reading import refusal
from git_hooks.transport.signin import ASKED, NotSignedIn, SignedIn, SignIn
from git_hooks.web.body import taken

SERVICES: tuple[Service, ...] = ("git-upload-pack", "git-receive-pack")
_ASKING = 16 << 20
"""The largest body of a fetch: a line of 50 bytes for each commit that is wanted or there already."""
_CHALLENGE = 'Basic realm="puppetmaster", charset="UTF-8"'


def repository(settings: Settings) -> Part:
    """Return the repository as the part at the root of a site."""
    name = settings.branches.repository.name
    served = _Repository(settings)
    blueprint = Blueprint("repository", __name__)

    class Name(BaseConverter):
        regex = re.escape(name)  # and not as text in the rules, where `<` means something

    @blueprint.record_once
    def know_name(state: BlueprintSetupState) -> None:
        state.app.url_map.converters["repository"] = Name

    @blueprint.url_value_preprocessor
    def drop_name(_: str | None, values: dict[str, str] | None) -> None:
        (values or {}).pop("name", None)

    @blueprint.get("/<repository:name>/info/refs")
    def advertise() -> Response:
        for service in SERVICES:
            if request.query_string == f"service={service}".encode():
                return served.advertise(service)
        if not request.query_string:
            raise Forbidden("this repository speaks only git's smart protocol; use git 1.6.6 or later")
        raise NotFound

    @blueprint.post("/<repository:name>/git-upload-pack")
    def fetch() -> Response:
        return served.serve("git-upload-pack")

    @blueprint.post("/<repository:name>/git-receive-pack")
    def push() -> Response:
        return served.serve("git-receive-pack")

    nothing = f"nothing is here; the repository is at /{name}/"
    return Part(blueprint, log="transport", form=forms.text, nothing=nothing, challenge=_CHALLENGE)


class _Repository:
    """Answers the requests of git's smart protocol; several threads may use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transport = settings.branches.transport
        self._sign_in = SignIn(settings)
        self._proxies = networks(self._transport.proxies)
        transport = self._transport
        self._shares = Shares(requests_each(transport))
        self._strangers = Shares(max(1, transport.threads // 2))
        self._room = Room(max(transport.spool_bytes, transport.upload_bytes), transport.upload_bytes)
        self._log = get("transport")

    def advertise(self, service: Service) -> Response:
        """Answer the first request of two: what there is."""
        asked = self._allowed(service, advertise=True)
        with ExitStack() as held:
            held.enter_context(self._share(asked))
            return self._answered(Answer(asked, self._settings, NO_BODY, 0), held)

    def serve(self, service: Service) -> Response:
        """Answer the second request of two: objects go one way or the other."""
        if request.query_string:
            raise NotFound
        asked = self._allowed(service, advertise=False)
        # Also what keeps a web page in somebody's browser from posting here: it cannot send this type.
        if request.content_type != f"application/x-{service}-request":
            raise UnsupportedMediaType("this is not a request in git's smart protocol")
        encoding = request.headers.get("Content-Encoding", "").lower()
        limit = self._transport.upload_bytes
        if service == "git-upload-pack":
            limit = min(limit, _ASKING)
        with ExitStack() as held:
            held.enter_context(self._share(asked))
            room = held.enter_context(self._room.of(_who(asked)))
            with hurried(request.environ, self._transport.silence) if asked.person is None else nullcontext():
                body, size = held.enter_context(taken(request.stream, request.content_length, encoding, limit, room))
            return self._answered(Answer(asked, self._settings, body, size), held)

    def _answered(self, answer: Answer, held: ExitStack) -> Response:
        """Return git's answer; what is `held` for it is given back when it has been sent, and git has ended."""
        asked = answer.request
        verb = "fetches" if asked.service == "git-upload-pack" else "pushes"
        part = " (1 of 2)" if asked.advertise else ""
        self._log.info("%s: %s %s%s", asked.address, asked.person or "anonymous", verb, part)
        # Closed by the server, also if the client goes away.
        response = Response(answer, status=answer.status, headers=answer.headers)
        response.call_on_close(held.pop_all().close)
        return response

    def _share(self, asked: Request) -> AbstractContextManager[None]:
        """Return what counts a request; strangers behind a proxy on this machine cannot be told from each other."""
        strange = asked.person is None and not customer(asked.address)
        return self._strangers.one("all") if strange else self._shares.one(_who(asked))

    def _allowed(self, service: Service, *, advertise: bool) -> Request:
        address = client_of(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""), self._proxies)
        pushes = service == "git-receive-pack"
        signed_in = self._who(address)
        reason = refusal(signed_in.person if signed_in else None, self._transport.read)
        if signed_in is None and (reason or pushes):
            raise SignInFirst(reason or "sign in to push")
        if reason:
            raise Forbidden(reason)
        if pushes and signed_in is not None and not signed_in.may_push:
            raise Forbidden("this token may only read")
        if pushes and signed_in is not None and (reason := policy.nothing(signed_in.person)):
            raise Forbidden(reason)
        protocol = request.headers.get("Git-Protocol", "")
        return Request(service, advertise, signed_in.name if signed_in else None, address, protocol)

    def _who(self, address: str) -> SignedIn | None:
        # As it was sent: Werkzeug's reading of it (request.authorization) fails for what is not ASCII.
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        if not request.is_secure and not _local(request.remote_addr or ""):
            raise Forbidden(
                "passwords and tokens are accepted over HTTPS only; this one was sent unencrypted: change it now"
            )
        found = self._sign_in.check(header, address)
        return found if isinstance(found, SignedIn) else _refuse(found)


def requests_each(transport: TransportSettings) -> int:
    """Return how many requests one may have at once: as configured, and never more than a quarter of all."""
    return max(1, min(transport.requests_each, transport.threads // 4))


def _who(asked: Request) -> str:
    """Return what a request counts for; people's names are no addresses."""
    return f"person {asked.person.lower()}" if asked.person is not None else f"address {customer(asked.address)}"


def _refuse(found: NotSignedIn) -> NoReturn:
    if found == ASKED:
        raise SignInFirst(found.reason)
    if found.status == 401:
        raise Unauthorized(found.reason)
    abort(found.status, found.reason, retry_after=math.ceil(found.wait) or None)


def _local(address: str) -> bool:
    """Tell whether a client is on this machine; one behind a unix socket has no address, and is."""
    try:
        return not address or ip_address(address).is_loopback
    except ValueError:
        return False
