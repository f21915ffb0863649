"""Puts entries from the feeds into the copy and records a problem with one as that entry's.

Owns the counting of what changed, and the entries that could not be looked at:
noted for `status` while they are so, and taken off when they can be again.

Everything here runs inside a transaction of the copy. Not here: which names a
change reaches (reach.py), and whether an event is believed (feed_intake.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from enc.answers import metrics
from enc.answers.copy import Copy
from enc.answers.plans import Feed
from enc.answers.reach import Reach
from enc.answers.seen_edits import SeenEdits
from enc.programs import log
from enc.settings import Settings
from enc.terms.record import Record

_KIND = "entry "
"""How the worklist calls the problems of single entries."""


class Arrivals:
    """Of one session."""

    def __init__(self, copy: Copy, settings: Settings, numbers: metrics.Metrics) -> None:
        self._copy = copy
        self._reach = Reach(copy, settings)
        self._notes = SeenEdits(settings.answers.directory, private=settings.domains.serves == "projects")
        self._numbers = numbers
        self._log = log.get("follower")
        self._faulty: set[str] = set()
        self.newest = ""
        """The newest entryCSN that came in; for who measures the lag to reset."""
        self.groups_changed = True
        """Whether a group changed; for who looks at groups to reset."""
        self.membership_changed = True
        """Whether a project, a role or a group changed; for who says so to reset."""

    def start(self) -> None:
        """Know again which entries could not be looked at."""
        kept = self._copy.worklist.problems()
        self._faulty = {problem.name.removeprefix(_KIND) for problem in kept if problem.name.startswith(_KIND)}

    def upsert(self, feed: Feed, record: Record) -> None:
        """Put an entry into the copy."""
        if self._reach.upsert(feed, record, mark=self._copy.progress.complete(feed)):
            self._changed(feed, 1)
            self.newest = max(self.newest, record.csn)
            if record.dn in self._faulty and record.dn not in self._reach.faults:
                self._faulty.discard(record.dn)
                self._copy.worklist.note_entry(record.dn, None, 0)

    def delete(self, feed: Feed, uuids: Iterable[str]) -> None:
        """Take entries out of the copy; those that it does not have are none."""
        mark = self._copy.progress.complete(feed)
        self._changed(feed, sum(self._reach.delete(feed, uuid, mark=mark) for uuid in uuids))

    def keep_seen(self) -> None:
        """Note what changed and who did it, for `history`; raise `NotWritten`."""
        self._notes.note(self._reach.seen)
        self._reach.seen.clear()

    def keep_faults(self) -> None:
        """Note what is wrong with single entries, for `status`."""
        for dn, fault in self._reach.faults.items():
            self._log.warning("%s: %s", dn, fault)
            self._faulty.add(dn)
            self._copy.worklist.note_entry(dn, fault, int(time.time()))
        self._reach.faults.clear()

    def _changed(self, feed: Feed, count: int) -> None:
        self._numbers.changes_total += count
        self.groups_changed |= feed == "groups" and count > 0
        self.membership_changed |= feed in ("projects", "groups") and count > 0
