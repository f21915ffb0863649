"""How fast a client must send and take what is the other's turn to wait for. Pure.

Time counts only while the server waits for the client: a push that is being
deployed for minutes, or a git that packs, costs the client nothing.
"""

from __future__ import annotations

import errno


class TooSlow(OSError):
    """The client does not send or take what it should; its connection ends, as if the client had ended it."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPIPE, why)


class Pace:
    """Watches one request."""

    def __init__(self, least: float, window: float) -> None:
        """In each `window` of seconds spent waiting, `least` octets a second must have moved."""
        self._least = least
        self._window = window
        self._octets = 0
        self._seconds = 0.0

    def moved(self, octets: int, seconds: float) -> None:
        """Note that `octets` moved after `seconds` of waiting; raise `TooSlow`."""
        self._octets += octets
        self._seconds += seconds
        if self._seconds < self._window:
            return
        if self._octets < self._least * self._seconds:
            raise TooSlow(f"the request is too slow: {self._octets} octets in {self._seconds:.0f} s")
        self._octets, self._seconds = 0, 0.0
