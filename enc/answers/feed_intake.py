"""Puts what one feed reports into the copy and checks it against the server.

Owns the feed's thread, the refresh under way, the cookie that counts, how far
the copy and the server have got, and when the copy was last known to hold what
this server holds (`proven`). Evidence for that is an answer of the server on
the stream's own connection, while

- no refresh is under way, and one was completed from nothing, or was followed
  by a comparison of all versions (comparisons.py);
- no comparison has found a difference that is not dealt with;
- the server lacks nothing that the copy, or another server, has (standing.py).

A refresh that was asked for without a cookie names everything, and what it
does not name is deleted at its end, not before: good answers never wait for a
refresh to finish. What the server cannot know of, because it lags, is neither
deleted nor taken back.

Failure modes: whatever ends the stream is the feed's trouble (trouble.py), and
the thread connects again.

Not here: reading from the network (feeds.py), the tables (copy.py), and when
all feeds together are complete (intake.py).
"""

from __future__ import annotations

import logging
import queue
import time

from enc.answers import feeds, metrics
from enc.answers.arrivals import Arrivals
from enc.answers.comparisons import Comparisons
from enc.answers.copy import Copy
from enc.answers.plans import FeedPlan
from enc.answers.standing import Standing
from enc.answers.trouble import Trouble, Troubles, of_error
from enc.directory import csns
from enc.directory.csns import NOTHING_KNOWN, Csns
from enc.directory.sync_events import (
    Alive,
    Connected,
    Deleted,
    Listed,
    Looked,
    NewCookie,
    Present,
    RefreshDone,
    RefreshRequired,
    Upsert,
)
from enc.programs import log
from enc.settings import Settings
from enc.terms.errors import ToolkitError


