"""What the feeds say goes into the copy, and is held against what the server has.

One state for each feed: the refresh under way, the comparison under way
(compare.py), how its server stands (standing.py), and when the copy was last
known to hold what LDAP holds (`proven`). Evidence for that is an answer of the
server on the stream's own connection, while

- no refresh is under way, and one was completed from nothing, or was followed
  by a comparison of all versions;
- no comparison has found a difference that is not dealt with;
- the server lacks nothing that the copy, or another server, has.

Comparisons begin at each resumption and then every `follow.poll_interval`, or,
where one takes many seconds, so seldom that they fill a fifth of the time.

A refresh that was asked for without a cookie names everything, and what it
does not name is deleted at its end, not before: good answers never wait for a
refresh to finish. What the server cannot know of, because it lags, is neither
deleted nor taken back.

Everything here runs in the session's thread, events inside a transaction of
the copy. Not here: reading from the network (feeds.py), and making answers.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from enc import log
from enc.answers import feeds, metrics
from enc.answers.compare import Comparison
from enc.answers.copy import Copy, Feed
from enc.answers.layout import BEAT
from enc.answers.reach import Reach
from enc.answers.scout import Scout
from enc.answers.standing import Standing
from enc.answers.trouble import FACT, Trouble, encode, of_error
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
from enc.errors import ToolkitError
from enc.settings import Settings

_SHARE = 5
"""A comparison begins at the earliest after so many times as long as the last one took beyond `_SOON`."""
_SOON = 1.0
"""Seconds after a comparison that found something in motion; or `_SHARE` times as long as it took."""


@dataclass(slots=True)
class _FeedState:
    """Where one feed stands in this session."""

    thread: feeds.FeedThread
    known: Csns
    """What the copy was made from, where the server says it in CSNs."""
    standing: Standing = field(default_factory=Standing)
    wanted: Csns = NOTHING_KNOWN
    """What the next server should have besides."""
    named: set[str] = field(default_factory=set)
    """UUIDs that the refresh under way has named."""
    refreshing: bool = True
    resumed: bool = False
    """Whether the connection began from a cookie; then the rest of the copy is still to be compared."""
    scratch: bool = False
    """Whether the next connection is to begin without a cookie."""
    cookie: bytes | None = None
    """Received during a refresh; counts once the refresh is done."""
    current: bool = False
    behind: bool = False
    """Whether the server lacks what the copy has."""
    comparison: Comparison | None = None
    due: float = 0.0
    """When (monotonic) the next comparison is to begin."""
    polled: float = 0.0
    """When the reading under way began, where the server has to be polled."""
    proven: float = 0.0
    """When (epoch) the copy was last known to hold what this feed's server holds."""


