"""How often webhooks may cause a look at the forge. Pure; the caller tells the time.

A look is harmless however often it is asked for, and it has a price. So nothing
is refused or forgotten; what comes too often waits, and everything that waits
for one branch is one look. Each branch may cause `BURST` looks at once and then
one every `GAP` seconds, and all together `BURST_OF_ALL` and one every
`GAP_OF_ALL`. A captured webhook, sent a thousand times, costs some looks, and
makes nobody wait longer than that.

The algorithm is a bucket that leaks (GCRA): one number for each asker, the time
at which it would be idle.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

BURST, GAP = 3, 10.0
BURST_OF_ALL, GAP_OF_ALL = 10, 1.0

_MOST_IDLE = 1000
"""Askers that are remembered, before those go that have paid for everything."""


class Pace:
    """One limit for each asker."""

    def __init__(self, burst: int, gap: float) -> None:
        """`burst` times at once, then every `gap` seconds."""
        self._slack = (burst - 1) * gap
        self._gap = gap
        self._idle_at: dict[Hashable, float] = {}

    def ready_at(self, asker: Hashable) -> float:
        """Return the time from which `asker` may go on."""
        return self._idle_at.get(asker, float("-inf")) - self._slack

    def spend(self, askers: Iterable[Hashable], now: float) -> None:
        """Note that each of `askers` has gone on, whether or not it was its time."""
        for asker in askers:
            self._idle_at[asker] = max(self._idle_at.get(asker, now), now) + self._gap
        if len(self._idle_at) > _MOST_IDLE:
            self._idle_at = {asker: at for asker, at in self._idle_at.items() if at > now}
