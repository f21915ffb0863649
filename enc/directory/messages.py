"""LDAP's messages (RFC 4511): requests as octets, answers as frozen values. Pure.

One function for each request that the toolkit sends; `read` for what comes
back. Sending and waiting are done by `connection`; the content of an entry is
read by `entries`; what a result code means for the caller stands in `results`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from enc.directory import ber, search_filter
from enc.directory.ber import Malformed, boolean, integer, octets, value

BIND_RESPONSE, ENTRY, SEARCH_DONE, REFERENCE = 0x61, 0x64, 0x65, 0x73
EXTENDED_RESPONSE, INTERMEDIATE = 0x78, 0x79

START_TLS = "1.3.6.1.4.1.1466.20037"
PAGED_RESULTS = "1.2.840.113556.1.4.319"
ASSERTION = "1.3.6.1.1.12"
POST_READ = "1.3.6.1.1.13.2"


class Scope(IntEnum):
    """How far below its base a search goes."""

    BASE = 0
    ONE_LEVEL = 1
    SUBTREE = 2


@dataclass(frozen=True, slots=True)
class Control:
    """An extension of a request (RFC 4511, section 4.1.11)."""

    oid: str
    value: bytes | None = None
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an operation."""

    code: int
    matched_dn: str
    diagnostic: str
    referrals: tuple[str, ...] = ()


class Message(NamedTuple):
    """One message from a server: its envelope is read, its content lies in `data` from `start` to `end`."""

    id: int
    operation: int
    """The tag, such as ENTRY."""
    data: bytes
    start: int
    end: int
    controls_at: int
    """Where the controls start in `data`; 0 if there are none."""

    def control(self, oid: str) -> bytes | None:
        """Return the value of the control `oid` that came with the message, None if it did not come."""
        if not self.controls_at:
            return None
        data, wanted = self.data, oid.encode()
        _, start, end = ber.span(data, self.controls_at, len(data))
        for _, first, last in ber.spans(data, start, end):
            (_, a, b), *rest = ber.spans(data, first, last) or [(0, 0, 0)]
            if data[a:b] == wanted:
                return next((data[c:d] for tag, c, d in rest if tag == ber.OCTETS), b"")
        return None

    def result(self) -> Result:
        """Return the result in the message, which must be an operation's last."""
        parts = ber.spans(self.data, self.start, self.end)
        if len(parts) < 3 or parts[0][0] != ber.ENUMERATED:
            raise Malformed("an operation's result is not one")
        texts = [self.data[start:end].decode("utf-8", "replace") for _, start, end in parts[1:3]]
        referrals = [
            self.data[start:end].decode("utf-8", "replace")
            for tag, first, last in parts[3:]
            if tag == 0xA3
            for _, start, end in ber.spans(self.data, first, last)
        ]
        code = ber.to_integer(self.data, parts[0][1], parts[0][2])
        return Result(code, texts[0], texts[1], tuple(referrals))

    def intermediate(self) -> tuple[str, bytes]:
        """Return name and value of an intermediate response (RFC 4511, section 4.13)."""
        name, content = "", b""
        for tag, start, end in ber.spans(self.data, self.start, self.end):
            if tag == 0x80:
                name = self.data[start:end].decode("ascii", "replace")
            elif tag == 0x81:
                content = self.data[start:end]
        return name, content


def read(data: bytes) -> Message:
    """Return the message that `data` is."""
    _, at, limit = ber.span(data, 0, len(data))
    tag, start, end = ber.span(data, at, limit)
    if tag != ber.INTEGER:
        raise Malformed("a message without a number")
    operation, first, last = ber.span(data, end, limit)
    controls_at = last if last < limit and data[last] == 0xA0 else 0
    return Message(ber.to_integer(data, start, end), operation, data, first, last, controls_at)


