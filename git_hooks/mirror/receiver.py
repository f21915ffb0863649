"""What the webhooks' address does: checks, notes, and asks for a look.

The answer comes at once: 202 with the job's number. Nothing of a delivery is
parsed before it is known to be the forge's. Each genuine webhook about a branch
leads to a look, however often it comes: a look is harmless, and how often there
is one is the business of jobs.py. Not here: HTTP (git_hooks/web/webhooks.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from enc.programs import log
from enc.settings import Settings
from enc.settings.config import read_secret
from enc.terms.errors import ConfigurationError
from enc.terms.names import BranchName
from git_hooks.mirror import forges
from git_hooks.mirror.forges.forge import Delivery, Forge


class Receiver:
    """Judges webhooks; several threads may use it."""

    def __init__(
        self, settings: Settings, ask: Callable[[BranchName | None], str], clock: Callable[[], float] = time.time
    ) -> None:
        """`ask` is told where to look and returns the job's number (`Jobs.add`)."""
        self._mirror = settings.branches.mirror
        self._forge = forges.named(self._mirror.forge) if self._mirror.forge is not None else None
        self._ask = ask
        self._clock = clock
        self._log = log.get("mirror")

    @property
    def secret_in_address(self) -> bool:
        """Whether deliveries come to `/webhook/SECRET`."""
        return self._forge is not None and self._forge.secret_in_address

    def secret(self) -> str:
        """Return the secret that the forge shares with us now; an empty one is none, and nothing is taken."""
        try:
            return read_secret(self._mirror.secret_file) if self._mirror.secret_file is not None else ""
        except ConfigurationError as error:
            self._log.error("%s", error)
            return ""

    def take(self, secret: str, delivery: Delivery) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and what is said to a delivery; 400 and more: it was refused, and `error` says why."""
        forge, now = self._forge, self._clock()
        # Nothing but True lets anything in, and an empty secret is nobody's.
        if forge is None or not secret or forge.genuine(secret, delivery, now) is not True:
            why = forge.excuse(secret, delivery, now) if forge is not None and secret else ""
            return 403, {"error": why or "the signature or token is missing or wrong"}
        return self._taken(forge, delivery)

    def _taken(self, forge: Forge, delivery: Delivery) -> tuple[int, dict[str, Any]]:
        """Deal with a delivery that is the forge's."""
        try:
            look = forge.asked(delivery)
        except ValueError as error:
            return 400, {"error": str(error)}
        if look is None:
            return 202, {"job": None, "why": "nothing to look at"}
        return 202, {"job": self._ask(look.branch)}
