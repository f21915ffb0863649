"""What one person has of a service at once: requests, and octets of bodies that are kept meanwhile.

For several threads. Who is over a bound is told so at once (429, or 503 where
it is everybody together), and waits for nobody: a thread that waits is what is scarce.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

_SOON = 5
"""Seconds after which another attempt is worth it (`Retry-After`)."""


class Shares:
    """Counts requests by who makes them."""

    def __init__(self, each: int) -> None:
        """Let everybody have `each` at once."""
        self._each = each
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        """Within: one more of `who`. Raise `TooManyRequests`."""
        with self._lock:
            if self._held[who] >= self._each:
                raise TooManyRequests(
                    f"{self._each} of your requests are being served; wait for one to end", None, _SOON
                )
            self._held[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[who] -= 1
                if not self._held[who]:
                    del self._held[who]


class Room:
    """Octets that may be kept, on disk or in memory."""

    def __init__(self, most: int, each: int) -> None:
        """Let all together keep `most`, and one of them `each`."""
        self._most = most
        self._each = each
        self._kept: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, who: str) -> Iterator[Callable[[int], None]]:
        """Give what takes room for so many octets more, which is given back at the end.

        It raises `TooManyRequests` or `ServiceUnavailable`.
        """
        taken = 0

        def take(octets: int) -> None:
            nonlocal taken
            with self._lock:
                if self._kept[who] + octets > self._each:
                    raise TooManyRequests("your other requests leave no room; wait for them to end", None, _SOON)
                if self._kept.total() + octets > self._most:
                    raise ServiceUnavailable("too much is being sent at once; try again in a moment", None, _SOON)
                self._kept[who] += octets
                taken += octets

        try:
            yield take
        finally:
            with self._lock:
                self._kept[who] -= taken
                if not self._kept[who]:
                    del self._kept[who]
