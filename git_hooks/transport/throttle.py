"""Slows down who guesses passwords. Keeps everything in memory, bounded; no effects but that.

After some failures, the next attempt is taken only after a pause that doubles
with each further failure, up to `LONGEST`; what comes earlier is not looked at.
Once there are pauses, only one attempt is made in each, however many come at
once. Failures are forgotten with time. Who knows a person's name can make that person's *password* wait, at most
`LONGEST` seconds; tokens and ssh keys never wait, for they cannot be guessed.

Time is a clock that nobody sets: with the time of day, an hour's step back
would be an hour's wait for everybody who has mistyped.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

FREE = 5
"""Failures that cost nothing."""
FIRST, LONGEST = 0.5, 20.0
"""Seconds of the first and the longest pause."""
FORGOTTEN = 900.0
"""Seconds after the last failure when all is forgotten."""
_KEPT = 10_000
"""Keys that are remembered; beyond that the oldest is forgotten."""


class _Failures(NamedTuple):
    number: int
    last: float


class Throttle:
    """Counts failures by key (a name, an address); several threads may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds and never goes back."""
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, keys: tuple[str, ...]) -> float:
        """Return 0.0 if an attempt may be made for all `keys` (tell `bad` or `good` then), else the seconds to wait."""
        with self._lock:
            now = self._clock()
            wait = max((self._wait(key, now) for key in keys), default=0.0)
            if not wait:
                for key in keys:
                    known = self._failures.get(key)
                    if known is not None and known.number >= FREE:
                        self._failures[key] = known._replace(last=now)
            return wait

    def bad(self, keys: tuple[str, ...]) -> None:
        """Count a failure for all `keys`."""
        with self._lock:
            now = self._clock()
            for key in keys:
                known = self._failures.pop(key, _Failures(0, now))
                before = 0 if now - known.last > FORGOTTEN else known.number
                self._failures[key] = _Failures(before + 1, now)
            while len(self._failures) > _KEPT:
                self._failures.popitem(last=False)

    def good(self, key: str) -> None:
        """Forget the failures of `key`: somebody knew the password."""
        with self._lock:
            self._failures.pop(key, None)

    def _wait(self, key: str, now: float) -> float:
        number, last = self._failures.get(key, _Failures(0, now))
        if number < FREE or now - last > FORGOTTEN:
            return 0.0
        pause = min(FIRST * 2.0 ** min(number - FREE, 30), LONGEST)
        return max(last + pause - now, 0.0)
