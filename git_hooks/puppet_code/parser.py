"""Lets many people ask Puppet's parser at once, so that nobody who brings slow code keeps the others waiting.

Two processes (worker.py). The quick one gives each piece of code a moment, which
is long for what people write; who has used little of the parser lately asks
there. What was not read in that moment, and whoever has used much, goes to the
slow one. In front of each, those wait who want to ask, and next is who has used
least: so four that bring the slowest code there is wait for each other, and
everybody else for a moment at a time, until these have used up theirs.

Owns: who is next, and what each has used, for as long as this process lives.
What is known already is told without waiting. Failure modes: `ParserMissing`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from git_hooks.puppet_code.calls import Kind, Reading
from git_hooks.puppet_code.worker import Worker

_MOMENT = 0.5
"""A manifest of 200 lines takes some 10 ms."""
_LIGHT = 2.0
"""Seconds of the parser that somebody may have used and still asks the quick process: hundreds of manifests."""
_HALF = 60.0
"""Seconds after which what somebody has used counts half."""
_PEOPLE = 1000
"""So many are remembered; those who used least are forgotten."""


class Parser:
    """Reads Puppet code for several threads."""

    def __init__(self, ruby: Path | None = None, *, moment: float = _MOMENT) -> None:
        """Start nothing yet. `ruby`: see worker.py; `moment`: seconds for one piece of code in the quick process."""
        self._moment = moment
        self._quick, self._slow = _Lane(Worker(ruby)), _Lane(Worker(ruby))
        self._lock = threading.Lock()
        self._used: dict[str, tuple[float, float]] = {}

    def read(self, who: str, name: str, kind: Kind, content: Callable[[], bytes]) -> tuple[Reading, float]:
        """Return what the code `name` (its object id) calls, and the seconds that reading it took, without waiting.

        `who` asks; `content` is fetched if it is not known. Raise `ParserMissing` where no Puppet can be asked.
        """
        for lane in (self._quick, self._slow):
            if (known := lane.worker.known(name, kind)) is not None:
                return known, 0.0
        code, took = content(), 0.0
        if self.used(who) < _LIGHT:
            reading, took = self._ask(self._quick, who, name, kind, code, self._moment)
            if not reading.late:
                return reading, took
        reading, more = self._ask(self._slow, who, name, kind, code, None)
        return reading, took + more

    def used(self, who: str) -> float:
        """Return the seconds that somebody has used lately."""
        with self._lock:
            return self._lately(who, monotonic())

    def close(self) -> None:
        """End the processes; the next question starts another."""
        self._quick.worker.close()
        self._slow.worker.close()

    def _ask(
        self, lane: _Lane, who: str, name: str, kind: Kind, code: bytes, longest: float | None
    ) -> tuple[Reading, float]:
        with lane.turn(lambda: self.used(who)):
            lane.worker.start()  # nobody is to blame for the second that this takes
            began = monotonic()
            try:
                return lane.worker.read(name, kind, lambda: code, longest), monotonic() - began
            finally:
                self._count(who, monotonic() - began)

    def _count(self, who: str, seconds: float) -> None:
        now = monotonic()
        with self._lock:
            self._used[who] = (self._lately(who, now) + seconds, now)
            if len(self._used) > _PEOPLE:
                del self._used[min(self._used, key=lambda one: self._lately(one, now))]

    def _lately(self, who: str, now: float) -> float:
        seconds, at = self._used.get(who, (0.0, now))
        return seconds * float(0.5 ** ((now - at) / _HALF))


class _Lane:
    """One process, and who waits for it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._changed = threading.Condition()
        self._whose: Callable[[], float] | None = None
        self._waiting: list[Callable[[], float]] = []

    @contextmanager
    def turn(self, used: Callable[[], float]) -> Iterator[None]:
        """Wait until nobody asks, and nobody waits who has used less."""
        with self._changed:
            self._waiting.append(used)
            if self._whose is None:
                self._pass_on()
            self._changed.wait_for(lambda: self._whose is used)
        try:
            yield
        finally:
            with self._changed:
                self._pass_on()

    def _pass_on(self) -> None:
        """Say whose turn it is, once for all who wait: each by itself might leave it to another, for use changes.

        Who came first is first in the list, and min() takes the first of equals.
        """
        self._whose = min(self._waiting, key=lambda one: one(), default=None)
        if self._whose is not None:
            self._waiting.remove(self._whose)
        self._changed.notify_all()
