"""How what goes wrong with a request is answered, whichever part of a site it is for.

A part refuses by raising one of Werkzeug's exceptions with a line for the
client (`Forbidden("this token is for reading only")`). An expected error is
answered with the status that its part has for it; one that it has none for is
the operator's business: 503, and the client learns nothing of it. Anything else is a bug:
500, and the traceback in the log.

The log gets the client's address, the status and the line. Never a header, a
query, a body or a path: they can hold a password.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, Unauthorized

from enc.programs import log
from enc.terms.errors import ToolkitError, one_line
from enc.web.part import Part

_AWAY = "this does not work at the moment; an operator finds the reason in the log"
_BUG = "a bug stopped this; an operator finds it in the log"


class SignInFirst(Unauthorized):
    """Nobody has signed in so far. Programs begin like this, so the log does not hear of it."""


def answer_errors(site: Flask, parts: Sequence[Part]) -> None:
    """Let `site`, of these `parts`, answer in their forms whatever goes wrong; one of them stands at the root."""

    def refused(error: HTTPException) -> Response:
        part = _concerned(parts)
        line = one_line(_line(error, part))
        status = error.code or 500
        level = logging.DEBUG if isinstance(error, SignInFirst) else logging.WARNING
        log.get(part.log).log(level, "%s: answered %d: %s", request.remote_addr, status, line)
        return _written(part, status, line, error.get_headers())

    def expected(error: ToolkitError) -> Response:
        part = _concerned(parts)
        status = next((status for kind, status in part.statuses.items() if isinstance(error, kind)), 503)
        told = status < 500
        level = logging.WARNING if told else logging.ERROR
        log.get(part.log).log(level, "%s: answered %d: %s", request.remote_addr, status, error)
        return _written(part, status, str(error) if told else _AWAY)

    def bug(_: Exception) -> Response:
        part = _concerned(parts)
        log.get(part.log).exception("%s: a bug stopped a request", request.remote_addr)
        return _written(part, 500, _BUG)

    site.register_error_handler(HTTPException, refused)
    site.register_error_handler(ToolkitError, expected)
    site.register_error_handler(Exception, bug)


def _concerned(parts: Sequence[Part]) -> Part:
    """Return the part that a request is for; by its path, for where there is nothing, no blueprint was found either."""
    return max((part for part in parts if part.has(request.path)), key=lambda part: len(part.at))


def _line(error: HTTPException, part: Part) -> str:
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return part.nothing
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        return f"this address accepts only {', '.join(sorted(error.valid_methods))}"
    if error.description is None or error.description == type(error).description:
        return error.name  # Werkzeug's own words are for browsers, and long
    return error.description


def _written(part: Part, status: int, line: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    response = part.form(line)
    response.status_code = status
    response.headers.extend((name, value) for name, value in headers if name != "Content-Type")
    if status == 401 and part.challenge is not None:
        response.headers["WWW-Authenticate"] = part.challenge
    response.cache_control.no_store = True
    return response
