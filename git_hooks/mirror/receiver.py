"""The webhooks' address: a WSGI application that checks, and asks for a look.

It is mounted at one path (`/webhook`) of the service that also serves git. The
answer comes at once: 202 with the job's number. The log never has a header, a
body or, for Gerrit, the path.

Each genuine webhook about a branch leads to a look, however often it comes: a
look is harmless, and how often there is one is the business of jobs.py.

Answers: 202 taken (also for events that ask for nothing), 400 no JSON, 403 not
genuine, 404, 405, 411 no length, 413 too long, 503 no secret is configured or
it cannot be read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from enc import log
from enc.config import read_secret
from enc.errors import ConfigurationError
from enc.names import BranchName
from enc.settings import Settings
from enc.web_server import hurried
from git_hooks.mirror import forges

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH = "/webhook"
LONGEST = 25 << 20
"""Bytes of a body; GitHub sends no more."""


class Receiver:
    """The WSGI application (PEP 3333); several threads may use it."""

    def __init__(
        self, settings: Settings, ask: Callable[[BranchName | None], str], clock: Callable[[], float] = time.time
    ) -> None:
        """`ask` is told where to look and returns the job's number (`Jobs.add`)."""
        self._mirror = settings.branches.mirror
        self._silence = settings.branches.transport.silence
        self._ask = ask
        self._clock = clock
        self._log = log.get("mirror")

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one webhook."""
        try:
            status, said = self._answer(environ)
        except Exception:  # the entry point of a request: one bug is one answer
            self._log.exception("a bug stopped a webhook")
            status, said = 500, {"error": "a bug stopped this"}
        if status >= 400:
            self._log.warning("%s: a webhook was answered %d: %s", environ.get("REMOTE_ADDR"), status, said["error"])
        text = json.dumps(said).encode() + b"\n"
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        start(f"{status} {HTTPStatus(status).phrase}", headers)
        return [text]

    def _answer(self, environ: WSGIEnvironment) -> tuple[int, dict[str, Any]]:
        forge = self._mirror.forge
        path = str(environ.get("PATH_INFO", ""))
        if forge is None or not (path == PATH or (forge == "gerrit" and path.startswith(f"{PATH}/"))):
            return 404, {"error": "nothing is here"}
        if environ["REQUEST_METHOD"] != "POST":
            return 405, {"error": "webhooks are posted"}
        try:
            secret = read_secret(self._mirror.secret_file) if self._mirror.secret_file is not None else ""
        except ConfigurationError as error:
            self._log.error("%s", error)
            secret = ""
        if not secret:
            return 503, {"error": "no secret is configured, so nothing is taken"}
        length = str(environ.get("CONTENT_LENGTH") or "")
        if not (length.isascii() and length.isdigit() and len(length) < 12):
            return 411, {"error": "a Content-Length is needed"}
        if int(length) > LONGEST:
            return 413, {"error": f"a body has at most {LONGEST} bytes"}
        try:
            with hurried(environ, self._silence):
                body = environ["wsgi.input"].read(int(length))
        except OSError:
            return 400, {"error": "the request broke off"}
        delivery = forges.Delivery(_headers(environ), body, path.removeprefix(PATH))
        if len(body) != int(length) or not forges.genuine(forge, secret, delivery, self._clock()):
            off = forges.seconds_off(forge, secret, delivery, self._clock()) if len(body) == int(length) else None
            if off is not None:
                return 403, {"error": f"its time is {off} s off: it was kept back, or one of the two clocks is wrong"}
            return 403, {"error": "the signature or token is missing or wrong"}
        return self._taken(forge, delivery)

    def _taken(self, forge: forges.Forge, delivery: forges.Delivery) -> tuple[int, dict[str, Any]]:
        """Deal with a delivery that is the forge's."""
        try:
            look = forges.asked(forge, delivery)
        except ValueError as error:
            return 400, {"error": str(error)}
        if look is None:
            return 202, {"job": None, "why": "nothing to look at"}
        return 202, {"job": self._ask(look.branch)}


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    found = {
        name[5:].replace("_", "-").lower(): str(value) for name, value in environ.items() if name.startswith("HTTP_")
    }
    return found | {"content-type": str(environ.get("CONTENT_TYPE", ""))}
