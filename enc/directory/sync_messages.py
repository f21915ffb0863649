"""The values of content synchronization (RFC 4533, section 2): requests, states, phases. Pure.

What they mean for a copy of the directory is in `syncrepl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from enc.directory import ber
from enc.directory.ber import Malformed, integer, octets, value
from enc.directory.messages import Control

REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
STATE = "1.3.6.1.4.1.4203.1.9.1.2"
DONE = "1.3.6.1.4.1.4203.1.9.1.3"
INFO = "1.3.6.1.4.1.4203.1.9.1.4"

_REFRESH_ONLY, _REFRESH_AND_PERSIST = 1, 3


class EntryState(IntEnum):
    """What an entry that arrives is to the copy."""

    PRESENT = 0
    ADD = 1
    MODIFY = 2
    DELETE = 3


class InfoKind(IntEnum):
    """What a Sync Info message says (its tag)."""

    NEW_COOKIE = 0x80
    REFRESH_DELETE = 0xA1
    REFRESH_PRESENT = 0xA2
    ID_SET = 0xA3


@dataclass(frozen=True, slots=True)
class Info:
    """One Sync Info message."""

    kind: InfoKind
    cookie: bytes | None
    flag: bool
    """Of a refresh message: refreshDone. Of an ID set: refreshDeletes (the entries are gone)."""
    uuids: tuple[str, ...] = ()


def request(cookie: bytes | None, *, persist: bool) -> Control:
    """Return the control that makes a search a synchronization; critical, so that nobody mistakes it."""
    mode = integer(_REFRESH_AND_PERSIST if persist else _REFRESH_ONLY, ber.ENUMERATED)
    return Control(REQUEST, value(ber.SEQUENCE, mode, b"" if cookie is None else octets(cookie)), critical=True)


def uuid_text(raw: bytes) -> str:
    """Return an entryUUID of 16 octets as the attribute shows it."""
    if len(raw) != 16:
        raise Malformed("an entryUUID that does not have 16 octets")
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def state(content: bytes) -> tuple[EntryState, str, bytes | None]:
    """Return state, UUID and cookie of a Sync State control's value."""
    _, start, end = ber.span(content, 0, len(content))
    parts = ber.spans(content, start, end)
    if len(parts) < 2:
        raise Malformed("a Sync State control that is not one")
    (_, a, b), (_, c, d) = parts[:2]
    cookie = content[parts[2][1] : parts[2][2]] if len(parts) > 2 else None
    try:
        return EntryState(ber.to_integer(content, a, b)), uuid_text(content[c:d]), cookie
    except ValueError as error:
        raise Malformed(str(error)) from error


def done(content: bytes | None) -> tuple[bytes | None, bool]:
    """Return cookie and refreshDeletes of a Sync Done control's value."""
    if not content:
        return None, False
    _, start, end = ber.span(content, 0, len(content))
    cookie, deletes, _ = _sequence(content, start, end, False)
    return cookie, deletes


def info(content: bytes) -> Info:
    """Return a Sync Info message's value."""
    tag, start, end = ber.span(content, 0, len(content))
    try:
        kind = InfoKind(tag)
    except ValueError as error:
        raise Malformed(f"a Sync Info message of the unknown kind {tag:#x}") from error
    if kind is InfoKind.NEW_COOKIE:
        return Info(kind, content[start:end], False)
    return Info(kind, *_sequence(content, start, end, kind is not InfoKind.ID_SET))


def _sequence(content: bytes, start: int, end: int, flag: bool) -> tuple[bytes | None, bool, tuple[str, ...]]:
    """Read cookie, truth value (default `flag`) and UUIDs: the three always stand in this order."""
    cookie: bytes | None = None
    uuids: tuple[str, ...] = ()
    for tag, first, last in ber.spans(content, start, end):
        if tag == ber.OCTETS:
            cookie = content[first:last]
        elif tag == ber.BOOLEAN:
            flag = content[first:last] != b"\x00"
        elif tag == ber.SET:
            uuids = tuple(uuid_text(content[a:b]) for _, a, b in ber.spans(content, first, last))
    return cookie, flag, uuids
