"""Decides when the copy of one feed is compared with its server, and runs that comparison.

Comparisons begin at each resumption and then every `follow.poll_interval`, or,
where one takes many seconds, so seldom that they fill a fifth of the time; one
that found something in motion is followed by another soon.

Owns these times. Times are monotonic seconds. Not here: what a comparison
finds (compare.py), and what follows from its end (feed_intake.py).
"""

from __future__ import annotations

import time

from enc.answers import metrics
from enc.answers.compare import Comparison, Difference
from enc.answers.copy import Copy
from enc.answers.feeds import FeedThread
from enc.answers.plans import Feed
from enc.directory.sync_events import Listed, Looked

_SHARE = 5
"""A comparison begins at the earliest after so many times as long as the last one took beyond `_SOON`."""
_SOON = 1.0
"""Seconds after a comparison that found something in motion; or `_SHARE` times as long as it took."""


class Comparisons:
    """Of one feed."""

    def __init__(self, feed: Feed, thread: FeedThread, copy: Copy, interval: float, numbers: metrics.Metrics) -> None:
        """`interval`: seconds from the beginning of one to the next, where they are quick."""
        self._feed = feed
        self._thread = thread
        self._copy = copy
        self._interval = interval
        self._numbers = numbers
        self._due = 0.0
        self._now: Comparison | None = None

    @property
    def suspecting(self) -> bool:
        """Whether something is to be looked at again before it is known that the copy is right."""
        return self._now is not None and not self._now.finished

    def begin(self) -> None:
        """Begin one if it is due and none is under way: `Listed` follows on the stream."""
        now = time.monotonic()
        if self._now is None and now >= self._due:
            self._now = Comparison(self._feed, now)
            self._thread.list_all()

    def drop(self) -> None:
        """Forget the one under way: its stream has ended."""
        self._now = None

    def want(self, *, soon: bool) -> None:
        """Let the next one be due at once, or only after the usual time from now."""
        self._due = 0.0 if soon else time.monotonic() + self._interval

    def listed(self, event: Listed) -> bool:
        """Take a page; return whether the comparison is over with it. Else, after the last page, `Looked` follows."""
        if self._now is None:
            return False
        self._now.page(self._copy.records, event.entries)
        if not event.complete:
            return False
        if suspects := self._now.suspects(self._copy.records):
            self._thread.look_at(suspects)
            return False
        return self._end(self._now)

    def looked(self, event: Looked) -> list[Difference]:
        """Take the second look at some entries; return what the copy has wrong. Ask `over` when that is dealt with."""
        if self._now is None:
            return []
        return list(self._now.looked(self._copy.records, event.asked, event.records))

    def over(self) -> bool:
        """Tell whether the one under way has just ended."""
        return self._now is not None and self._now.finished and self._end(self._now)

    def _end(self, done: Comparison) -> bool:
        now = time.monotonic()
        took = now - done.began
        self._now = None
        self._numbers.comparisons_total += 1
        if done.unsettled:
            self._due = now + max(_SOON, _SHARE * took)
        else:
            self._due = done.began + max(self._interval, _SHARE * (took - _SOON))
        return True
