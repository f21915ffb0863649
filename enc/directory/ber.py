"""The part of BER that LDAP uses (RFC 4511, section 5.1): definite lengths, one-byte tags. Pure.

Owns turning values into octets and finding the borders of values in octets
that came from a server; what the values mean is said in `messages` and
`entries`. Everything that breaks the rules raises `Malformed`.

Why not ldap3's codec: its decoder costs four times as much for an entry, which
is most of a follower's full refresh, and importing it costs more than a whole
direct answer of `enc`. The tests hold this one against it.
"""

from __future__ import annotations

SEQUENCE = 0x30
SET = 0x31
BOOLEAN = 0x01
INTEGER = 0x02
OCTETS = 0x04
ENUMERATED = 0x0A

LARGEST = 64 * 1024 * 1024
"""Octets of one message that are accepted; a hostile length must not fill the memory."""

MOST = 1_000_000
"""Values side by side that are told apart by `spans`; each costs fifty times the two octets that it may have."""

Span = tuple[int, int, int]
"""Tag, where its content starts, where it ends."""


class Malformed(ValueError):
    """Octets that are not what the protocol says must stand there."""


def value(tag: int, *parts: bytes) -> bytes:
    """Return the encoding of one value whose content is `parts`, one after the other."""
    content = b"".join(parts)
    length = len(content)
    if length < 128:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 128 | len(size))) + size + content


def integer(number: int, tag: int = INTEGER) -> bytes:
    """Return the encoding of a whole number."""
    return value(tag, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def boolean(truth: bool, tag: int = BOOLEAN) -> bytes:
    """Return the encoding of a truth value."""
    return bytes((tag, 1, 255 if truth else 0))


def octets(text: str | bytes, tag: int = OCTETS) -> bytes:
    """Return the encoding of a string (UTF-8; a lone surrogate goes out as the octets it stands for)."""
    return value(tag, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def span(data: bytes, at: int, limit: int) -> Span:
    """Return what stands at `at`; it must end at `limit` or before."""
    try:
        tag = data[at]
        length = data[at + 1]
    except IndexError as error:
        raise Malformed("the message ends within a value") from error
    start = at + 2
    if length > 127:
        count = length - 128
        if not 0 < count < 5:
            raise Malformed("a length that LDAP does not allow")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    end = start + length
    if end > limit:
        raise Malformed("a value is longer than what holds it")
    return tag, start, end


def spans(data: bytes, start: int, end: int) -> list[Span]:
    """Return all values between `start` and `end`."""
    found = []
    while start < end:
        one = span(data, start, end)
        found.append(one)
        start = one[2]
        if len(found) > MOST:
            raise Malformed(f"more than {MOST} values side by side")
    return found


def message_size(data: bytes | bytearray, at: int) -> int | None:
    """Return how many octets the message at `at` has, None if too few are there to tell."""
    have = len(data) - at
    if have < 2:
        return None
    if data[at] != SEQUENCE:
        raise Malformed("what arrived is not an LDAP message")
    length = data[at + 1]
    if length < 128:
        return length + 2
    count = length - 128
    if not 0 < count < 5:
        raise Malformed("a length that LDAP does not allow")
    if have < 2 + count:
        return None
    size = int.from_bytes(data[at + 2 : at + 2 + count], "big") + 2 + count
    if size > LARGEST:
        raise Malformed(f"a message of {size} octets (at most {LARGEST} are accepted)")
    return size


def to_integer(data: bytes, start: int, end: int) -> int:
    """Return the whole number in a value's content."""
    if not 0 < end - start < 9:
        raise Malformed("a number that LDAP does not allow")
    return int.from_bytes(data[start:end], "big", signed=True)
