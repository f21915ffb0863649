"""The feeds that the follower reads from LDAP: one for each base, each in its own thread.

A thread reads events from the server and hands them over in batches; it never
touches the copy. It asks the follower for the cookie each time it (re)connects,
so that it always begins from what is safe on disk, and not before everything
that it handed over earlier has been dealt with.

The follower asks for more than the stream brings (`list_all`, `look_at`); the
answers come with the stream's events.

Where the server does not offer syncrepl, everything is read at intervals.

Not here: which feeds there are (plans.py), what an event means for the copy
(feed_intake.py) and the answers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enc.answers.plans import Feed, FeedPlan
from enc.directory.csns import Csns
from enc.directory.sync_events import (
    BaseMissing,
    Connected,
    Deleted,
    Present,
    RefreshDone,
    RefreshRequired,
    SyncEvent,
    SyncNotOffered,
    Upsert,
)
from enc.directory.sync_stream import Questions
from enc.directory.syncrepl import SyncFeed
from enc.programs import log
from enc.settings import Settings
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable, NotFound, ToolkitError

_BATCH = 256
"""Events handed over together while a refresh runs; later each goes at once."""
_HEAVY = 1 << 20
"""Octets of entries from which on events are handed over at once."""
WAITING = 64
"""Batches that may wait for the follower; then the server has to wait. So it is some 64 MiB, whatever people write."""
_SHORTEST_PAUSE = 0.25
_STEADY = 10.0
"""A connection that lasted so many seconds was a good one; the next pause is the shortest again."""


class NothingThere(NotFound):
    """The base of an optional part does not exist: it holds no entries, and that was handed over."""


@dataclass(frozen=True, slots=True)
class _Go:
    """From where to begin."""

    cookie: bytes | None
    held: bool
    known: Csns


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone, or never came; `error` says why. Nothing that was handed over becomes untrue."""

    error: ToolkitError


@dataclass(frozen=True, slots=True)
class Again:
    """The stream ended because it was asked to, or for want of a usable cookie; the next may begin."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """How far all the servers that answer have got, by address."""

    csns: dict[str, Csns]


@dataclass(frozen=True, slots=True)
class Polling:
    """The server does not offer syncrepl; each reading begins with this and ends with `RefreshDone`."""


FeedEvent = SyncEvent | Lost | Again | Sighted | Polling


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one feed, in order; `stamp` is when the last was received (epoch seconds)."""

    feed: Feed
    stamp: float
    events: tuple[FeedEvent, ...]
    weight: int = 0
    """About how many octets of memory its entries take."""


