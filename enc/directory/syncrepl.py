"""Keeping up with a directory: the consumer's side of RFC 4533, as a stream of events.

Owns one connection while a stream is read, and no state beyond it: the copy,
its cookie and what to do about an event are the follower's.

How a stream goes. `Connected` first. Then the *refresh*: what changed since the
cookie as `Upsert` and `Deleted`, or, where the server no longer knows what was
deleted, every entry is at least named (`Present`); then `RefreshDone`, which
says whether what was not named is gone. From then on (*persist*) each change
arrives as it happens. A `NewCookie` covers all events before it: keep the
cookie in the same transaction as what they did, or later, never earlier.

    deletes_by_absence   the copy after RefreshDone holds exactly what this stream named
    not so               the copy holds what it held, plus Upserts, minus Deleted

`RefreshRequired` ends a stream: the cookie is of no use (the server forgot it,
or was restored from a backup that is older than it). Start again without one.
A cookie that is accepted is a promise of the server and not a proof: after a
restore followed by new changes a server takes an old cookie and keeps quiet
about what the backup took back. Compare `versions` after each reconnection.

`Alive` comes about every `beat` seconds, each time the server has answered a
question sent *on the same connection* (RFC 4511 lets operations overlap). A
process that is stopped, a dead network path and a hung server do not answer,
and end the stream with `DirectoryUnreachable` after the time-out. So `Alive`
after `RefreshDone` means that the copy was equal to LDAP when the question was
asked, but for changes still on the way, which come within moments.

All in the caller's thread. Events are made one by one from the socket, so a
slow reader slows the server down and memory stays flat.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

from enc.classify.model import Record
from enc.directory import entries, messages, results, sync_messages
from enc.directory.connection import Connection, open_connection
from enc.directory.messages import Message, Scope
from enc.directory.sync_messages import EntryState, Info, InfoKind
from enc.errors import DirectoryRefused, DirectoryUnreachable
from enc.settings import DirectorySettings

_SLICE = 0.25
"""So many seconds after `stop` is set the stream ends at the latest."""

_COOKIE_REJECTED = frozenset({results.SYNC_REFRESH_REQUIRED, results.UNWILLING, results.PROTOCOL_ERROR})
"""Answers to a cookie: slapd says "unwilling" to one that is newer than itself."""


class SyncNotOffered(DirectoryRefused):
    """The server does not synchronize (no syncprov there): read everything from time to time instead."""


class BaseMissing(DirectoryRefused):
    """The base does not exist, or this account may not see it: a server does not tell which."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The server at `uri` took us and the question was sent."""

    uri: str


@dataclass(frozen=True, slots=True)
class Upsert:
    """The entry is as `record` says; its DN may be new. `record.uuid` identifies it."""

    record: Record
    added: bool
    """The server says that it came into the content; it may be in the copy all the same."""


@dataclass(frozen=True, slots=True)
class Present:
    """These entries are there and unchanged (UUIDs)."""

    uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deleted:
    """These entries are not in the content any more (UUIDs), if they were in the copy at all."""

    uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewCookie:
    """Where to go on from, once all events before this one are safe."""

    cookie: bytes


@dataclass(frozen=True, slots=True)
class RefreshDone:
    """The refresh is complete; see the module's text for what follows about entries not named."""

    deletes_by_absence: bool


