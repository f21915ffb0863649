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

A stream is not all there is to know. A server that resumes from a cookie only
promises that the rest of the copy is still true: after a restore followed by
new changes it keeps quiet about what the backup took back. And what changes an
entry's place or visibility without touching the entry (a rename above it,
another access rule) comes in no stream at all. So while a stream runs its owner
asks for a listing of all versions, and for another look at single entries, on
the same connection (`Questions`: `Listed`, `Looked`).

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

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from enc.directory.csns import NOTHING_KNOWN, Csns
from enc.directory.servers import choose
from enc.directory.sync_events import Connected, SyncEvent
from enc.directory.sync_stream import Content, Questions, Stream
from enc.settings import DirectorySettings
from enc.terms.record import Record


@dataclass(frozen=True, slots=True)
class SyncFeed:
    """What to keep up with: the entries below `base` that satisfy `filter_text`."""

    directory: DirectorySettings
    base: str
    filter_text: str = "(objectClass=*)"
    attributes: Sequence[str] = ("*", "entryCSN", "modifiersName")
    beat: float = 2.0
    """Seconds between two questions whether the server is alive."""

    def events(
        self,
        cookie: bytes | None,
        questions: Questions | None = None,
        *,
        known: Csns = NOTHING_KNOWN,
        persist: bool = True,
    ) -> Iterator[SyncEvent]:
        """Yield what happens from `cookie` (None: from nothing) until told to stop, or, without `persist`, is known.

        A server that has all of `known` is preferred. Raise `SyncNotOffered`,
        `DirectoryUnreachable` or `DirectoryRefused`; whatever ends the stream,
        what was yielded is true.
        """
        server = choose(self.directory, self.base, known)
        with closing(server.connection):
            content = Content(self.base, self.filter_text, self.attributes)
            servers = len(self.directory.uris)
            stream = Stream(content, server, cookie, beat=self.beat, servers=servers, persist=persist)
            yield from stream.events(questions or Questions())

    def poll(self, known: Csns = NOTHING_KNOWN) -> Iterator[Connected | Record]:
        """Yield which server was taken, then all entries, for servers that do not synchronize.

        Complete only if it ends without an error.
        """
        server = choose(self.directory, self.base, known)
        with closing(server.connection) as connection:
            yield Connected(connection.uri, server.csns, len(self.directory.uris), server.silent)
            wanted = tuple(dict.fromkeys((*self.attributes, "entryUUID")))
            yield from connection.read_all(self.base, self.filter_text, attributes=wanted)