class FeedThread(threading.Thread):
    """Reads one feed until `end` is called. All methods but `run` are the follower's."""

    def __init__(self, plan: FeedPlan, settings: Settings, batches: queue.Queue[Batch], beat: float) -> None:
        super().__init__(name=f"feed-{plan.feed}", daemon=True)
        self._plan = plan
        self._settings = settings
        self._batches = batches
        self._ended = threading.Event()
        self._questions = Questions()
        self._go: queue.SimpleQueue[_Go] = queue.SimpleQueue()
        self._pending: list[FeedEvent] = []
        self._weight = 0
        """Of the entries in `_pending`."""
        self._log = log.get("follower")
        self._sync = SyncFeed(settings.directory, plan.base, plan.filter_text, beat=beat)
        self._longest_pause = 2 * beat

    def go(self, cookie: bytes | None, *, held: bool, known: Csns) -> None:
        """Let the thread connect; needed once at the start and after each `Lost` and `Again`.

        `cookie` is from where, `held` whether the copy has any entry of this
        feed; a server that has all of `known` is preferred.
        """
        self._go.put(_Go(cookie, held, known))

    def list_all(self) -> None:
        """Ask for the versions of all entries on the stream under way: `Listed` follows."""
        self._questions.list_all()

    def look_at(self, uuids: Sequence[str]) -> None:
        """Ask for single entries on the stream under way: `Looked` follows."""
        self._questions.look_at(uuids)

    def reconnect(self) -> None:
        """End the stream under way; `Again` follows."""
        self._questions.stop.set()

    def end(self) -> None:
        """End the thread, within about a time-out of the directory."""
        self._ended.set()
        self._questions.stop.set()

    def run(self) -> None:
        """Connect, read, report the loss, pause, and again."""
        pause = 0.0
        while (go := self._next_go()) is not None and not self._ended.wait(pause):
            began = time.monotonic()
            self._pending, self._weight = [], 0
            self._questions = Questions()
            if self._ended.is_set():
                return
            error: ToolkitError | None = None
            try:
                self._read(go)
            except SyncNotOffered:
                error = self._poll(go)
            except BaseMissing as missing:
                error = self._missing(missing, held=go.held)
            except ToolkitError as failed:
                error = failed
            except Exception as bug:  # one iteration of a loop that must not end
                self._log.exception("feed %s", self._plan.feed)
                error = DirectoryUnreachable(f"{type(bug).__name__}: {bug}", where=self._plan.base)
            if time.monotonic() - began > _STEADY:
                pause = 0.0
            pause = min(max(2 * pause, _SHORTEST_PAUSE), self._longest_pause)
            self._flush()
            self._hand_over((Lost(error) if error is not None else Again(),))

    def _next_go(self) -> _Go | None:
        while not self._ended.is_set():
            try:
                return self._go.get(timeout=0.25)
            except queue.Empty:
                continue
        return None

    def _hand_over(self, events: Iterable[FeedEvent], weight: int = 0) -> None:
        batch = Batch(self._plan.feed, time.time(), tuple(events), weight)
        waiting = True
        while waiting and not self._ended.is_set():
            try:
                self._batches.put(batch, timeout=0.25)
                waiting = False
            except queue.Full:
                continue

    def _flush(self) -> None:
        if self._pending:
            self._hand_over(self._pending, self._weight)
            self._pending, self._weight = [], 0

    def _read(self, go: _Go) -> None:
        refreshing, questions = True, self._questions
        for event in self._sync.events(go.cookie, questions, known=go.known):
            self._pending.append(event)
            if isinstance(event, Upsert):
                self._weight += event.record.weight()
            if isinstance(event, RefreshRequired):
                return
            if isinstance(event, RefreshDone):
                refreshing = False
            # Between two batches of a refresh nothing else may be due for long; then what there is goes.
            many = len(self._pending) >= _BATCH or self._weight >= _HEAVY
            if not refreshing or many or not isinstance(event, Upsert | Present | Deleted):
                self._flush()
        if not questions.stop.is_set():
            raise DirectoryUnreachable("the server ended the synchronization", where=self._plan.base)

    def _poll(self, go: _Go) -> ToolkitError | None:
        """Read everything at intervals; return what went wrong."""
        ended, known = self._questions.stop, go.known
        while not ended.is_set():
            try:
                self._hand_over((Polling(),))
                reading = self._sync.poll(known)
                for one in reading:
                    if isinstance(one, Connected):
                        known = known.join(one.csns)
                    else:
                        self._weight += one.weight()
                    self._pending.append(one if isinstance(one, Connected) else Upsert(one, added=False))
                    if len(self._pending) >= _BATCH or self._weight >= _HEAVY:
                        self._flush()
                self._pending.append(RefreshDone(deletes_by_absence=True))
                self._flush()
            except NotFound as missing:
                return self._missing(missing, held=go.held)
            except ToolkitError as error:
                return error
            ended.wait(self._settings.follow.poll_interval)
        return None

    def _missing(self, error: ToolkitError, *, held: bool) -> ToolkitError:
        """Say what a base means that does not exist, or that access rules hide: servers do not tell which.

        No site entry, no groups: that is how it is. But nodes or projects that
        have vanished with everything around them are more likely a wrong base
        or a lost right to read, and emptying all answers would be a wrong reply.
        """
        if self._plan.feed == "nodes" or (self._plan.feed == "projects" and held):
            return DirectoryRefused(f"{error.message}; the answers stay as they are", where=f"{self._plan.feed}.base")
        self._hand_over((Polling(), RefreshDone(deletes_by_absence=True)))
        return NothingThere(error.message, where=error.where)
