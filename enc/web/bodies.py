"""The body of a request, whole and in memory: for short ones, whose length is announced.

Not here: git's bodies, which are long and come in chunks (git_hooks/web/body.py).
"""

from __future__ import annotations

from contextlib import nullcontext

from flask import request
from werkzeug.exceptions import BadRequest, LengthRequired, RequestEntityTooLarge

from enc.web.server import BROKEN_OFF, hurried


def whole(longest: int, hurry: float | None = None) -> bytes:
    """Return the body of this request, of at most `longest` bytes.

    A client that nobody knows has `hurry` seconds to send it. Raise
    `LengthRequired`, `RequestEntityTooLarge`, or `BadRequest` if it breaks off.
    """
    # WSGI may show a missing one as an empty text, which Werkzeug takes for 0. gunicorn refuses what is no number.
    length = request.content_length if request.environ.get("CONTENT_LENGTH") else None
    if length is None:
        raise LengthRequired("a Content-Length is needed")
    if length > longest:
        raise RequestEntityTooLarge(f"a body may have at most {longest} bytes")
    try:
        with nullcontext() if hurry is None else hurried(request.environ, hurry):
            body = request.get_data()
    except BROKEN_OFF as error:
        raise BadRequest("the request broke off") from error
    if len(body) != length:
        raise BadRequest("the request broke off")
    return body