@dataclass(frozen=True, slots=True)
class RefreshRequired:
    """The cookie is of no use; `reason` in the server's words. The stream ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class Alive:
    """The server answered just now."""


SyncEvent = Connected | Upsert | Present | Deleted | NewCookie | RefreshDone | RefreshRequired | Alive


@dataclass(frozen=True, slots=True)
class SyncFeed:
    """What to keep up with: the entries below `base` that satisfy `filter_text`."""

    directory: DirectorySettings
    base: str
    filter_text: str = "(objectClass=*)"
    attributes: Sequence[str] = ("*", "entryCSN")
    beat: float = 2.0
    """Seconds between two questions whether the server is alive."""

    def events(
        self, cookie: bytes | None, stop: threading.Event | None = None, *, persist: bool = True
    ) -> Iterator[SyncEvent]:
        """Yield what happens from `cookie` (None: from nothing) until `stop` is set, or, without `persist`, is known.

        Raise `SyncNotOffered`, `DirectoryUnreachable` or `DirectoryRefused`;
        whatever ends the stream, what was yielded is true.
        """
        with closing(open_connection(self.directory)) as connection:
            yield from _Stream(self, connection, cookie, persist).events(stop or threading.Event())

    def poll(self) -> Iterator[Record]:
        """Yield all entries, for servers that do not synchronize. Complete only if it ends without an error."""
        with closing(open_connection(self.directory)) as connection:
            wanted = tuple(dict.fromkeys((*self.attributes, "entryUUID")))
            yield from connection.read_all(self.base, self.filter_text, attributes=wanted)

    def versions(self) -> Iterator[tuple[str, str]]:
        """Yield (UUID, entryCSN) of all entries: what a copy must hold to be equal."""
        with closing(open_connection(self.directory)) as connection:
            wanted = ("entryUUID", "entryCSN")
            for record in connection.read_all(self.base, self.filter_text, attributes=wanted):
                yield record.uuid, record.csn


class _Stream:
    """One search under way."""

    def __init__(self, feed: SyncFeed, connection: Connection, cookie: bytes | None, persist: bool) -> None:
        self._feed = feed
        self._connection = connection
        self._has_cookie = cookie is not None
        self._persist = persist
        self._by_absence = cookie is None
        """Without a cookie the server sends the whole content."""
        self._refreshing = True
        self._ended = False
        self._probe: int | None = None
        request = messages.search(feed.base, Scope.SUBTREE, feed.filter_text, feed.attributes)
        self._number = connection.start(request, (sync_messages.request(cookie, persist=persist),))

    def events(self, stop: threading.Event) -> Iterator[SyncEvent]:
        yield Connected(self._connection.uri)
        try:
            for message in self._messages(stop):
                if message.id == self._number:
                    yield from self._read(message)
                elif message.id == self._probe:
                    self._probe = None
                    yield Alive()
                if self._ended:
                    return
        except messages.Malformed as error:
            raise DirectoryUnreachable(str(error), where=self._connection.uri) from error

    def _messages(self, stop: threading.Event) -> Iterator[Message]:
        """Yield what arrives; ask whether the server is alive; raise if it is not."""
        connection, limit = self._connection, self._connection.timeout
        next_beat = monotonic() + self._feed.beat
        silent = 0.0
        while not stop.is_set():
            before = monotonic()
            if self._probe is None and before >= next_beat:
                # Any answer will do, also a refusal: it is the answering that counts.
                self._probe = connection.start(messages.search("", Scope.BASE, "(objectClass=*)", ("1.1",)))
                next_beat = before + self._feed.beat
                silent = 0.0
            message = connection.receive(_SLICE)
            if message is not None:
                silent = 0.0
                # The end of the probe's search, not its entry, is the answer.
                if message.id == self._number or message.operation == messages.SEARCH_DONE:
                    yield message
                continue
            # Only time spent waiting counts: while the caller is busy with an event nobody listens.
            silent = 0.0 if connection.heard > before else silent + (monotonic() - before)
            if self._probe is not None and silent > limit:
                raise DirectoryUnreachable(f"the server has been silent for {silent:.1f} s", where=connection.uri)

    def _read(self, message: Message) -> Iterator[SyncEvent]:
        if message.operation == messages.ENTRY:
            yield from self._entry(message)
        elif message.operation == messages.INTERMEDIATE:
            name, content = message.intermediate()
            if name == sync_messages.INFO:
                yield from self._info(sync_messages.info(content))
        elif message.operation == messages.SEARCH_DONE:
            yield from self._done(message)
        # What else belongs to a search are references to other servers, whose content is not ours.

    def _entry(self, message: Message) -> Iterator[SyncEvent]:
        control = message.control(sync_messages.STATE)
        if control is None:
            # It took the critical control and does not know it: a proxy, or slapd as it loses its overlay.
            raise SyncNotOffered("the server sends entries without Sync State controls", where=self._connection.uri)
        state, uuid, cookie = sync_messages.state(control)
        if state is EntryState.DELETE:
            yield Deleted((uuid,))
        elif state is EntryState.PRESENT:
            yield Present((uuid,))
        else:
            yield Upsert(entries.record(message, uuid=uuid), state is EntryState.ADD)
        if cookie is not None:
            yield NewCookie(cookie)

    def _info(self, info: Info) -> Iterator[SyncEvent]:
        if info.kind is InfoKind.ID_SET:
            yield Deleted(info.uuids) if info.flag else Present(info.uuids)
        elif info.kind is not InfoKind.NEW_COOKIE and self._refreshing:
            # A delete phase may follow a present phase; absence then still counts at its end.
            self._by_absence |= info.kind is InfoKind.REFRESH_PRESENT
            if info.flag:
                self._refreshing = False
                yield RefreshDone(self._by_absence)
        if info.cookie is not None:
            yield NewCookie(info.cookie)

    def _done(self, message: Message) -> Iterator[SyncEvent]:
        self._ended = True
        result = message.result()
        if result.code == results.SUCCESS and not self._persist:
            cookie, deletes = sync_messages.done(message.control(sync_messages.DONE))
            yield RefreshDone(self._by_absence or not deletes)
            if cookie is not None:
                yield NewCookie(cookie)
        elif result.code == results.SYNC_REFRESH_REQUIRED or (self._has_cookie and result.code in _COOKIE_REJECTED):
            yield RefreshRequired(result.diagnostic or f"code {result.code}")
        elif result.code == results.CRITICAL_UNAVAILABLE:
            raise SyncNotOffered("the server does not offer syncrepl (RFC 4533)", where=self._connection.uri)
        elif result.code == results.NO_SUCH_OBJECT:
            # Not the same as an empty directory: access rules hide a base in just this way.
            raise BaseMissing(
                f"{self._feed.base} does not exist, or this account may not see it", where=self._connection.uri
            )
        elif result.code == results.SUCCESS:
            raise DirectoryUnreachable("the server ended the synchronization", where=self._connection.uri)
        else:
            raise results.failure(result, f"{self._connection.uri}: {self._feed.base}")