class Intake:
    """All feeds of one session."""

    def __init__(self, settings: Settings, numbers: metrics.Metrics, beat: float = BEAT) -> None:
        self._beat = beat
        self._settings = settings
        self._numbers = numbers
        self._log = log.get("follower")
        self._batches: queue.Queue[feeds.Batch] = queue.Queue(feeds.WAITING)
        self._feeds: dict[Feed, _FeedState] = {}
        self._scout: Scout | None = None
        self._troubles: dict[Feed, Trouble] = {}
        self._troubles_changed = True
        self._faulty: set[str] = set()
        self.errors: dict[Feed, ToolkitError] = {}
        """Why feeds are not connected."""
        self.newest = ""
        """The newest entryCSN that came in; for who measures the lag to reset."""
        self.groups_changed = True
        """Whether a group changed; for who looks at groups to reset."""

    def use(self, copy: Copy, reach: Reach) -> None:
        """Put what comes into `copy` from now on."""
        self._copy, self._reach = copy, reach

    def start(self) -> None:
        """Let all threads connect."""
        kept = self._copy.worklist.problems()
        self._faulty = {problem.name.removeprefix("entry ") for problem in kept if problem.name.startswith("entry ")}
        for plan in feeds.plans(self._settings):
            thread = feeds.FeedThread(plan, self._settings, self._batches, self._beat)
            self._feeds[plan.feed] = _FeedState(thread, self._kept_csns(plan.feed))
            thread.start()
            self._start(plan.feed)
        if len(self._settings.directory.uris) > 1:
            self._scout = Scout(self._settings, self._batches)
            self._scout.start()

    def end(self) -> None:
        """End all threads."""
        if self._scout is not None:
            self._scout.end()
        for state in self._feeds.values():
            state.thread.end()

    def _kept_csns(self, feed: Feed) -> Csns:
        polled = self._copy.fact(f"polled {feed}")
        return csns.of_cookie(self._copy.cookie(feed) or (polled.encode() if polled else None))

    def _start(self, feed: Feed) -> None:
        """Let a feed's thread (re)connect from what is safe in the copy."""
        state = self._feeds[feed]
        cookie = None if state.scratch else self._copy.cookie(feed)
        state.named, state.cookie, state.polled, state.comparison = set(), None, 0.0, None
        state.refreshing, state.resumed = True, cookie is not None
        known = state.known.join(state.wanted)
        state.wanted = NOTHING_KNOWN
        state.thread.go(cookie, held=self._copy.holds(feed), known=known)

    # How things are

    def take(self, wait: float, at_most: int) -> list[feeds.Batch]:
        """Return what has been handed over, waiting up to `wait` seconds for it; about `at_most` events."""
        taken: list[feeds.Batch] = []
        count = 0
        try:
            taken.append(self._batches.get(timeout=wait))
            while (count := count + len(taken[-1].events)) < at_most:
                taken.append(self._batches.get_nowait())
        except queue.Empty:
            pass
        return taken

    def complete(self) -> bool:
        """Tell whether every feed was read to its end at least once."""
        return all(self._copy.complete(feed) for feed in self._feeds)

    def is_current(self) -> bool:
        """Tell whether the copy is what LDAP says, so far as anybody can know."""
        return bool(self._feeds) and not self._troubles and all(state.current for state in self._feeds.values())

    def proven(self) -> float:
        """Return when (epoch seconds) all of the copy was last known to be what LDAP says."""
        return min(state.proven for state in self._feeds.values())

    # Events

    def apply(self, batches: list[feeds.Batch]) -> bool:
        """Put batches into the copy, then let the feeds that ended their stream start again.

        Return whether all feeds have just become complete for the first time.
        """
        if not batches:
            return False
        again: list[Feed] = []
        complete = self.complete()
        with self._copy.transaction():
            for batch in batches:
                for event in batch.events:
                    if self._event(batch.feed, event, batch.stamp):
                        again.append(batch.feed)
            first = not complete and self.complete()
            if first:
                # All answers are due, and in the same transaction: a follower that is killed now goes on with them.
                self._copy.worklist.mark_all(self._copy.project_names(), rewrite=True)
            self._keep_faults()
            self._keep_troubles()
        for feed in again:
            self._start(feed)
        return first

    def compare(self) -> None:
        """Begin the comparisons that are due."""
        now = time.monotonic()
        for feed, state in self._feeds.items():
            idle = state.comparison is None and not state.refreshing and not state.polled and not state.behind
            if idle and now >= state.due:
                state.comparison = Comparison(feed, now)
                state.thread.list_all()

    def _event(self, feed: Feed, event: feeds.FeedEvent, stamp: float) -> bool:
        """Deal with one event; return whether the feed waits to be started again."""
        state = self._feeds[feed]
        if isinstance(event, Upsert):
            self._upsert(feed, state, event)
        elif isinstance(event, Present):
            state.named.update(event.uuids)
        elif isinstance(event, Deleted):
            self._delete(feed, event.uuids)
        elif isinstance(event, Alive):
            state.standing.alive(event.csns)
            self._judge(feed, state)
            suspecting = state.comparison is not None and not state.comparison.finished
            if state.current and not (state.refreshing or suspecting or feed in self._troubles):
                state.proven = stamp
        elif isinstance(event, Connected):
            self._connected(feed, state, event)
        elif isinstance(event, Listed):
            self._listed(feed, state, event, stamp)
        elif isinstance(event, Looked):
            self._looked(feed, state, event, stamp)
        elif isinstance(event, feeds.Sighted):
            state.standing.sighted(event.csns, time.monotonic())
        elif isinstance(event, feeds.Polling):
            state.polled, state.refreshing, state.resumed, state.named = stamp, True, False, set()
        elif isinstance(event, NewCookie):
            self._new_cookie(feed, state, event.cookie)
        elif isinstance(event, RefreshDone):
            self._refreshed(feed, state, event, stamp)
        elif isinstance(event, RefreshRequired):
            self._log.warning("%s: the server wants a refresh from the start: %s", feed, event.reason)
            state.scratch, state.current = True, False
            self._numbers.full_refreshes_total += 1
        else:
            if isinstance(event, feeds.Lost):
                self._lost(feed, state, event.error)
            return True
        return False

    def _connected(self, feed: Feed, state: _FeedState, event: Connected) -> None:
        if not state.polled or event.uri != state.standing.uri:
            self._numbers.connections_total += 1
            self._log.log(logging.DEBUG if state.current else logging.INFO, "%s: connected to %s", feed, event.uri)
        state.standing.connected(event)
        self._judge(feed, state)

    def _new_cookie(self, feed: Feed, state: _FeedState, cookie: bytes) -> None:
        if state.refreshing:
            state.cookie = csns.merged(state.cookie, cookie)
        else:
            self._keep_cookie(feed, state, cookie)

    def _keep_cookie(self, feed: Feed, state: _FeedState, cookie: bytes) -> None:
        found = csns.of_cookie(cookie)
        state.known = state.known.join(found)
        self._copy.keep_cookie(feed, csns.cookie_of(state.known) if found else cookie)

    def _upsert(self, feed: Feed, state: _FeedState, event: Upsert) -> None:
        record = event.record
        if state.refreshing:
            state.named.add(record.uuid)
        if state.behind and self._is_ahead(feed, state, record.uuid, record.csn):
            return
        if self._reach.upsert(feed, record, mark=self._copy.complete(feed)):
            self._changed(feed, 1)
            self.newest = max(self.newest, record.csn)
            if record.dn in self._faulty and record.dn not in self._reach.faults:
                self._faulty.discard(record.dn)
                self._copy.worklist.note_entry(record.dn, None, 0)

    def _keep_faults(self) -> None:
        """Note what is wrong with single entries, for `status`."""
        for dn, fault in self._reach.faults.items():
            self._log.warning("%s: %s", dn, fault)
            self._faulty.add(dn)
            self._copy.worklist.note_entry(dn, fault, int(time.time()))
        self._reach.faults.clear()

    def _is_ahead(self, feed: Feed, state: _FeedState, uuid: str, csn: str) -> bool:
        """Tell whether the copy knows an entry better than a server that lags and has the entry's version `csn`."""
        held = self._copy.versions(feed, [uuid]).get(uuid)
        if held is None:
            return state.known.knows(csn)  # we saw it, and saw it go
        own = held[1][0]
        return csn < own and not state.standing.csns.knows(own)

    def _delete(self, feed: Feed, uuids: Iterable[str]) -> None:
        mark = self._copy.complete(feed)
        self._changed(feed, sum(self._reach.delete(feed, uuid, mark=mark) for uuid in uuids))

    def _changed(self, feed: Feed, count: int) -> None:
        self._numbers.changes_total += count
        self.groups_changed |= feed == "groups" and count > 0

    def _refreshed(self, feed: Feed, state: _FeedState, event: RefreshDone, stamp: float) -> None:
        """The refresh is over: what it did not name is gone, and its cookie counts."""
        if event.deletes_by_absence:
            server = state.standing.csns
            absent = [
                uuid
                for _, uuid, csn, _ in self._copy.all_versions(feed)
                if uuid not in state.named and not (state.behind and not server.knows(csn))
            ]
            self._delete(feed, absent)
        state.refreshing, state.scratch, state.named = False, False, set()
        if state.cookie is not None:
            self._keep_cookie(feed, state, state.cookie)
        now = time.monotonic()
        if state.polled:
            state.known = state.known.join(state.standing.csns)
            if state.known:
                self._copy.keep_fact(f"polled {feed}", csns.cookie_of(state.known).decode())
        state.due = now if state.resumed else now + self._settings.follow.poll_interval
        if not state.resumed and not state.behind:
            self._equal(feed, state, state.polled or stamp)
        self._numbers.refreshes_total += 1
        if not state.polled:
            self._log.info("%s: refreshed from %s", feed, "a cookie" if state.resumed else "nothing")
        if not self._copy.complete(feed):
            self._copy.keep_complete(feed)

    def _equal(self, feed: Feed, state: _FeedState, stamp: float) -> None:
        """Note that the copy held at `stamp` what this feed's server held."""
        state.resumed, state.current = False, True
        if self.errors.pop(feed, None) is not None:
            self._log.info("%s: up to date again", feed)
        trouble = self._troubles.get(feed)
        if trouble is None or trouble.kind != "behind":
            self._trouble(feed, None)
            state.proven = stamp

    def _lost(self, feed: Feed, state: _FeedState, error: ToolkitError) -> None:
        if isinstance(error, feeds.NothingThere):
            return  # that is an answer, too, and was dealt with
        state.current = False
        if str(self.errors.get(feed)) != str(error):
            self._log.warning("%s: %s", feed, error)
        self.errors[feed] = error
        self._trouble(feed, of_error(feed, error))
        self._numbers.connection_errors_total += 1

    # Comparing

    def _listed(self, feed: Feed, state: _FeedState, event: Listed, stamp: float) -> None:
        comparison = state.comparison
        if comparison is None:
            return
        comparison.page(self._copy, event.entries)
        if event.complete:
            suspects = comparison.suspects(self._copy)
            if suspects:
                state.thread.look_at(suspects)
            else:
                self._compared(feed, state, comparison, stamp)

    def _looked(self, feed: Feed, state: _FeedState, event: Looked, stamp: float) -> None:
        comparison = state.comparison
        if comparison is None:
            return
        count = 0
        for difference in comparison.looked(self._copy, event.asked, event.records):
            count += 1
            if difference.record is None:
                self._delete(feed, [difference.uuid])
            else:
                self._upsert(feed, state, Upsert(difference.record, added=difference.held is None))
        if count:
            self._numbers.differences_total += count
            text = "%s: %d entries are not as the server had told (moved, hidden, shown or restored); taken over"
            self._log.warning(text, feed, count)
        if comparison.finished:
            self._compared(feed, state, comparison, stamp)

    def _compared(self, feed: Feed, state: _FeedState, comparison: Comparison, stamp: float) -> None:
        now = time.monotonic()
        took = now - comparison.began
        state.comparison = None
        self._numbers.comparisons_total += 1
        if comparison.unsettled:
            state.due = now + max(_SOON, _SHARE * took)
        else:
            state.due = comparison.began + max(self._settings.follow.poll_interval, _SHARE * (took - _SOON))
        if not state.behind and (state.resumed or not state.current):
            self._equal(feed, state, stamp)

    # How the server stands

    def _judge(self, feed: Feed, state: _FeedState) -> None:
        verdict = state.standing.judge(state.known, time.monotonic(), self._settings.follow.patience)
        was_behind = state.behind
        state.behind = verdict.kind in ("behind", "ask", "move") and state.standing.lacks(state.known)
        if verdict.kind == "level":
            if was_behind:
                state.due = 0.0
                self._log.info("%s: %s has all changes again", feed, state.standing.uri)
            if feed not in self.errors:
                self._trouble(feed, None)
        elif verdict.kind == "believe":
            self._log.warning("%s: %s", feed, verdict.text)
            self._believe(feed, state)
        elif verdict.kind == "move":
            if state.wanted != verdict.wanted:
                self._log.warning("%s: %s", feed, verdict.text)
                state.wanted = verdict.wanted
                state.thread.reconnect()
        elif verdict.kind == "ask":
            state.thread.reconnect()
        else:
            if self._trouble(feed, Trouble(feed, "behind", verdict.text)):
                self._log.warning("%s: %s", feed, verdict.text)

    def _believe(self, feed: Feed, state: _FeedState) -> None:
        """Take the server at its word: the copy claims nothing more than it has, and the next comparison rights it."""
        state.known = state.known.meet(state.standing.csns)
        if self._copy.cookie(feed) is not None:
            self._copy.keep_cookie(feed, csns.cookie_of(state.known) if state.known else None)
        # What a reading of everything brings needs no comparison.
        state.due, state.resumed, state.current = 0.0, not state.polled, False
        if feed not in self.errors:
            self._trouble(feed, None)

    # What `status` is told

    def _trouble(self, feed: Feed, trouble: Trouble | None) -> bool:
        """Note what is wrong with a feed, or that nothing is; return whether that is new."""
        if self._troubles.get(feed) == trouble:
            return False
        if trouble is None:
            del self._troubles[feed]
        else:
            self._troubles[feed] = trouble
        self._troubles_changed = True
        return True

    def _keep_troubles(self) -> None:
        if self._troubles_changed:
            self._copy.keep_fact(FACT, encode(self._troubles.values()))
            self._troubles_changed = False
