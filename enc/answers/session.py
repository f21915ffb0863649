"""One session of the follower: from opening the copy to the first failure that cannot be dealt with in place.

One loop does everything that touches the copy and the files; the threads of
feeds.py only read from the network. A turn of the loop:

1. take what the feeds handed over, put it into the copy together with the
   cookies that stand for it and the names it reaches, in one transaction;
2. once all feeds are complete, make the answers of these names anew;
3. at each beat say how things are (`contact`, metrics).

`contact` advances only to a moment at which every feed was known to be alive,
everything it had said was in the copy, and no name was waiting. So an answer
is never called younger than it is.

A refresh that was asked for without a cookie names everything, and what it
does not name is deleted at its end, not before: good answers never wait for a
refresh to finish.

Not here: what happens after a session has ended (follower.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from enc import log, prometheus
from enc.answers import feeds, metrics
from enc.answers.copy import Copy, CopyDamaged, Feed, guarded
from enc.answers.layout import Contact, Layout
from enc.answers.reach import Reach
from enc.answers.reader import read_contact
from enc.answers.work import WorkTeam
from enc.answers.worklist import Outcome
from enc.answers.writer import AnswerWriter
from enc.classify.gather import members
from enc.classify.render import ANSWER_FORMAT
from enc.directory.syncrepl import Alive, Connected, Deleted, NewCookie, Present, RefreshDone, RefreshRequired, Upsert
from enc.errors import ToolkitError
from enc.settings import Settings

_TAKEN = 4000
"""Events taken together at most, so that a refresh is committed in pieces."""
_REMEMBERED = 90 * 86400
"""Seconds for which a deleted node is remembered as such."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class _FeedState:
    """Where one feed stands in this session."""

    thread: feeds.FeedThread
    named: set[str] = field(default_factory=set)
    """UUIDs that the refresh under way has named."""
    refreshing: bool = True
    resumed: bool = False
    """Whether the connection began from a cookie; then the rest of the copy is still to be compared."""
    doomed: bool = False
    """Whether the stream is to end and the next begin without a cookie."""
    cookie: bytes | None = None
    """Received during a refresh; counts once the refresh is done."""
    current: bool = False
    polled: float = 0.0
    """When the reading under way began, where the server has to be polled."""
    proven: float = 0.0
    """When the copy was last known to hold what this feed's server holds."""


