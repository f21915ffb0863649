"""The values of content synchronization (RFC 4533, section 2): requests, states, phases. Pure.

What they mean for a copy of the directory is in `syncrepl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ldap3.utils.asn1 import compute_ber_size, decode_octet_string, decode_sequence
from pyasn1.type.namedtype import DefaultedNamedType, NamedType, NamedTypes, OptionalNamedType
from pyasn1.type.univ import Boolean, Enumerated, OctetString, Sequence

from enc.directory import messages
from enc.directory.messages import Control, Malformed

REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
STATE = "1.3.6.1.4.1.4203.1.9.1.2"
DONE = "1.3.6.1.4.1.4203.1.9.1.3"
INFO = "1.3.6.1.4.1.4203.1.9.1.4"

_REFRESH_ONLY, _REFRESH_AND_PERSIST = 1, 3
_BOOLEAN, _OCTETS, _SET = 1, 4, 17


class EntryState(IntEnum):
    """What an entry that arrives is to the copy."""

    PRESENT = 0
    ADD = 1
    MODIFY = 2
    DELETE = 3


class InfoKind(IntEnum):
    """What a Sync Info message says (its tag)."""

    NEW_COOKIE = 0
    REFRESH_DELETE = 1
    REFRESH_PRESENT = 2
    ID_SET = 3


@dataclass(frozen=True, slots=True)
class Info:
    """One Sync Info message."""

    kind: InfoKind
    cookie: bytes | None
    flag: bool
    """Of a refresh message: refreshDone. Of an ID set: refreshDeletes (the entries are gone)."""
    uuids: tuple[str, ...] = ()


class _RequestValue(Sequence):
    """RFC 4533, section 2.2."""

    componentType = NamedTypes(
        NamedType("mode", Enumerated()),
        OptionalNamedType("cookie", OctetString()),
        DefaultedNamedType("reloadHint", Boolean(False)),
    )


_INFO_DECODERS: dict[int, Any] = {
    InfoKind.NEW_COOKIE: decode_octet_string,
    InfoKind.REFRESH_DELETE: decode_sequence,
    InfoKind.REFRESH_PRESENT: decode_sequence,
    InfoKind.ID_SET: decode_sequence,
}


def request(cookie: bytes | None, *, persist: bool) -> Control:
    """Return the control that makes a search a synchronization; critical, so that nobody mistakes it."""
    value = _RequestValue()
    value["mode"] = _REFRESH_AND_PERSIST if persist else _REFRESH_ONLY
    if cookie is not None:
        value["cookie"] = cookie
    return Control(REQUEST, messages.encode(value), critical=True)


def uuid_text(raw: bytes) -> str:
    """Return an entryUUID of 16 octets as the attribute shows it."""
    if len(raw) != 16:
        raise Malformed("an entryUUID that does not have 16 octets")
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def state(content: bytes) -> tuple[EntryState, str, bytes | None]:
    """Return state, UUID and cookie of a Sync State control's value."""
    try:
        (_, _, _, kind), (_, _, _, uuid), *rest = messages.parts(content)
        return EntryState(kind), uuid_text(uuid), rest[0][3] if rest else None
    except messages.UNDECODED as error:
        raise Malformed("a malformed Sync State control") from error


def done(content: bytes | None) -> tuple[bytes | None, bool]:
    """Return cookie and refreshDeletes of a Sync Done control's value."""
    if not content:
        return None, False
    try:
        cookie, deletes, _ = _sequence(content, messages.parts(content), False)
    except messages.UNDECODED as error:
        raise Malformed("a malformed Sync Done control") from error
    return cookie, deletes


def info(content: bytes) -> Info:
    """Return a Sync Info message's value."""
    try:
        ((_, _, tag, value),) = messages.values(content, _INFO_DECODERS)
        kind = InfoKind(tag)
        if kind is InfoKind.NEW_COOKIE:
            return Info(kind, bytes(value), False)
        return Info(kind, *_sequence(content, value, kind is not InfoKind.ID_SET))
    except messages.UNDECODED as error:
        raise Malformed("a Sync Info message of an unknown kind") from error


def _sequence(content: bytes, values: list[Any], flag: bool) -> tuple[bytes | None, bool, tuple[str, ...]]:
    """Read cookie, truth value (default `flag`) and UUIDs of what `content` was decoded to."""
    cookie: bytes | None = None
    uuids: tuple[str, ...] = ()
    for _, _, tag, value in values:
        if tag == _OCTETS:
            cookie = value
        elif tag == _BOOLEAN:
            flag = _truth(content)
        elif tag == _SET:
            uuids = tuple(uuid_text(raw) for _, _, _, raw in value)
    return cookie, flag, uuids


def _truth(content: bytes) -> bool:
    """Return the truth value among the values in `content`.

    ldap3's fast decoder (2.9.1) compares octets with the number 0, so that FALSE
    reads as TRUE; here that would delete nodes. So the octet itself is looked at.
    """
    _, at = compute_ber_size(content)
    while content[at] != _BOOLEAN:
        size, offset = compute_ber_size(content[at : at + 10])
        at += size + offset
    if content[at + 1] != 1:
        raise Malformed("a boolean that is not one octet")
    return bool(content[at + 2])
