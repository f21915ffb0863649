"""Gerrit, which signs nothing: the secret is the last part of the webhook's address.

Facts (contracts: webhooks of forges; gerrit-review.googlesource.com, config-hooks, plugins/webhooks):
- `ref-updated` has `refUpdate.refName`, from a hook of one's own perhaps `refName`, or no body at all.
- It has no commit statuses.
"""

from __future__ import annotations

from git_hooks.mirror.forges.forge import Delivery, Forge, Look
from git_hooks.mirror.forges.reading import content, document, moved, same


class Gerrit(Forge):
    """Gerrit Code Review."""

    secret_in_address = True

    def genuine(self, secret: str, delivery: Delivery, now: float) -> bool:
        """See Forge."""
        del now
        return same(delivery.path, secret)

    def asked(self, delivery: Delivery) -> Look | None:
        """See Forge."""
        if not content(delivery).strip():
            return Look()
        told = document(delivery)
        if told.get("type", "ref-updated") != "ref-updated":
            return None
        update = told.get("refUpdate")
        return moved(update.get("refName") if isinstance(update, dict) else told.get("refName"))


FORGE: Forge = Gerrit()
