"""A forge that nobody knows: it signs in base64, has its own words for everything, and shares no code with another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from enc.settings import MirrorSettings
from enc.terms.names import BranchName
from git_hooks.mirror.forges.forge import CommitState, Delivery, Forge, Look, Status
from git_hooks.mirror.forges.reading import same
from git_hooks.repository.refs import ObjectId


def sign(secret: str, body: bytes) -> str:
    """Return the header x-hut-proof."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha512).digest()).decode()


class Hut(Forge):
    """The invented forge."""

    def genuine(self, secret: str, delivery: Delivery, now: float) -> bool:
        del now
        return same(delivery.headers.get("x-hut-proof", ""), sign(secret, delivery.body))

    def asked(self, delivery: Delivery) -> Look | None:
        told = json.loads(delivery.body)
        return Look(BranchName(told["line"])) if told["what"] == "grown" else None

    def status(
        self, mirror: MirrorSettings, commit: ObjectId, state: CommitState, text: str, token: str
    ) -> Status | None:
        said = {"success": "sunny", "failure": "stormy", "pending": "cloudy"}[state]
        headers = {"X-Hut-Key": token, "Authorization": f"Hut {token}"}
        return Status(f"{mirror.api}/huts/{mirror.project}/{commit}", {"weather": said, "note": text}, headers)


FORGE: Forge = Hut()
