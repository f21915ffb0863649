"""Skips the large parts of an oversized entry and keeps the small ones. Pure.

Whoever may write one entry must not stop the reading of all others. So a
message with an entry above the limit is not refused, which would end the
connection, and again at each try: its octets are walked through as they come.
Kept are its name, its controls (a Sync State control has the entry's UUID) and
each attribute that is small; of the others the name and the size. That is what
an entry's identity, version and kind are read from. What is kept becomes a
message of its own, which the rest of the toolkit reads like any other.

Memory: `_SMALL` for one attribute, `_KEPT` for all, whatever the lengths say.
The message may be as long as it likes; how long it may take is the reader's
matter (bounded.py).

Failure mode: `Malformed` for octets that are no SearchResultEntry (RFC 4511,
section 4.5.2). What else is too large to be taken has no part that could be
read past, and is refused by the reader.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from enc.directory.messages import Malformed

ENTRY_TAG = 0x64
"""SearchResultEntry, as it stands in a message."""
HEAD = 16
"""Octets after which it can be told what a message is."""

_SMALL = 64 * 1024
_KEPT = 512 * 1024
_ATTRIBUTES = 10_000
"""So many are looked at one by one; a schema has far fewer."""
_LONGEST_NAME = 1024
_NAMED = 3
_SEQUENCE, _INTEGER, _OCTETS, _CONTROLS = 0x30, 0x02, 0x04, 0xA0

_Walk = Generator[int, bytes, "Skimmed"]
"""Yields how many octets it wants next, or, as a negative number, how many are not wanted."""


class Skimmed(NamedTuple):
    """What is left of a message."""

    octets: bytes
    """A message with the same number, entry name and controls, and the small attributes."""
    unread: str
    """What was left out, in words."""


class Skimmer:
    """Walks through one message whose first octets have come."""

    def __init__(self, size: int) -> None:
        """`size`: octets of the whole message, with its own head."""
        self.size = size
        self.result: Skimmed | None = None
        """Once the message has come to its end."""
        self._walk = _walk(size)
        self._wants = next(self._walk)

    def take(self, octets: bytearray, at: int) -> int:
        """Use what has come, from `at` on; return up to where. Raise `Malformed`."""
        while self.result is None:
            there = len(octets) - at
            if self._wants > 0:
                if there < self._wants:
                    return at
                given = bytes(octets[at : at + self._wants])
                at += self._wants
            else:
                passed = min(there, -self._wants)
                at += passed
                self._wants += passed
                if self._wants:
                    return at
                given = b""
            try:
                self._wants = self._walk.send(given)
            except StopIteration as end:
                self.result = end.value
        return at


def operation(head: bytes) -> int | None:
    """Return the tag of the operation in the message that begins with `head`, None if too little is there."""
    at = 2 + (head[1] & 0x7F if len(head) > 1 and head[1] > 127 else 0)
    if len(head) < at + 2:
        return None
    at += 2 + head[at + 1]
    return head[at] if len(head) > at else None


def _walk(size: int) -> _Walk:
    tag, length, used = yield from _head()
    if used + length != size:
        raise Malformed("a message whose length is not what it was")
    left = length
    number, used = yield from _short(_INTEGER, 4, left)
    left -= used
    tag, length, used = yield from _head()
    left -= used + length
    if tag != ENTRY_TAG or left < 0:
        raise Malformed("a message that is not an entry")
    inside = length
    name, used = yield from _name(inside)
    inside -= used
    tag, length, used = yield from _head()
    if tag != _SEQUENCE or used + length != inside:
        raise Malformed("an entry without attributes")
    kept, unread = yield from _attributes(length)
    controls = b""
    if left:
        tag, length, used = yield from _head()
        if tag != _CONTROLS or used + length != left or length > _SMALL:
            raise Malformed("an entry followed by something other than controls")
        controls = _built(_CONTROLS, (yield length) if length else b"")
    entry = _built(ENTRY_TAG, _built(_OCTETS, name) + _built(_SEQUENCE, kept))
    words = "; ".join(f"{one} has {octets} octets" for one, octets in unread[:_NAMED])
    more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
    text = f"it has {size} octets, more than are read of an entry{f': {words}{more}' if words else ''}"
    return Skimmed(_built(_SEQUENCE, _built(_INTEGER, number) + entry + controls), text)


def _attributes(left: int) -> Generator[int, bytes, tuple[bytes, list[tuple[str, int]]]]:
    """Return the small attributes as they came, and name and octets of the others."""
    kept = bytearray()
    unread: list[tuple[str, int]] = []
    for _ in range(_ATTRIBUTES):
        if not left:
            break
        tag, length, used = yield from _head()
        left -= used + length
        if tag != _SEQUENCE or left < 0 or not length:
            raise Malformed("a malformed attribute")
        if length <= _SMALL and len(kept) + length <= _KEPT:
            kept += _built(_SEQUENCE, (yield length))
            continue
        name, used = yield from _short(_OCTETS, _LONGEST_NAME, length)
        unread.append((name.decode("ascii", "backslashreplace"), length))
        if length > used:
            yield used - length
    if left:
        unread.append(("the rest", left))
        yield -left
    return bytes(kept), unread


def _name(room: int) -> Generator[int, bytes, tuple[bytes, int]]:
    """Return an entry's name (its beginning, if it is not small), and how many octets it took."""
    tag, length, used = yield from _head()
    if tag != _OCTETS or used + length > room:
        raise Malformed("an entry without a name")
    wanted = min(length, _SMALL)
    name = (yield wanted) if wanted else b""
    if length > wanted:
        yield wanted - length
    return name, used + length


def _short(tag: int, longest: int, room: int) -> Generator[int, bytes, tuple[bytes, int]]:
    """Return a value that has to be short, and how many octets it took with its head."""
    found, length, used = yield from _head()
    if found != tag or not 0 < length <= longest or used + length > room:
        raise Malformed("a value of the wrong kind")
    return (yield length), used + length


def _head() -> Generator[int, bytes, tuple[int, int, int]]:
    """Return tag and length of a value, and how many octets they took."""
    tag, length = yield 2
    if length < 128:
        return tag, length, 2
    count = length & 0x7F
    if not 0 < count <= 4:
        raise Malformed("a length that LDAP does not allow")
    return tag, int.from_bytes((yield count), "big"), 2 + count


def _built(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
