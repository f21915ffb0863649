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
from enc.web.part import Part
from git_hooks.mirror.forges.forge import Delivery
from git_hooks.mirror.receiver import Receiver

PATH = "/webhook"
LONGEST = 25 << 20
"""Bytes of a body; GitHub sends no more."""


def webhooks(settings: Settings, receiver: Receiver) -> Part:
    """Return the address of the webhooks that `receiver` judges."""
    blueprint = Blueprint("webhooks", __name__)

    def take(secret: str = "") -> tuple[Response, int]:
        expected = receiver.secret()
        if not expected:
            raise ServiceUnavailable("no secret is configured, so nothing is taken")
        body = whole(LONGEST, hurry=settings.branches.transport.silence)
        headers = {name.lower(): value for name, value in request.headers}
        status, said = receiver.take(expected, Delivery(headers, body, secret))
        if status >= 400:
            abort(status, said["error"])
        return jsonify(said), status

    blueprint.add_url_rule("", view_func=take, methods=["POST"])
    if receiver.secret_in_address:
        blueprint.add_url_rule("/<anything:secret>", view_func=take, methods=["POST"])
    return Part(blueprint, log="mirror", form=forms.json, at=PATH)
