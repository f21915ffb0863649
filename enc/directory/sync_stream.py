"""One synchronizing search under way, with the questions that overlap it on the same connection.

RFC 4511 lets operations overlap, and that is used three times: to ask whether
the server is alive (and how far it has got), to list the versions of all
entries page by page, and to look at single entries again. What one connection
brings is in the order in which the server sent it.

Not here: choosing a server (servers.py), and what an event means (enc/answers/session.py).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from enc.directory import csns, entries, messages, results, sync_messages
from enc.directory.connection import PAGE, Connection
from enc.directory.csns import NOTHING_KNOWN
from enc.directory.messages import Message, Request, Result, Scope
from enc.directory.servers import Server
from enc.directory.sync_events import (
    Alive,
    BaseMissing,
    Connected,
    Deleted,
    Listed,
    Looked,
    NewCookie,
    Present,
    RefreshDone,
    RefreshRequired,
    SyncEvent,
    SyncNotOffered,
    Upsert,
)
from enc.directory.sync_messages import EntryState, Info, InfoKind
from enc.terms.errors import DirectoryUnreachable, ToolkitError
from enc.terms.record import Record

_SLICE = 0.25
"""So many seconds after `stop` is set, or a question is put, the stream notices at the latest."""
LOOKED_AT_ONCE = 100
"""UUIDs in one question for single entries."""

_COOKIE_REJECTED = frozenset({results.SYNC_REFRESH_REQUIRED, results.UNWILLING, results.PROTOCOL_ERROR})
"""Answers to a cookie: slapd says "unwilling" to one that is newer than itself."""


class Questions:
    """What the owner of a stream asks of it while it runs, from any thread."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set: the stream ends."""
        self._waiting: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        """UUIDs to look at; none of them: all are to be listed."""

    def list_all(self) -> None:
        """Ask for the versions of all entries: `Listed` follows until it is complete."""
        self._waiting.put(())

    def look_at(self, uuids: Sequence[str]) -> None:
        """Ask for these entries: `Looked` follows until all have been asked for."""
        for at in range(0, len(uuids), LOOKED_AT_ONCE):
            self._waiting.put(tuple(uuids[at : at + LOOKED_AT_ONCE]))

    def next(self) -> tuple[str, ...]:
        """Return the UUIDs of the next question, none of them for a listing; raise `queue.Empty`."""
        return self._waiting.get_nowait()


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept up with: the entries below `base` that satisfy `filter_text`."""

    base: str
    filter_text: str
    attributes: Sequence[str]

    def search(self, attributes: Sequence[str], restriction: str = "") -> Request:
        """Return the request for `attributes` of the content, or of the part that satisfies `restriction` too."""
        own = self.filter_text if self.filter_text.startswith("(") else f"({self.filter_text})"
        wanted = f"(&{own}{restriction})" if restriction else own
        return messages.search(self.base, Scope.SUBTREE, wanted, attributes)


@dataclass(slots=True)
class _Question:
    """A listing or a look under way."""

    number: int
    uuids: tuple[str, ...]
    """Empty: all are listed."""
    waited: float = 0.0
    """Seconds since it was answered last; only such in which nobody kept the server waiting."""
    records: list[Record] = field(default_factory=list)


class Stream:
    """The search, from its request to its end."""

    def __init__(
        self, content: Content, server: Server, cookie: bytes | None, *, beat: float, servers: int, persist: bool
    ) -> None:
        """Send the request on the server's connection; `cookie` is offered in a form that hides nothing (csns.py)."""
        self._content = content
        self._server = server
        self._connection: Connection = server.connection
        self._beat = beat
        self._servers = servers
        cookie = csns.offer(cookie, server.csns)
        self._has_cookie = cookie is not None
        self._persist = persist
        self._by_absence = cookie is None
        """Without a cookie the server sends the whole content."""
        self._refreshing = True
        self._ended = False
        self._probe: int | None = None
        self._csns = NOTHING_KNOWN
        self._question: _Question | None = None
        request = content.search(content.attributes)
        self._number = self._connection.start(request, (sync_messages.request(cookie, persist=persist),))

    def events(self, questions: Questions) -> Iterator[SyncEvent]:
        """Yield what happens until `questions.stop` is set."""
        server = self._server
        yield Connected(self._connection.uri, server.csns, self._servers, server.silent)
        try:
            for message in self._messages(questions):
                if message.id == self._number:
                    yield from self._read(message)
                elif message.id == self._probe:
                    yield from self._alive(message)
                elif self._question is not None and message.id == self._question.number:
                    yield from self._answered(self._question, message)
                if self._ended:
                    return
        except messages.Malformed as error:
            raise DirectoryUnreachable(str(error), where=self._connection.uri) from error

    def _messages(self, questions: Questions) -> Iterator[Message]:
        """Yield what arrives; ask whether the server is alive; raise if it is not."""
        connection, limit = self._connection, self._connection.timeout
        next_beat = monotonic() + self._beat
        silent = 0.0
        while not questions.stop.is_set():
            before = monotonic()
            if self._probe is None and before >= next_beat:
                self._probe = self._ask_how_far()
                next_beat = before + self._beat
                silent = 0.0
            if self._question is None and not self._refreshing:
                self._ask(questions)
            message = connection.receive(_SLICE)
            if message is not None:
                silent = 0.0
                yield message
                continue
            # Only time spent waiting counts: while the caller is busy with an event nobody listens.
            waited = 0.0 if connection.heard > before else monotonic() - before
            silent = silent + waited if waited else 0.0
            if self._probe is not None and silent > limit:
                raise DirectoryUnreachable(f"the server has sent nothing for {silent:.1f} s", where=connection.uri)
            if self._question is not None:
                self._question.waited += waited
                if self._question.waited > limit:
                    raise DirectoryUnreachable(
                        f"no answer to a search within {self._question.waited:.1f} s", where=connection.uri
                    )

    def _ask_how_far(self) -> int:
        """Ask anything: it is the answering that counts, also a refusal."""
        self._csns = NOTHING_KNOWN
        place, wanted = (self._server.context, "contextCSN") if self._server.context else ("", "1.1")
        return self._connection.start(messages.search(place, Scope.BASE, "(objectClass=*)", (wanted,)))

    def _alive(self, message: Message) -> Iterator[SyncEvent]:
        if message.operation == messages.ENTRY:
            self._csns = csns.of_values(entries.record(message).all("contextCSN"))
        elif message.operation == messages.SEARCH_DONE:
            # The end of the search, not its entry, is the answer.
            self._probe = None
            yield Alive(self._csns)

    def _ask(self, questions: Questions) -> None:
        """Put the next question, if there is one."""
        try:
            uuids = questions.next()
        except queue.Empty:
            return
        self._question = _Question(self._start(uuids, b""), uuids)

    def _start(self, uuids: tuple[str, ...], page: bytes) -> int:
        """Ask for the entries with `uuids`, or for the versions of all, from `page` on."""
        if uuids:
            these = "".join(f"(entryUUID={uuid})" for uuid in uuids)
            request = self._content.search((*self._content.attributes, "entryUUID"), f"(|{these})")
        else:
            request = self._content.search(("entryUUID", "entryCSN"))
        return self._connection.start(request, (messages.paged(PAGE, page),))

    def _answered(self, question: _Question, message: Message) -> Iterator[SyncEvent]:
        question.waited = 0.0
        if message.operation == messages.ENTRY:
            question.records.append(entries.record(message))
        elif message.operation == messages.SEARCH_DONE:
            result, page = message.result(), messages.page_cookie(message)
            if result.code != results.SUCCESS:
                raise self._failure(result)
            if page:
                question.number = self._start(question.uuids, page)
            else:
                self._question = None
            if not question.uuids:
                found = tuple((record.uuid, record.csn, record.dn) for record in question.records)
                question.records.clear()
                yield Listed(found, complete=not page)
            elif not page:
                yield Looked(question.uuids, tuple(question.records))

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
        elif result.code == results.SUCCESS:
            raise DirectoryUnreachable("the server ended the synchronization", where=self._connection.uri)
        else:
            raise self._failure(result)

    def _failure(self, result: Result) -> ToolkitError:
        if result.code == results.NO_SUCH_OBJECT:
            # Not the same as an empty directory: access rules hide a base in just this way.
            text = f"{self._content.base} does not exist, or this account may not see it"
            return BaseMissing(text, where=self._connection.uri)
        return results.failure(result, f"{self._connection.uri}: {self._content.base}")
