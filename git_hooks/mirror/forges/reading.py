"""What several forges have in common: secrets that are compared, signatures, JSON in a body, names of refs. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs

from enc.terms.errors import InvalidName
from enc.terms.names import HEADS, BranchName
from git_hooks.mirror.forges.forge import Delivery, Look

_FORM = "application/x-www-form-urlencoded"


def same(given: str, expected: str) -> bool:
    """Tell whether two texts are the same, in a time that does not say how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def signature(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of `body` in hexadecimal digits."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event(delivery: Delivery, *headers: str) -> str:
    """Return what the first of `headers` that is there says, in lower case; empty if none is."""
    return next((delivery.headers[name].lower() for name in headers if name in delivery.headers), "")


def content(delivery: Delivery) -> bytes:
    """Return the body, or of a form its field `payload`; raise ValueError, with words."""
    if delivery.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return delivery.body
    fields = parse_qs(delivery.body.decode("utf-8", "replace"), max_num_fields=8)
    return fields.get("payload", [""])[0].encode()


def document(delivery: Delivery) -> dict[str, Any]:
    """Return the JSON object that a webhook brings; raise ValueError, with words."""
    try:
        found = json.loads(content(delivery))
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is not JSON") from error
    if isinstance(found, dict):
        return found
    raise ValueError("the body is not a JSON object")


def moved(ref: object) -> Look | None:
    """Return where to look if this ref (or branch, as some events have it) moved; everywhere if it is no text."""
    if not isinstance(ref, str):
        return Look()
    if ref.startswith("refs/") and not ref.startswith(HEADS):
        return None  # a tag, or a change under review
    try:
        return Look(BranchName(ref.removeprefix(HEADS)))
    except InvalidName:
        return None  # none that becomes an environment


def pushed(delivery: Delivery) -> Look | None:
    """Return where a push event says to look, or one that makes or removes a ref, as GitHub has them."""
    told = document(delivery)
    return None if told.get("ref_type") == "tag" else moved(told.get("ref"))
