"""Slows down people who guess passwords. Keeps everything in memory, bounded; no other effects.

Wrong passwords are counted for the name from that address, for the name from
everywhere, for the address, and for all together. After some, the next attempt
is taken only after a pause that grows with each further failure, up to a longest
one; what comes earlier is not looked at. Once there are pauses, only one attempt
is made in each, however many come at once. Failures are forgotten with time.

Nothing that strangers send makes room for itself: names and addresses are
counted in a table of fixed size (count-min), where they share cells with others.
What is counted is never less than what was, and seldom more. Names that exist
and names that do not are the same here, so pauses tell nobody which do.

Who has signed in well from an address waits there for nobody else's failures:
neither can strangers keep people out, nor does it help them to go on at once
where somebody signs in. Such pairs are remembered by right passwords only.
Everybody else waits for a name that is guessed at, `NAME.longest` seconds at
most; tokens and ssh keys never wait, for they cannot be guessed.

Time is a clock that nobody sets: with the time of day, an hour's step back
would be an hour's wait for everybody who has mistyped.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from enc.web.origin import customer


class Bound(NamedTuple):
    """From when on, and how long, there are pauses."""

    free: int
    """Failures that cost nothing."""
    first: float
    """Seconds of the first pause."""
    longest: float
    """Seconds of the longest one."""
    doubling: int = 1
    """After so many further failures a pause is twice as long."""

    def pause(self, number: float) -> float:
        """Return the seconds after a failure, of `number` so far, in which nothing is looked at."""
        if number < self.free:
            return 0.0
        return float(min(self.first * 2.0 ** min((number - self.free) / self.doubling, 30.0), self.longest))


PAIR = Bound(5, 0.5, 20.0)
"""A name from one address, or from nobody knows where."""
NAME = Bound(20, 0.5, 10.0)
"""A name from all addresses."""
ADDRESS = Bound(10, 0.5, 20.0)
"""All names from one address: one password tried for many names."""
ALL = Bound(100, 0.1, 0.5, 100)
"""All that fails here: many names from many addresses, or through a proxy that tells none. Short pauses: they are those
of everybody who has not signed in from where he is."""
FORGOTTEN = 900.0
"""Seconds after the last failure when all is forgotten."""
_KNOWN = 10_000
"""Pairs of name and address that signed in well and are remembered; beyond that the one that is longest ago goes."""
_ROWS, _CELLS = 4, 1 << 16


class Source(NamedTuple):
    """Who tries, from where."""

    name: str
    """Lower case: LDAP compares uids so."""
    address: str
    """A network of one customer: of IPv6 a /64. Empty: not known, because a proxy speaks for everybody."""

    @classmethod
    def of(cls, name: str, address: str) -> Source:
        """Return the source of an attempt. An address of this machine is a proxy's that does not say for whom."""
        return cls(name.lower(), customer(address))


class _Failures(NamedTuple):
    number: float
    last: float


class _Table:
    """Counts failures of any number of keys in a fixed number of cells. Not for several threads at once."""

    def __init__(self) -> None:
        self._secret = os.urandom(16)  # so that nobody finds a name that shares cells with another's
        self._numbers = array("I", bytes(4 * _ROWS * _CELLS))
        self._lasts = array("d", bytes(8 * _ROWS * _CELLS))

    def _cells(self, key: str) -> list[int]:
        digest = hashlib.blake2b(key.encode(), digest_size=2 * _ROWS, key=self._secret).digest()
        return [row * _CELLS + int.from_bytes(digest[2 * row : 2 * row + 2], "big") for row in range(_ROWS)]

    def _of(self, cell: int, now: float) -> _Failures:
        last = self._lasts[cell]
        return _Failures(0 if now - last > FORGOTTEN else self._numbers[cell], last)

    def get(self, key: str, now: float) -> _Failures:
        """Return the failures of a key: as many as the cell says that has the fewest."""
        return min(self._of(cell, now) for cell in self._cells(key))

    def add(self, key: str, now: float, more: int = 1) -> None:
        """Count `more` failures. With 0, an attempt begins, which those at the same moment wait for."""
        cells = self._cells(key)
        least = min(self._of(cell, now).number for cell in cells)
        for cell in cells:
            if self._of(cell, now).number == least:
                self._numbers[cell] = int(least) + more
                self._lasts[cell] = now


class Throttle:
    """Counts failures; several threads may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds and never goes back."""
        self._clock = clock
        self._table = _Table()
        self._known: OrderedDict[Source, _Failures] = OrderedDict()
        self._all = _Failures(0.0, 0.0)
        self._lock = threading.Lock()

    def begin(self, source: Source) -> float:
        """Return 0.0 if an attempt may be made (tell `bad` or `good` then), else the seconds to wait."""
        with self._lock:
            now = self._now()
            wait = self._wait(source, now)
            if not wait:
                self._count(source, now, 0)
            return wait

    def bad(self, source: Source) -> None:
        """Count a failure."""
        with self._lock:
            self._count(source, self._now(), 1)

    def good(self, source: Source) -> None:
        """Remember that the password was right: whose it is comes from there."""
        with self._lock:
            self._known[source] = _Failures(0, 0.0)
            self._known.move_to_end(source)
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)

    def _now(self) -> float:
        # A cell that nobody used is one whose time is over, whatever the clock says at the beginning.
        return self._clock() + FORGOTTEN + 1.0

    def _wait(self, source: Source, now: float) -> float:
        known = self._known.get(source)
        if known is not None:
            return self._left(PAIR, known, now)
        waits = [self._left(bound, self._table.get(key, now), now) for key, bound in _keys(source)]
        return max(*waits, self._left(ALL, self._everything(now), now))

    @staticmethod
    def _left(bound: Bound, failures: _Failures, now: float) -> float:
        number, last = failures
        return 0.0 if now - last > FORGOTTEN else max(last + bound.pause(number) - now, 0.0)

    def _count(self, source: Source, now: float, more: int) -> None:
        known = self._known.get(source)
        if known is not None:
            number = 0 if now - known.last > FORGOTTEN else known.number
            if more or PAIR.pause(number):
                self._known[source] = _Failures(number + more, now)
            return
        for key, bound in _keys(source):
            if more or bound.pause(self._table.get(key, now).number):
                self._table.add(key, now, more)
        everything = self._everything(now)
        if more or ALL.pause(everything.number):
            self._all = _Failures(everything.number + more, now)

    def _everything(self, now: float) -> _Failures:
        """Return all failures of late: each counts half after a third of the time in which others are forgotten."""
        number, last = self._all
        return _Failures(number * 0.5 ** ((now - last) * 3 / FORGOTTEN), last)


def _keys(source: Source) -> Iterator[tuple[str, Bound]]:
    name, address = source
    yield f"pair {name} {address}", PAIR
    if address:
        yield f"name {name}", NAME
        yield f"address {address}", ADDRESS
