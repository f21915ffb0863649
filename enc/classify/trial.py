"""A trial: for a while a node gets another environment, and then what it had. Pure.

It stands on the node's own entry, `puppetmasterTrial: ENVIRONMENT until EPOCH
REASON`, so every master sees it, it outlives restarts, and nobody has to be
there when the time is up: whoever answers compares the entry with the clock.
A trial that is over says nothing any more; the next one replaces it.

Not here: clocks (each door brings its own), who may try what (authorize.py),
which branch is which environment (enc.terms.environments).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from enc.terms.names import EnvironmentName

RULE = "write ENVIRONMENT until SECONDS-SINCE-1970 REASON"
_FORM = re.compile(r"([A-Za-z0-9_]{1,200}) until ([0-9]{1,11})(?: (.*))?", re.ASCII)


class Trial(NamedTuple):
    """What is tried, until when, and why."""

    environment: EnvironmentName
    until: int
    """The first second, since 1970, in which it is over."""
    reason: str = ""

    @classmethod
    def read(cls, text: str) -> Trial:
        """Read the attribute's value; raise ValueError with the rule."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(RULE)
        return cls(EnvironmentName(match[1]), int(match[2]), match[3] or "")

    def text(self) -> str:
        """Return the attribute's value. Spaces are single: LDAP's matching folds them."""
        return " ".join(f"{self.environment} until {self.until} {self.reason}".split())

    def in_force(self, now: float) -> bool:
        """Tell whether it counts at `now` (seconds since 1970)."""
        return now < self.until
