"""Commits what all feeds of one session deliver together, and knows the resulting state of the copy.

Owns the threads' queue, the transaction in which everything that was handed
over goes into the copy, and what only all feeds together can say: whether the
copy is complete, whether it is current, and when it was last known to be what
LDAP says.

Everything here runs in the session's thread. Failure modes: those of the copy
end the session; those of a feed are its trouble (trouble.py).

Not here: what an event of a feed does (feed_intake.py), reading from the
network (feeds.py), and making answers.
"""

from __future__ import annotations

import queue

from enc.answers import feeds, metrics
from enc.answers.arrivals import Arrivals
from enc.answers.copy import Copy
from enc.answers.feed_intake import FeedIntake
from enc.answers.layout import BEAT
from enc.answers.plans import Feed, plans
from enc.answers.scout import Scout
from enc.answers.trouble import Troubles
from enc.settings import Settings

_HEAVY = 64 << 20
"""Octets of entries that are put into the copy together, about."""


class Intake:
    """All feeds of one session, for one copy."""

    def __init__(self, settings: Settings, numbers: metrics.Metrics, copy: Copy, beat: float = BEAT) -> None:
        """Start nothing yet. `beat`: seconds between two signs of life of a connection."""
        self._beat = beat
        self._settings = settings
        self._numbers = numbers
        self._copy = copy
        self._batches: queue.Queue[feeds.Batch] = queue.Queue(feeds.WAITING)
        self._feeds: dict[Feed, FeedIntake] = {}
        self._scout: Scout | None = None
        self.arrivals = Arrivals(copy, settings, numbers)
        self.troubles = Troubles()

    def start(self) -> None:
        """Let all threads connect."""
        self.arrivals.start()
        for plan in plans(self._settings):
            feed = FeedIntake(
                *(plan, self._settings, self._batches, self._copy, self.arrivals, self.troubles, self._numbers),
                self._beat,
            )
            self._feeds[plan.feed] = feed
            feed.start()
        if len(self._settings.directory.uris) > 1:
            self._scout = Scout(self._settings, self._batches)
            self._scout.start()

    def end(self) -> None:
        """End all threads."""
        if self._scout is not None:
            self._scout.end()
        for feed in self._feeds.values():
            feed.end()

    def complete(self) -> bool:
        """Tell whether every feed was read to its end at least once."""
        return all(self._copy.progress.complete(feed) for feed in self._feeds)

    def is_current(self) -> bool:
        """Tell whether the copy is what LDAP says, so far as anybody can know."""
        return bool(self._feeds) and not self.troubles.any() and all(feed.current for feed in self._feeds.values())

    def proven(self) -> float:
        """Return when (epoch seconds) all of the copy was last known to be what LDAP says."""
        return min(feed.proven for feed in self._feeds.values())

    def take(self, wait: float, at_most: int) -> list[feeds.Batch]:
        """Return what has been handed over, waiting up to `wait` seconds for it; about `at_most` events.

        They are fewer if their entries are heavy.
        """
        taken: list[feeds.Batch] = []
        count = weight = 0
        try:
            taken.append(self._batches.get(timeout=wait))
            while (count := count + len(taken[-1].events)) < at_most and weight < _HEAVY:
                weight += taken[-1].weight
                taken.append(self._batches.get_nowait())
        except queue.Empty:
            pass
        return taken

    def apply(self, batches: list[feeds.Batch]) -> bool:
        """Put batches into the copy, then let the feeds that ended their stream start again.

        Return whether all feeds have just become complete for the first time.
        """
        if not batches:
            return False
        again: list[FeedIntake] = []
        complete = self.complete()
        with self._copy.transaction():
            for batch in batches:
                feed = self._feeds[batch.feed]
                for event in batch.events:
                    if feed.take(event, batch.stamp):
                        again.append(feed)
            first = not complete and self.complete()
            if first:
                # All answers are due, and in the same transaction: a follower that is killed now goes on with them.
                self._copy.worklist.mark_all(self._copy.source.project_names(), rewrite=True)
            self.arrivals.keep_faults()
            self.arrivals.keep_seen()
            self.troubles.keep(self._copy.progress)
        for feed in again:
            feed.connect()
        return first

    def compare(self) -> None:
        """Begin the comparisons that are due."""
        for feed in self._feeds.values():
            feed.compare()