class Session:
    """From opening the copy to the first failure that cannot be dealt with in place."""

    def __init__(
        self, layout: Layout, settings: Settings, writer: AnswerWriter, numbers: metrics.Metrics, stop: threading.Event
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._writer = writer
        self._numbers = numbers
        self._stop = stop
        self._log = log.get("follower")
        self._batches: queue.Queue[feeds.Batch] = queue.Queue(feeds.WAITING)
        self._feeds: dict[Feed, _FeedState] = {}
        self._errors: dict[Feed, ToolkitError] = {}
        self._team = WorkTeam(layout, settings, writer, self._idle)
        self._last_beat = 0.0
        self._said: dict[str, str] = {}
        self._said_current = False
        self._newest = ""
        self._groups_changed = True
        before = read_contact(layout)
        # If the clock was set back, nothing is known until LDAP answers.
        self._contact = before.contact if before and before.contact <= time.time() else 0

    def run(self, *, once: bool) -> None:
        """Work until told to stop."""
        with guarded(self._layout.copy):
            self._open()
            try:
                self._work(once)
            finally:
                for state in self._feeds.values():
                    state.thread.end()
                self._copy.close()
        self._beat()

    def _open(self) -> None:
        self._copy = Copy(self._layout.copy, self._settings)
        self._reach = Reach(self._copy, self._settings)

    def _work(self, once: bool) -> None:
        self._prepare()
        for plan in feeds.plans(self._settings):
            thread = feeds.FeedThread(plan, self._settings, self._batches)
            self._feeds[plan.feed] = _FeedState(thread)
            thread.start()
            self._start(plan.feed)
        while not self._stop.is_set():
            batches = self._take()
            if batches:
                self._apply(batches)
            if self._complete():
                self._copy.worklist.mark_over(time.time())
                self._make()
                self._advance()
            if self._beat_is_due():
                self._measure()
                self._beat()
            if once and self._contact and self._is_current():
                return
            if once and self._errors:
                raise next(iter(self._errors.values()))

    def _prepare(self) -> None:
        """Find out what cannot be trusted: after a crash of the machine, or with another configuration."""
        self._copy.check()
        self._said = {problem.name: problem.message for problem in self._copy.worklist.problems()}
        shape = _shape_of_copy(self._settings)
        if self._copy.fact("shape") not in (None, shape):
            raise CopyDamaged("the copy was made with other bases or filters", where=str(self._layout.copy))
        facts = {
            "shape": shape,
            "boot": _BOOT.read_text(encoding="ascii").strip(),
            "answers": _shape_of_answers(self._settings),
        }
        with self._copy.transaction():
            self._copy.worklist.bury(int(time.time()) - _REMEMBERED)
            self._copy.worklist.doubt()
            if any(self._copy.fact(key) != value for key, value in facts.items()):
                self._copy.worklist.mark_all(self._copy.project_names(), rewrite=True)
            for key, value in facts.items():
                self._copy.keep_fact(key, value)
            if all(self._copy.complete(plan.feed) for plan in feeds.plans(self._settings)):
                self._copy.worklist.mark_missing(self._writer.on_disk())
                self._retain()
        self._writer.fallback(self._settings.nodes.semantics == "terminus")

    def _retain(self) -> None:
        gone = self._writer.retain(self._copy.node_names(), self._copy.project_names())
        self._numbers.answers_removed_total += gone

    def _start(self, feed: Feed) -> None:
        """Let a feed's thread (re)connect from what is safe in the copy."""
        state = self._feeds[feed]
        cookie = self._copy.cookie(feed)
        state.named, state.cookie, state.polled = set(), None, 0.0
        state.refreshing, state.resumed, state.doomed = True, cookie is not None, False
        state.thread.go(cookie, held=self._copy.holds(feed))

    # What the feeds say

    def _take(self) -> list[feeds.Batch]:
        """Return what has been handed over, waiting a moment for it."""
        taken: list[feeds.Batch] = []
        count = 0
        with contextlib.suppress(queue.Empty):
            taken.append(self._batches.get(timeout=min(self._settings.follow.beat, 0.5)))
            while (count := count + len(taken[-1].events)) < _TAKEN:
                taken.append(self._batches.get_nowait())
        return taken

    def _apply(self, batches: list[feeds.Batch]) -> None:
        """Put batches into the copy, then let the feeds that ended their stream start again."""
        again: list[Feed] = []
        with self._copy.transaction():
            for batch in batches:
                for event in batch.events:
                    if self._event(batch.feed, event, batch.stamp):
                        again.append(batch.feed)
        for feed in again:
            self._start(feed)

    def _event(self, feed: Feed, event: feeds.FeedEvent, stamp: float) -> bool:
        """Deal with one event; return whether the feed waits to be started again."""
        state = self._feeds[feed]
        if isinstance(event, Upsert):
            if state.refreshing:
                state.named.add(event.record.uuid)
            if self._reach.upsert(feed, event.record, mark=self._copy.complete(feed)):
                self._changed(feed, 1)
                self._newest = max(self._newest, event.record.csn)
        elif isinstance(event, Present):
            state.named.update(event.uuids)
        elif isinstance(event, Deleted):
            self._delete(feed, event.uuids)
        elif isinstance(event, Alive):
            if state.current and not state.refreshing:
                state.proven = stamp
        elif isinstance(event, Connected):
            self._numbers.connections_total += 1
            self._log.log(logging.DEBUG if state.current else logging.INFO, "%s: connected to %s", feed, event.uri)
        elif isinstance(event, feeds.Polling):
            state.polled, state.refreshing, state.named = stamp, True, set()
        elif isinstance(event, feeds.Lost):
            self._lost(feed, state, event.error)
            return True
        elif isinstance(event, feeds.Again):
            return True
        elif isinstance(event, RefreshRequired):
            self._log.warning("%s: the server wants a refresh from the start: %s", feed, event.reason)
            self._from_nothing(feed, state)
        elif not state.doomed:
            self._progress(feed, state, event, stamp)
        return False

    def _progress(
        self, feed: Feed, state: _FeedState, event: NewCookie | RefreshDone | feeds.Versions, stamp: float
    ) -> None:
        if isinstance(event, RefreshDone):
            self._refreshed(feed, state, event, stamp)
        elif isinstance(event, feeds.Versions):
            self._compare(feed, state, event, stamp)
        elif state.refreshing:
            state.cookie = event.cookie
        else:
            self._copy.keep_cookie(feed, event.cookie)

    def _delete(self, feed: Feed, uuids: Iterable[str]) -> None:
        mark = self._copy.complete(feed)
        self._changed(feed, sum(self._reach.delete(feed, uuid, mark=mark) for uuid in uuids))

    def _changed(self, feed: Feed, count: int) -> None:
        self._numbers.changes_total += count
        self._groups_changed |= feed == "groups" and count > 0

    def _refreshed(self, feed: Feed, state: _FeedState, event: RefreshDone, stamp: float) -> None:
        """The refresh is over: what it did not name is gone, and its cookie counts."""
        if event.deletes_by_absence:
            self._delete(feed, self._copy.uuids(feed) - state.named)
        state.refreshing, state.named = False, set()
        if state.cookie is not None:
            self._copy.keep_cookie(feed, state.cookie)
        if not state.resumed:
            self._equal(feed, state, state.polled or stamp)
        self._numbers.refreshes_total += 1
        if not state.polled:
            self._log.info("%s: refreshed from %s", feed, "a cookie" if state.resumed else "nothing")
        if not self._copy.complete(feed):
            self._copy.keep_complete(feed)
            if self._complete():
                # Everything is known for the first time: all answers are due, and those of others go.
                self._copy.worklist.mark_all(self._copy.project_names(), rewrite=True)
                self._retain()

    def _equal(self, feed: Feed, state: _FeedState, stamp: float) -> None:
        """Note that the copy held at `stamp` what this feed's server held."""
        state.current, state.proven = True, stamp
        if self._errors.pop(feed, None) is not None:
            self._log.info("%s: up to date again", feed)

    def _compare(self, feed: Feed, state: _FeedState, event: feeds.Versions, stamp: float) -> None:
        """After a resumption: is the rest of the copy what the server holds?

        Entries that the server changed later than anything we hold are on their
        way to us. Whatever else differs is the mark of a server that was restored
        (or a change on its way that looks like one: then we read once too often).
        """
        held = self._copy.versions(feed)
        newest = max(held.values(), default="")
        odd = sum(
            held.get(uuid) != event.csns.get(uuid) and not event.csns.get(uuid, "") > newest
            for uuid in held.keys() | event.csns.keys()
        )
        state.resumed = False
        if odd:
            self._log.warning("%s: %d entries are not as the server has them; reading everything", feed, odd)
            self._from_nothing(feed, state)
            state.thread.reconnect()
        else:
            self._equal(feed, state, stamp)

    def _from_nothing(self, feed: Feed, state: _FeedState) -> None:
        """Give the cookie up: the next connection reads everything."""
        self._copy.keep_cookie(feed, None)
        state.doomed, state.current = True, False
        self._numbers.full_refreshes_total += 1

    def _lost(self, feed: Feed, state: _FeedState, error: ToolkitError) -> None:
        if isinstance(error, feeds.NothingThere):
            return  # that is an answer, too, and was dealt with
        state.current = False
        if str(self._errors.get(feed)) != str(error):
            self._log.warning("%s: %s", feed, error)
        self._errors[feed] = error
        self._numbers.connection_errors_total += 1

    # What follows from it

    def _complete(self) -> bool:
        return all(self._copy.complete(feed) for feed in self._feeds)

    def _make(self) -> None:
        """Make the answers on the list anew."""
        count = self._copy.worklist.dirty_count()
        began = time.monotonic()
        if self._team.are_many(count):
            ranges = self._copy.worklist.dirty_bounds(os.cpu_count() or 1)
            self._copy.close()
            try:
                outcomes = self._team.many(ranges)
            finally:
                self._open()
                self._writer.look()
            self._copy.worklist.settle(outcomes, int(time.time()))
            self._count(outcomes)
            self._log.info("%d names done in %.1f s", count, time.monotonic() - began)
        elif count:
            for outcomes in self._team.few(self._copy):
                self._count(outcomes)
        for project, trouble in self._team.projects(self._copy):
            if trouble is not None:
                self._say(f"project {project}", trouble)
        if self._groups_changed:
            found = ((record.dn, members(record).problem) for record in self._copy.groups())
            problems = {dn: problem for dn, problem in found if problem is not None}
            self._copy.worklist.report("group", problems, int(time.time()))
            for dn, problem in problems.items():
                self._say(f"group {dn}", problem)
            self._groups_changed = False
        if count and self._newest:
            self._numbers.lag_seconds = max(0.0, time.time() - _time_of(self._newest))
            self._newest = ""

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        self._numbers.answers_written_total += sum(outcome.wrote for outcome in outcomes)
        self._numbers.answers_removed_total += sum(outcome.gone for outcome in outcomes)
        for outcome in outcomes:
            if outcome.problem is None:
                self._said.pop(outcome.name, None)
            else:
                self._say(outcome.name, outcome.problem)

    def _say(self, name: str, problem: str) -> None:
        """Log what cannot be classified once, and not each time that it is tried."""
        if self._said.get(name) != problem:
            self._said[name] = problem
            self._log.warning("%s: %s", name, problem)

    def _advance(self) -> None:
        """Everything that the feeds said so far is on disk: the answers are as young as the oldest proof."""
        proven = int(min(state.proven for state in self._feeds.values()))
        # Never backwards, unless the clock itself went back.
        self._contact = max(self._contact, proven) if self._contact <= time.time() else proven
        if self._is_current() != self._said_current:
            self._measure()
            self._beat()

    def _measure(self) -> None:
        numbers, copy = self._numbers, self._copy
        numbers.nodes, numbers.problems, numbers.pending = (
            copy.count_nodes(),
            copy.worklist.count_problems(),
            copy.worklist.dirty_count(),
        )

    def _is_current(self) -> bool:
        return bool(self._feeds) and all(state.current for state in self._feeds.values())

    def _beat_is_due(self) -> bool:
        return time.monotonic() - self._last_beat >= self._settings.follow.beat

    def _idle(self) -> None:
        if self._beat_is_due():
            self._beat()

    def _beat(self) -> None:
        """Say how things are."""
        self._last_beat = time.monotonic()
        now = time.time()
        current = self._said_current = self._is_current()
        if self._contact:
            self._writer.contact(
                Contact(
                    self._contact,
                    int(now),
                    int(self._settings.answers.max_age),
                    "current" if current else "unreachable",
                )
            )
        self._numbers.up = float(current)
        self._numbers.age_seconds = max(0.0, now - self._contact) if self._contact else float("inf")
        if self._settings.follow.metrics_file:
            prometheus.write_file(self._settings.follow.metrics_file, self._numbers.text())


def _shape_of_copy(settings: Settings) -> str:
    """Return what changes when the copy would hold other entries, or find them by other keys."""
    nodes = settings.nodes
    keys = (nodes.parent_attribute, nodes.project, nodes.variable_attributes, nodes.semantics)
    return repr([(plan.feed, plan.base, plan.filter_text) for plan in feeds.plans(settings)] + [keys])


def _shape_of_answers(settings: Settings) -> str:
    """Return what changes when the same records would give other answers."""
    answers = (settings.answers.variable, settings.answers.on_bad_entry)
    parts = (settings.nodes, settings.projects, settings.groups, settings.site, answers)
    return f"{ANSWER_FORMAT} {parts!r}"


def _time_of(csn: str) -> float:
    """Return the time stamp of an entryCSN (`20120101120000.123456Z#…`) in epoch seconds; now if it has none."""
    try:
        return datetime.strptime(csn.partition("#")[0], "%Y%m%d%H%M%S.%fZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return time.time()
