"""GitLab.

Facts (contracts: webhooks of forges; docs.gitlab.com, Webhooks, Commits API; standardwebhooks.com):
- `webhook-signature: v1,BASE64 …`, HMAC-SHA256 of ID.TIMESTAMP.BODY (Standard Webhooks: a secret `whsec_BASE64`
  is decoded, and the time may be five minutes off), or the secret itself in `X-Gitlab-Token`. With a secret
  `whsec_…` only signatures are taken.
- POST /projects/OWNER%2FNAME/statuses/SHA {state, name, description}; a failure is `failed`
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote

from git_hooks.mirror.forges.forge import CONTEXT, CommitState, Delivery, Forge, Look, Status
from git_hooks.mirror.forges.reading import event, pushed, same
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import MirrorSettings

CLOCKS_APART = 300
"""Seconds by which a signed time may be off (Standard Webhooks)."""
_DECODED = "whsec_"


class GitLab(Forge):
    """gitlab.com, and GitLab of one's own."""

    def genuine(self, secret: str, delivery: Delivery, now: float) -> bool:
        """See Forge."""
        if "webhook-signature" not in delivery.headers:
            return not secret.startswith(_DECODED) and same(delivery.headers.get("x-gitlab-token", ""), secret)
        stamp = _stamp(delivery)
        return stamp is not None and abs(now - stamp) <= CLOCKS_APART and _is_signed(secret, delivery)

    def excuse(self, secret: str, delivery: Delivery, now: float) -> str:
        """See Forge."""
        stamp = _stamp(delivery)
        if stamp is None or not self.genuine(secret, delivery, stamp):
            return ""
        return f"its time is {abs(now - stamp):.0f} s off: it was delayed, or one of the two clocks is wrong"

    def asked(self, delivery: Delivery) -> Look | None:
        """See Forge."""
        match event(delivery, "x-gitlab-event"):
            case "push hook" | "system hook":
                return pushed(delivery)
        return None

    def status(
        self, mirror: MirrorSettings, commit: ObjectId, state: CommitState, text: str, token: str
    ) -> Status | None:
        """See Forge."""
        return Status(
            f"{mirror.api}/projects/{quote(mirror.project or '', safe='')}/statuses/{commit}",
            {"state": "failed" if state == "failure" else state, "name": CONTEXT, "description": text},
            {"PRIVATE-TOKEN": token},
        )


def _stamp(delivery: Delivery) -> int | None:
    """Return the time that is signed, in seconds since 1970."""
    stamp = delivery.headers.get("webhook-timestamp", "")
    return int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) < 12 else None


def _is_signed(secret: str, delivery: Delivery) -> bool:
    """Tell whether a signature is the secret's, whenever it was made."""
    headers = delivery.headers
    number, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not number:
        return False
    decoded = secret.startswith(_DECODED)
    try:
        key = base64.b64decode(secret.removeprefix(_DECODED), validate=True) if decoded else secret.encode()
    except binascii.Error:
        return False
    content = f"{number}.{stamp}.".encode("utf-8", "surrogateescape") + delivery.body
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(same(given, expected) for given in headers["webhook-signature"].split())


FORGE: Forge = GitLab()
