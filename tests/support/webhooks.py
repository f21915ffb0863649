"""Webhooks as the forges sign them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple

NOW = 1_700_000_000.0


def github(secret: str, body: bytes, number: str, event: str = "push") -> dict[str, str]:
    """The WSGI variables of GitHub's headers."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "HTTP_X_HUB_SIGNATURE_256": f"sha256={signature}",
        "HTTP_X_GITHUB_EVENT": event,
        "HTTP_X_GITHUB_DELIVERY": number,
        "CONTENT_TYPE": "application/json",
    }


def gitlab_signature(secret: str, number: str, at: int, body: bytes) -> str:
    """The header webhook-signature."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    content = f"{number}.{at}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


class Sent(NamedTuple):
    """A webhook as a forge sends it."""

    headers: dict[str, str]
    body: bytes
    address: str = "/webhook"


def _github(secret: str, body: bytes, event: str, at: int) -> Sent:
    del at
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return Sent({"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": event}, body)


def _gitea(secret: str, body: bytes, event: str, at: int) -> Sent:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    imitated = _github("another", body, "ping", at).headers
    return Sent(imitated | {"X-Gitea-Signature": signature, "X-Gitea-Event": event}, body)


def _gitlab(secret: str, body: bytes, event: str, at: int) -> Sent:
    signed = {"webhook-id": "m1", "webhook-timestamp": f"{at}"}
    signed["webhook-signature"] = gitlab_signature(secret, "m1", at, body)
    return Sent(signed | {"X-Gitlab-Event": event}, body)


def _gerrit(secret: str, body: bytes, event: str, at: int) -> Sent:
    del event, at  # the first stands in the body
    return Sent({}, body, f"/webhook/{secret}")


class Sender(NamedTuple):
    """How a forge sends its webhooks: what every forge in the table must have here, to be held to its contract."""

    send: Callable[[str, bytes, str, int], Sent]
    """Secret, body, event, and now in seconds since 1970 → what is sent."""
    event: str
    """That a branch moved."""
    moved: str
    """A body that says so of the branch BRANCH, a word within a JSON text."""
    other: tuple[str, str]
    """An event that is about no branch, and its body."""


SENDERS = {
    "github": Sender(_github, "push", '{"ref": "refs/heads/BRANCH"}', ("issues", "{}")),
    "gitea": Sender(_gitea, "push", '{"ref": "refs/heads/BRANCH"}', ("issues", "{}")),
    "gitlab": Sender(_gitlab, "Push Hook", '{"ref": "refs/heads/BRANCH"}', ("Job Hook", "{}")),
    "gerrit": Sender(
        _gerrit,
        "",
        '{"type": "ref-updated", "refUpdate": {"refName": "refs/heads/BRANCH"}}',
        ("", '{"type": "comment-added"}'),
    ),
}
