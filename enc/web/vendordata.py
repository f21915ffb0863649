"""`enc-admin vendordata serve`: what Nova asks, over HTTP.

Owns the address (`/`), the sizes and the statuses: 200; 400 no request of
Nova's, or a hostile name; 401 no token that Keystone knows; 403 the wrong user,
or a project that is none of ours; 404, 405, 411, 413; 409 the name belongs to
another server; 503 LDAP, a CA or Keystone cannot be asked now. With any but
200, Nova starts the instance without us, or not at all
(`vendordata_dynamic_failure_fatal`). What is answered is decided in
enc/cloud/vendordata.py.

Failure modes of `serve`: `ConfigurationError` for settings that cannot work,
before anything is served.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, jsonify, request

from enc.cloud import nova
from enc.cloud.allotment import Allotter
from enc.cloud.client import Cloud
from enc.cloud.vendordata import NotSignedIn, Vendordata
from enc.settings import Settings
from enc.terms.errors import ConfigurationError, Conflict, InvalidName, NotAllowed, NotFound
from enc.web import part as forms
from enc.web import server as web_server
from enc.web.bodies import whole
from enc.web.front import Bounds
from enc.web.part import Part
from enc.web.site import assemble

LONGEST = 1 << 20
"""Bytes of a body: Nova adds the user data, of which it takes 64 KB."""
_THREADS = 16
"""Requests that are served at once: Nova sends one for each server that starts."""
_EACH = 12
"""Of them, those of one address: Nova may be a single machine."""
_HURRY = 20.0
"""Seconds for a body, which Nova has at hand."""
_STATUSES = {
    NotSignedIn: 401,
    nova.BadRequest: 400,
    InvalidName: 400,
    NotAllowed: 403,
    NotFound: 403,
    Conflict: 409,
}


def create_vendordata(asked: Vendordata) -> Flask:
    """Return the application that answers Nova as `asked` decides."""
    blueprint = Blueprint("vendordata", __name__)

    @blueprint.post("/")
    def answer() -> Response:
        address = request.remote_addr or ""
        caller = asked.caller(request.headers.get("X-Auth-Token", ""))  # before the body is looked at
        response = jsonify(asked.answer(caller, whole(LONGEST, _HURRY), address))
        response.cache_control.no_store = True  # it may hold a token
        return response

    @blueprint.route("/healthz", methods=["GET", "HEAD", "OPTIONS"])
    def healthy() -> Response:
        return jsonify({})

    nothing = "nothing is here; Nova asks at /"
    part = Part(blueprint, log="vendordata", form=forms.json, nothing=nothing, challenge="Keystone", statuses=_STATUSES)
    return assemble([part])


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    given = settings.openstack
    if given.certificate_file is None and not web_server.is_local(given.listen):
        raise ConfigurationError(
            "without a certificate, tokens would cross the network unencrypted: set certificate_file and key_file, "
            "or listen on 127.0.0.1 behind a proxy that speaks TLS",
            where="openstack.listen",
        )
    _site(settings)  # what is wrong is told here, and not by each worker that cannot begin
    options = web_server.options("puppetmaster-vendordata", given.listen, _THREADS, Bounds(each=_EACH))
    files = {"certfile": given.certificate_file, "keyfile": given.key_file}
    web_server.run(lambda: _site(settings), options | {name: str(file) for name, file in files.items() if file})


def _site(settings: Settings) -> Flask:
    return create_vendordata(Vendordata(settings.openstack, Cloud(settings.openstack), Allotter(settings)))
