"""Answers an unknown name as late as a wrong password. Pure but for `sleep` and the clock.

A password is tried by binding to LDAP, which hashes it; where there is nobody
to bind as, the answer would come in a tenth of the time and tell a stranger
which names there are. No entry could stand in for the missing one: hashes, and
what they cost, are the directory's. So the times that real binds took, with
passwords that were wrong, are remembered, and one of them is waited for.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable

_FIRST = 0.02
"""Seconds that are waited for before any bind was seen."""
_REMEMBERED = 64
_LONGEST = 2.0
"""Seconds; a server that hung for a moment makes nobody wait for long."""


class EvenTime:
    """The times of failed binds; several threads may use it."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Remember nothing yet."""
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._took: deque[float] = deque(maxlen=_REMEMBERED)
        self._chance = random.SystemRandom()

    def begin(self) -> float:
        """Return the moment from which `failed` and `wait` reckon."""
        return self._clock()

    def failed(self, began: float) -> None:
        """Remember how long a bind took whose password was wrong."""
        with self._lock:
            self._took.append(min(self._clock() - began, _LONGEST))

    def wait(self, began: float) -> None:
        """Return when such a bind would have, had there been anybody to bind as."""
        with self._lock:
            took = self._chance.choice(self._took) if self._took else _FIRST
        left = took - (self._clock() - began)
        if left > 0:
            self._sleep(left)