class FeedIntake:
    """One feed in one session."""

    def __init__(
        self,
        plan: FeedPlan,
        settings: Settings,
        batches: queue.Queue[feeds.Batch],
        copy: Copy,
        arrivals: Arrivals,
        troubles: Troubles,
        numbers: metrics.Metrics,
        beat: float,
    ) -> None:
        self._feed = plan.feed
        self._settings = settings
        self._copy = copy
        self._arrivals = arrivals
        self._troubles = troubles
        self._numbers = numbers
        self._log = log.get("follower")
        self._thread = feeds.FeedThread(plan, settings, batches, beat)
        self._standing = Standing()
        self._comparisons = Comparisons(plan.feed, self._thread, copy, settings.follow.poll_interval, numbers)
        self._known = self._kept_csns()
        """What the copy was made from, where the server says it in CSNs."""
        self._wanted: Csns = NOTHING_KNOWN
        """What the next server should have besides."""
        self._named: set[str] = set()
        """UUIDs that the refresh under way has named."""
        self._refreshing = True
        self._resumed = False
        """Whether the connection began from a cookie; then the rest of the copy is still to be compared."""
        self._scratch = False
        """Whether the next connection is to begin without a cookie."""
        self._cookie: bytes | None = None
        """Received during a refresh; counts once the refresh is done."""
        self._behind = False
        """Whether the server lacks what the copy has."""
        self._polled = 0.0
        """When the reading under way began, where the server has to be polled."""
        self.current = False
        """Whether the copy is what this feed's server says, as far as it was ever known in this session."""
        self.proven = 0.0
        """When (epoch) the copy was last known to hold what this feed's server holds."""

    def _kept_csns(self) -> Csns:
        polled = self._copy.progress.fact(f"polled {self._feed}")
        return csns.of_cookie(self._copy.progress.cookie(self._feed) or (polled.encode() if polled else None))

    def start(self) -> None:
        """Let the thread connect for the first time."""
        self._thread.start()
        self.connect()

    def end(self) -> None:
        """End the thread."""
        self._thread.end()

    def connect(self) -> None:
        """Let the thread (re)connect from what is safe in the copy."""
        cookie = None if self._scratch else self._copy.progress.cookie(self._feed)
        self._named, self._cookie, self._polled = set(), None, 0.0
        self._comparisons.drop()
        self._refreshing, self._resumed = True, cookie is not None
        known = self._known.join(self._wanted)
        self._wanted = NOTHING_KNOWN
        self._thread.go(cookie, held=self._copy.records.holds(self._feed), known=known)

    def compare(self) -> None:
        """Begin a comparison if one is due."""
        if not self._refreshing and not self._polled and not self._behind:
            self._comparisons.begin()

    def take(self, event: feeds.FeedEvent, stamp: float) -> bool:
        """Deal with one event, received at `stamp` (epoch); return whether `connect` is to follow.

        Runs inside a transaction of the copy.
        """
        if isinstance(event, Upsert):
            self._upsert(event)
        elif isinstance(event, Present):
            self._named.update(event.uuids)
        elif isinstance(event, Deleted):
            self._arrivals.delete(self._feed, event.uuids)
        elif isinstance(event, Alive):
            self._alive(event, stamp)
        elif isinstance(event, Connected):
            self._connected(event)
        elif isinstance(event, Listed):
            if self._comparisons.listed(event):
                self._compared(stamp)
        elif isinstance(event, Looked):
            self._looked(event, stamp)
        elif isinstance(event, feeds.Sighted):
            self._standing.sighted(event.csns, time.monotonic())
        elif isinstance(event, feeds.Polling):
            self._polled, self._refreshing, self._resumed, self._named = stamp, True, False, set()
        elif isinstance(event, NewCookie):
            self._new_cookie(event.cookie)
        elif isinstance(event, RefreshDone):
            self._refreshed(event, stamp)
        elif isinstance(event, RefreshRequired):
            self._log.warning("%s: the server wants a refresh from the start: %s", self._feed, event.reason)
            self._scratch, self.current = True, False
            self._numbers.full_refreshes_total += 1
        else:
            if isinstance(event, feeds.Lost):
                self._lost(event.error)
            return True
        return False

    # Entries

    def _upsert(self, event: Upsert) -> None:
        record = event.record
        if self._refreshing:
            self._named.add(record.uuid)
        if not (self._behind and self._is_ahead(record.uuid, record.csn)):
            self._arrivals.upsert(self._feed, record)

    def _is_ahead(self, uuid: str, csn: str) -> bool:
        """Tell whether the copy knows an entry better than a server that lags and has the entry's version `csn`."""
        held = self._copy.records.versions(self._feed, [uuid]).get(uuid)
        if held is None:
            return self._known.knows(csn)  # we saw it, and saw it go
        own = held[1][0]
        return csn < own and not self._standing.csns.knows(own)

    # The refresh and its cookie

    def _new_cookie(self, cookie: bytes) -> None:
        if self._refreshing:
            self._cookie = csns.merged(self._cookie, cookie)
        else:
            self._keep_cookie(cookie)

    def _keep_cookie(self, cookie: bytes) -> None:
        found = csns.of_cookie(cookie)
        self._known = self._known.join(found)
        self._copy.progress.keep_cookie(self._feed, csns.cookie_of(self._known) if found else cookie)

    def _refreshed(self, event: RefreshDone, stamp: float) -> None:
        """The refresh is over: what it did not name is gone, and its cookie counts."""
        if event.deletes_by_absence:
            server = self._standing.csns
            absent = [
                uuid
                for _, uuid, csn, _ in self._copy.records.all_versions(self._feed)
                if uuid not in self._named and not (self._behind and not server.knows(csn))
            ]
            self._arrivals.delete(self._feed, absent)
        self._refreshing, self._scratch, self._named = False, False, set()
        if self._cookie is not None:
            self._keep_cookie(self._cookie)
        if self._polled:
            self._known = self._known.join(self._standing.csns)
            if self._known:
                self._copy.progress.keep_fact(f"polled {self._feed}", csns.cookie_of(self._known).decode())
        self._comparisons.want(soon=self._resumed)
        if not self._resumed and not self._behind:
            self._equal(self._polled or stamp)
        self._numbers.refreshes_total += 1
        if not self._polled:
            self._log.info("%s: refreshed from %s", self._feed, "a cookie" if self._resumed else "nothing")
        if not self._copy.progress.complete(self._feed):
            self._copy.progress.keep_complete(self._feed)

    # The evidence

    def _alive(self, event: Alive, stamp: float) -> None:
        self._standing.alive(event.csns)
        self._judge()
        unsure = self._refreshing or self._comparisons.suspecting or self._troubles.of(self._feed) is not None
        if self.current and not unsure:
            self.proven = stamp

    def _looked(self, event: Looked, stamp: float) -> None:
        differences = self._comparisons.looked(event)
        for difference in differences:
            if difference.record is None:
                self._arrivals.delete(self._feed, [difference.uuid])
            else:
                self._upsert(Upsert(difference.record, added=difference.held is None))
        if differences:
            self._numbers.differences_total += len(differences)
            text = "%s: %d entries differed from what the server had told (moved, hidden, shown, restored); corrected"
            self._log.warning(text, self._feed, len(differences))
        if self._comparisons.over():
            self._compared(stamp)

    def _compared(self, stamp: float) -> None:
        if not self._behind and (self._resumed or not self.current):
            self._equal(stamp)

    def _equal(self, stamp: float) -> None:
        """Note that the copy held at `stamp` what this feed's server held."""
        self._resumed, self.current = False, True
        if self._troubles.connected(self._feed):
            self._log.info("%s: up to date again", self._feed)
        trouble = self._troubles.of(self._feed)
        if trouble is None or trouble.kind != "behind":
            self._troubles.note(self._feed, None)
            self.proven = stamp

    # The server

    def _connected(self, event: Connected) -> None:
        if not self._polled or event.uri != self._standing.uri:
            self._numbers.connections_total += 1
            self._log.log(logging.DEBUG if self.current else logging.INFO, "%s: connected to %s", self._feed, event.uri)
        self._standing.connected(event)
        self._judge()

    def _lost(self, error: ToolkitError) -> None:
        if isinstance(error, feeds.NothingThere):
            return  # that is an answer, too, and was dealt with
        self.current = False
        if self._troubles.lost(self._feed, error):
            self._log.warning("%s: %s", self._feed, error)
        self._troubles.note(self._feed, of_error(self._feed, error))
        self._numbers.connection_errors_total += 1

    def _judge(self) -> None:
        verdict = self._standing.judge(self._known, time.monotonic(), self._settings.follow.patience)
        was_behind = self._behind
        self._behind = verdict.kind in ("behind", "ask", "move") and self._standing.lacks(self._known)
        if verdict.kind == "level":
            if was_behind:
                self._comparisons.want(soon=True)
                self._log.info("%s: %s has all changes again", self._feed, self._standing.uri)
            self._untroubled()
        elif verdict.kind == "believe":
            self._log.warning("%s: %s", self._feed, verdict.text)
            self._believe()
        elif verdict.kind == "move":
            if self._wanted != verdict.wanted:
                self._log.warning("%s: %s", self._feed, verdict.text)
                self._wanted = verdict.wanted
                self._thread.reconnect()
        elif verdict.kind == "ask":
            self._thread.reconnect()
        elif self._troubles.note(self._feed, Trouble(self._feed, "behind", verdict.text)):
            self._log.warning("%s: %s", self._feed, verdict.text)

    def _believe(self) -> None:
        """Take the server at its word: the copy claims nothing more than it has, and the next comparison rights it."""
        self._known = self._known.meet(self._standing.csns)
        if self._copy.progress.cookie(self._feed) is not None:
            self._copy.progress.keep_cookie(self._feed, csns.cookie_of(self._known) if self._known else None)
        # What a reading of everything brings needs no comparison.
        self._comparisons.want(soon=True)
        self._resumed, self.current = not self._polled, False
        self._untroubled()

    def _untroubled(self) -> None:
        """The server stands as it should; if the connection was lost, only being equal again ends that trouble."""
        if self._feed not in self._troubles.errors:
            self._troubles.note(self._feed, None)
