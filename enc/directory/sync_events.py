"""What a stream of changes (syncrepl.py) is made of: its events, and why there is none. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from enc.directory.csns import NOTHING_KNOWN, Csns
from enc.terms.errors import DirectoryRefused
from enc.terms.record import Record


class SyncNotOffered(DirectoryRefused):
    """The server does not synchronize (no syncprov there): read everything from time to time instead."""


class BaseMissing(DirectoryRefused):
    """The base does not exist, or this account may not see it: a server does not tell which."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The server at `uri` took us and the question was sent."""

    uri: str
    csns: Csns = NOTHING_KNOWN
    """How far that server has got; empty where it does not say."""
    servers: int = 1
    """How many servers are configured."""
    silent: int = 0
    """How many of them were asked how far they have got, and did not answer."""


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
    """The refresh is complete; see syncrepl.py for what follows about entries not named."""

    deletes_by_absence: bool


@dataclass(frozen=True, slots=True)
class RefreshRequired:
    """The cookie is of no use; `reason` in the server's words. The stream ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class Alive:
    """The server answered just now."""

    csns: Csns = NOTHING_KNOWN
    """How far it has got; empty where it does not say."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Some of the entries that the server has just now, as a search shows them: (UUID, entryCSN, DN)."""

    entries: tuple[tuple[str, str, str], ...]
    complete: bool
    """These were the last."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The server was asked for the entries with the UUIDs `asked`; `records` are those that it has."""

    asked: tuple[str, ...]
    records: tuple[Record, ...]


SyncEvent = Connected | Upsert | Present | Deleted | NewCookie | RefreshDone | RefreshRequired | Alive | Listed | Looked
