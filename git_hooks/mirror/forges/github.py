"""GitHub, and what speaks as it does.

Facts (contracts: webhooks of forges; docs.github.com, Validating webhook deliveries, Commit statuses):
- `X-Hub-Signature-256: sha256=HEX`, HMAC-SHA256 of the raw body.
- A ping comes when a webhook is made, and whenever somebody presses "Redeliver" on it.
- POST /repos/OWNER/NAME/statuses/SHA {state, context, description}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from git_hooks.mirror.forges.forge import CONTEXT, CommitState, Delivery, Forge, Look, Status
from git_hooks.mirror.forges.reading import event, pushed, same, signature
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import MirrorSettings


class GitHub(Forge):
    """github.com, and GitHub Enterprise."""

    def genuine(self, secret: str, delivery: Delivery, now: float) -> bool:
        """See Forge."""
        del now
        return same(delivery.headers.get("x-hub-signature-256", ""), f"sha256={signature(secret, delivery.body)}")

    def asked(self, delivery: Delivery) -> Look | None:
        """See Forge."""
        match event(delivery, "x-github-event"):
            case "ping":
                return Look()  # who tries a webhook wants to see it work
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
            {"Authorization": f"Bearer {token}"},
        )


FORGE: Forge = GitHub()