def message(number: int, operation: bytes, controls: Iterable[Control] = ()) -> bytes:
    """Return a whole message: the request `operation` with its number and controls."""
    encoded = [
        value(
            ber.SEQUENCE,
            octets(control.oid),
            boolean(True) if control.critical else b"",
            b"" if control.value is None else octets(control.value),
        )
        for control in controls
    ]
    return value(ber.SEQUENCE, integer(number), operation, value(0xA0, *encoded) if encoded else b"")


def bind_simple(dn: str, password: str) -> bytes:
    """Return a bind with a password; both empty: anonymous."""
    return value(0x60, integer(3), octets(dn), octets(password, 0x80))


def bind_external() -> bytes:
    """Return a SASL EXTERNAL bind: who we are is what the socket (or TLS) says."""
    return value(0x60, integer(3), octets(""), value(0xA3, octets("EXTERNAL"), octets("")))


def unbind() -> bytes:
    """Return the request that ends a connection."""
    return value(0x42)


def search(
    base: str, scope: Scope, filter_text: str, attributes: Iterable[str], *, size: int = 0, seconds: int = 0
) -> bytes:
    """Return a search; `size` entries and `seconds` at most, 0: as the server allows."""
    wanted = (octets(name) for name in attributes)
    return value(
        0x63,
        octets(base),
        integer(scope, ber.ENUMERATED),
        integer(0, ber.ENUMERATED),
        integer(size),
        integer(seconds),
        boolean(False),
        search_filter.encode(filter_text),
        value(ber.SEQUENCE, *wanted),
    )


def extended(oid: str) -> bytes:
    """Return an extended request without a value."""
    return value(0x77, octets(oid, 0x80))


def _attribute(name: str, values: Iterable[str]) -> bytes:
    return value(ber.SEQUENCE, octets(name), value(ber.SET, *(octets(one) for one in values)))


def add(dn: str, attributes: Mapping[str, Iterable[str]]) -> bytes:
    """Return the request to make an entry."""
    content = (_attribute(name, values) for name, values in attributes.items())
    return value(0x68, octets(dn), value(ber.SEQUENCE, *content))


def modify(dn: str, changes: Iterable[tuple[bool, str, Iterable[str]]]) -> bytes:
    """Return the request to change an entry: (True to add or False to delete, attribute, values) in order."""
    content = (
        value(ber.SEQUENCE, integer(0 if adds else 1, ber.ENUMERATED), _attribute(name, values))
        for adds, name, values in changes
    )
    return value(0x66, octets(dn), value(ber.SEQUENCE, *content))


def delete(dn: str) -> bytes:
    """Return the request to remove an entry."""
    return octets(dn, 0x4A)


def rename(dn: str, new_rdn: str, *, delete_old: bool, new_parent: str | None) -> bytes:
    """Return the request to give an entry another name, and perhaps another place."""
    place = b"" if new_parent is None else octets(new_parent, 0x80)
    return value(0x6C, octets(dn), octets(new_rdn), boolean(delete_old), place)


def paged(size: int, cookie: bytes) -> Control:
    """Return the control that asks for a page of a search (RFC 2696); a server without it sends all."""
    return Control(PAGED_RESULTS, value(ber.SEQUENCE, integer(size), octets(cookie)))


def page_cookie(message: Message) -> bytes:
    """Return what the next page is asked with; empty after the last."""
    content = message.control(PAGED_RESULTS)
    if not content:
        return b""
    _, start, end = ber.span(content, 0, len(content))
    parts = ber.spans(content, start, end)
    return content[parts[1][1] : parts[1][2]] if len(parts) > 1 else b""


def assertion(filter_text: str) -> Control:
    """Return the control that makes an operation depend on the entry's state (RFC 4528)."""
    return Control(ASSERTION, search_filter.encode(filter_text), critical=True)


def post_read(attributes: Iterable[str]) -> Control:
    """Return the control that asks for the entry as it is right after a change (RFC 4527)."""
    return Control(POST_READ, value(ber.SEQUENCE, *(octets(name) for name in attributes)))
