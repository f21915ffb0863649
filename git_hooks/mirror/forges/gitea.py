"""Gitea and Forgejo. They send GitHub's headers, too, which do not count here.

Facts (contracts: webhooks of forges; docs.gitea.com, Webhooks; forgejo.org, Webhooks):
- `X-Gitea-Signature: HEX`, `X-Forgejo-Signature: HEX`, HMAC-SHA256 of the raw body.
- POST /repos/OWNER/NAME/statuses/SHA below /api/v1, with their own form of the token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from git_hooks.mirror.forges.forge import CONTEXT, CommitState, Delivery, Forge, Look, Status
from git_hooks.mirror.forges.reading import event, pushed, same, signature
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import MirrorSettings

_SIGNATURES = ("x-gitea-signature", "x-forgejo-signature")


class Gitea(Forge):
    """Gitea, and its descendants."""

    def genuine(self, secret: str, delivery: Delivery, now: float) -> bool:
        """See Forge."""
        del now
        expected = signature(secret, delivery.body)
        return any(same(delivery.headers.get(name, "").lower(), expected) for name in _SIGNATURES)

    def asked(self, delivery: Delivery) -> Look | None:
        """See Forge."""
        match event(delivery, "x-gitea-event", "x-forgejo-event"):
            case "ping":
                return Look()
            case "push" | "create" | "delete":
                return pushed(delivery)
        return None

    def status(
        self, mirror: MirrorSettings, commit: ObjectId, state: CommitState, text: str, token: str
    ) -> Status | None:
        """See Forge."""
        return Status(
            f"{mirror.api}/repos/{mirror.project}/statuses/{commit}",
            {"state": state, "context": CONTEXT, "description": text},
            {"Authorization": f"token {token}"},
        )


FORGE: Forge = Gitea()
