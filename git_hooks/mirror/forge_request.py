"""One request to a forge's API: sent to the configured address and nowhere else, with a bounded time for the answer.

Redirects are not followed, for the token would go there, too. Proxies come from the environment, as for urllib.

Failure mode: `NoAnswer`, with what the forge says about it.
"""

from __future__ import annotations

from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib import request
from urllib.error import HTTPError

from enc.programs.https import ended_after
from enc.programs.machine_trouble import said
from enc.terms.errors import ToolkitError, bounded


class NoAnswer(ToolkitError):
    """The forge did not answer, or not well."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered
        """Whether it said anything at all."""


class _NoRedirects(request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Http(HTTPConnection):
    """Keeps its socket in sight, which urllib lets go of as soon as the head of an answer has come."""

    opened: Any = None

    def connect(self) -> None:
        super().connect()
        self.opened = self.sock


class _Https(HTTPSConnection):
    opened: Any = None

    def connect(self) -> None:
        super().connect()
        self.opened = self.sock


class _Noted(request.HTTPHandler, request.HTTPSHandler):
    """Opens connections as urllib does (through a proxy, if there is one), and knows the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._last: _Http | _Https | None = None

    def http_open(self, asking: request.Request) -> HTTPResponse:
        return self.do_open(partial(self._note, _Http), asking)

    def https_open(self, asking: request.Request) -> HTTPResponse:
        return self.do_open(partial(self._note, _Https), asking)

    def opened(self) -> Any:
        return None if self._last is None else self._last.opened

    def _note(self, kind: type[_Http | _Https], host: str, **given: Any) -> HTTPConnection:
        self._last = kind(host, **given)
        return self._last


def answer(asking: request.Request, patience: float, limit: int) -> bytes:
    """Send a request, and return the first `limit` bytes of what comes within `patience` seconds."""
    noted = _Noted()
    opener = request.build_opener(_NoRedirects, noted)
    with ended_after(patience, noted.opened) as late:
        try:
            with opener.open(asking, timeout=patience) as response:
                content: bytes = response.read(limit)
        except (OSError, HTTPException) as error:
            why = f"no answer within {patience:g} s" if late.is_set() else f"{said(error)}{_explained(error)}"
            raise NoAnswer(why, answered=isinstance(error, HTTPError)) from error
    if late.is_set():
        raise NoAnswer(f"no complete answer within {patience:g} s", answered=False)
    return content


def _explained(error: Exception) -> str:
    """Return what the forge says beside the status of its answer; it is JSON with a message, as a rule."""
    if not isinstance(error, HTTPError):
        return ""
    try:
        words = " ".join(error.read(1 << 14).decode("utf-8", "replace").split())
    except (OSError, HTTPException):
        return ""
    return f": {bounded(words, 2000)}" if words else ""
