"""Webhooks as the forges sign them."""

from __future__ import annotations

import base64
import hashlib
import hmac

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
    digest = hmac.new(key, f"{number}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
