"""What the forges send: is it theirs, and where does it say that something moved. Pure.

A webhook is checked before anything of it is parsed, pings too, and which
forge it is from is a setting, not a guess: Gitea sends GitHub's headers too.
All comparisons take constant time. What an event says is a hint where to
look, never a state: nothing of it but a branch's name is used. So it may come
twice, late, or in another order, and no forge's number of a delivery is looked
at: GitHub's "Redeliver", and the retries of GitLab, have that of the first, and
GitLab gives one to all webhooks that follow from another one.

Facts (contracts: webhooks of forges):
- GitHub: `X-Hub-Signature-256: sha256=HEX`, HMAC-SHA256 of the raw body.
- Gitea `X-Gitea-Signature`, Forgejo `X-Forgejo-Signature`: HEX, the same.
- GitLab: `webhook-signature: v1,BASE64 …`, HMAC-SHA256 of ID.TIMESTAMP.BODY
  (Standard Webhooks: a secret `whsec_BASE64` is decoded, and the time may be
  five minutes off), or the secret itself in `X-Gitlab-Token`. With a secret
  `whsec_…` only signatures are taken.
- Gerrit signs nothing; the secret is the last part of the address.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

from enc.terms.errors import InvalidName
from enc.terms.names import BranchName

Forge = Literal["github", "gitea", "gitlab", "gerrit"]

CLOCKS_APART = 300
"""Seconds by which a signed time may be off (Standard Webhooks)."""

_EVENT = {"github": ("x-github-event",), "gitea": ("x-gitea-event", "x-forgejo-event"), "gitlab": ("x-gitlab-event",)}
_PUSHES = frozenset({"push", "create", "delete", "push hook", "system hook"})
_PING = "ping"
"""GitHub sends it when a webhook is made, and whenever somebody presses "Redeliver" on it."""


class Delivery(NamedTuple):
    """One webhook as it came in."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    path: str = ""
    """What follows the webhook's address."""


class Look(NamedTuple):
    """What a webhook asks for."""

    branch: BranchName | None = None
    """The branch that may have moved; None: any."""


def genuine(forge: Forge, secret: str, delivery: Delivery, now: float) -> bool:
    """Tell whether somebody who knows `secret` sent this; `now` in seconds since 1970. An empty secret is nobody's."""
    if not secret:
        return False
    headers = delivery.headers
    if forge == "gerrit":
        return _same(delivery.path.removeprefix("/"), secret)
    if forge == "gitlab":
        return _from_gitlab(secret, delivery, now)
    signature = hmac.new(secret.encode(), delivery.body, hashlib.sha256).hexdigest()
    if forge == "github":
        return _same(headers.get("x-hub-signature-256", ""), f"sha256={signature}")
    names = ("x-gitea-signature", "x-forgejo-signature")
    return any(_same(headers[name].lower(), signature) for name in names if name in headers)


def _from_gitlab(secret: str, delivery: Delivery, now: float) -> bool:
    headers = delivery.headers
    signed_only = secret.startswith("whsec_")
    if "webhook-signature" not in headers:
        return not signed_only and _same(headers.get("x-gitlab-token", ""), secret)
    number, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not number or not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        return False
    if abs(now - int(stamp)) > CLOCKS_APART:
        return False
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if signed_only else secret.encode()
    except binascii.Error:
        return False
    content = f"{number}.{stamp}.".encode("utf-8", "surrogateescape") + delivery.body
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(_same(given, expected) for given in headers["webhook-signature"].split())


def seconds_off(forge: Forge, secret: str, delivery: Delivery, now: float) -> int | None:
    """Return by how much the time of a delivery that is genuine otherwise is off; None: that is not what is wrong."""
    stamp = delivery.headers.get("webhook-timestamp", "")
    if forge != "gitlab" or not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        return None
    return round(abs(now - int(stamp))) if genuine(forge, secret, delivery, float(stamp)) else None


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def asked(forge: Forge, delivery: Delivery) -> Look | None:
    """Return where to look, None for events that move no branch; raise ValueError for what is no JSON object."""
    event = next((delivery.headers[n].lower() for n in _EVENT.get(forge, ()) if n in delivery.headers), "")
    if event == _PING:
        return Look()  # who tries a webhook wants to see it work
    if forge != "gerrit" and event not in _PUSHES:
        return None
    document = _document(delivery, optional=forge == "gerrit")
    ref = document.get("ref")
    if forge == "gerrit":
        update = document.get("refUpdate")
        ref = update.get("refName") if isinstance(update, dict) else document.get("refName")
        if document.get("type", "ref-updated") != "ref-updated":
            return None
    if not isinstance(ref, str):
        return Look()
    if document.get("ref_type") == "tag":
        return None  # GitHub's and Gitea's create and delete
    if ref.startswith("refs/") and not ref.startswith("refs/heads/"):
        return None  # a tag, or a change under review
    try:
        return Look(BranchName(ref.removeprefix("refs/heads/")))
    except InvalidName:
        return None  # none that becomes an environment


def _document(delivery: Delivery, *, optional: bool) -> dict[str, Any]:
    text = delivery.body
    if delivery.headers.get("content-type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        text = (parse_qs(text.decode("utf-8", "replace"), max_num_fields=8).get("payload") or [""])[0].encode()
    if optional and not text.strip():
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is no JSON") from error
    if isinstance(document, dict):
        return document
    raise ValueError("the body is no JSON object")
