"""Looks at intervals how far each of several servers has got; a thread that only reads from the network.

One thread for all feeds: a server that hangs holds up nobody but it.
Not here: what follows (standing.py).
"""

from __future__ import annotations

import queue
import threading
import time

from enc.answers.feeds import Batch, Sighted
from enc.answers.plans import plans
from enc.directory.servers import sight
from enc.programs import log
from enc.settings import Settings


class Scout(threading.Thread):
    """Looks until `end` is called."""

    def __init__(self, settings: Settings, batches: queue.Queue[Batch]) -> None:
        super().__init__(name="scout", daemon=True)
        self._settings = settings
        self._batches = batches
        self._ended = threading.Event()

    def end(self) -> None:
        """End the thread, within about a time-out of the directory for each server."""
        self._ended.set()

    def run(self) -> None:
        """Look, hand over what was seen, pause, and again."""
        bases = tuple(dict.fromkeys(plan.base for plan in plans(self._settings)))
        while not self._ended.wait(self._settings.follow.poll_interval):
            try:
                seen = sight(self._settings.directory, bases)
            except Exception:  # one iteration of a loop that must not end
                log.get("follower").exception("checking how far each server has got")
                continue
            for plan in plans(self._settings):
                sighted = Sighted({one.uri: one.csns[plan.base] for one in seen})
                try:
                    self._batches.put(Batch(plan.feed, time.time(), (sighted,)), timeout=1)
                except queue.Full:
                    break  # the next look tells as much
