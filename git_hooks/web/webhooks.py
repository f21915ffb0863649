"""The webhooks' address (`/webhook`) as a part of a site: takes a body, and answers as the receiver says.

Answers, in JSON: 202 taken (also for what was taken before, and for events that
ask for nothing), 400 no JSON or broken off, 403 not genuine, 404, 405, 411 no
length, 413 too long, 503 no secret is configured or it cannot be read. The log
never has a header, a body or, where it is a secret, the path.
"""

from __future__ import annotations

from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.exceptions import ServiceUnavailable

from enc.settings import Settings
from enc.web import part as forms
from enc.web.bodies import whole
from enc.web.origin import client_of, customer, networks
from enc.web.part import Part
from enc.web.shares import Room, Shares
from git_hooks.mirror.forges.forge import Delivery
from git_hooks.mirror.receiver import Receiver

PATH = "/webhook"
LONGEST = 25 << 20
"""Bytes of a body; GitHub sends no more."""
_TOGETHER = 8
"""Deliveries whose bodies are being taken at once; half of them may be of the largest kind. Anybody may send some,
and only a whole one shows whether it is the forge's. A forge sends one that got 429 anew, or is asked all the same."""
_HURRY = 20.0
"""Seconds for a body. GitHub gives up after ten."""


def webhooks(settings: Settings, receiver: Receiver) -> Part:
    """Return the address of the webhooks that `receiver` judges."""
    blueprint = Blueprint("webhooks", __name__)
    shares = Shares(_TOGETHER)
    room = Room(_TOGETHER * LONGEST // 2, LONGEST)
    hurry = min(settings.branches.transport.silence, _HURRY)
    proxies = networks(settings.branches.transport.proxies)

    def take(secret: str = "") -> tuple[Response, int]:
        expected = receiver.secret()
        if not expected:
            raise ServiceUnavailable("no secret is configured, so no webhook is accepted")
        address = client_of(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""), proxies)
        who = customer(address, proxies) or f"connection {id(request.environ)}"  # of a proxy, each by itself
        with shares.one("all"), room.of(who) as take_room:
            take_room(min(request.content_length or 0, LONGEST))
            body = whole(LONGEST, hurry)
        headers = {name.lower(): value for name, value in request.headers}
        status, said = receiver.take(expected, Delivery(headers, body, secret))
        if status >= 400:
            abort(status, said["error"])
        return jsonify(said), status

    blueprint.add_url_rule("", view_func=take, methods=["POST"])
    if receiver.secret_in_address:
        blueprint.add_url_rule("/<anything:secret>", view_func=take, methods=["POST"])
    return Part(blueprint, log="mirror", form=forms.json, at=PATH)
