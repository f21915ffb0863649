"""An LDAP entry's octets become a Record. Pure.

Runs once for each of 100,000 entries of a full refresh, so the loop reads
lengths itself instead of calling for each value. Most attributes of most
entries have the same values (object classes, environments): those are decoded
once and shared, which is faster and keeps a copy in memory small.

Values that are not UTF-8 are left out, as is an attribute none of whose values
is left: photographs and certificates do not concern us, and one odd value must
not stop the others.
"""

from __future__ import annotations

from enc.classify.model import Record
from enc.directory import ber
from enc.directory.ber import Malformed
from enc.directory.messages import Message

ALL = ("*", "entryUUID", "entryCSN")
"""What to ask for so that a Record is complete: all user attributes, identity and version."""

_Shared = tuple[str, dict[bytes, tuple[str, ...]]]
_shared: dict[bytes, _Shared] = {}
"""By an attribute's name as it came: the name lower-cased, and values by the octets of their set."""
_NAMES_SHARED = 1024
_NAME_SHARED_OCTETS = 128
_SET_SHARED_OCTETS = 512
_SETS_SHARED = 64
"""For each attribute. Values that differ in each entry fill it and cost no more than a look from then on."""


def record(message: Message, *, uuid: str = "") -> Record:
    """Return the entry in `message`; `uuid` where it is known from elsewhere (a Sync State control)."""
    return from_octets(message.data, message.start, message.end, uuid=uuid)


def from_octets(data: bytes, at: int, limit: int, *, uuid: str = "") -> Record:
    """Return the SearchResultEntry (RFC 4511, section 4.5.2) whose content is `data[at:limit]`."""
    try:
        return _read(data, at, limit, uuid)
    except IndexError as error:
        raise Malformed("the message ends within an entry") from error


def _read(data: bytes, at: int, limit: int, uuid: str) -> Record:
    _, start, end = ber.span(data, at, limit)
    dn = data[start:end].decode("utf-8", "backslashreplace")
    _, at, limit = ber.span(data, end, limit)
    attributes: dict[str, tuple[str, ...]] = {}
    more: dict[str, list[str]] = {}
    csn = ""
    while at < limit:
        first = at + 2
        at = first + data[at + 1]
        if data[first - 1] > 127:
            _, first, at = ber.span(data, first - 2, limit)
        start = first + 2
        end = start + data[first + 1]
        if data[start - 1] > 127:
            _, start, end = ber.span(data, first, at)
        if at > limit or end > at:
            raise Malformed("an attribute is longer than what holds it")
        raw_name = data[start:end]
        name, sets = _shared.get(raw_name) or _new_name(raw_name)
        raw = data[end:at]
        values = sets.get(raw)
        if values is None:
            values = _values(raw)
            if len(sets) < _SETS_SHARED and len(raw) < _SET_SHARED_OCTETS:
                sets[raw] = values
        if name == "entrycsn":
            csn = values[0] if values else ""
        elif name == "entryuuid":
            uuid = uuid or (values[0] if values else "")
        elif name in attributes:
            more.setdefault(name, []).extend(values)
        elif values:
            attributes[name] = values
    # No honest server names an attribute twice; adding to a tuple each time would take a hostile one's days.
    for name, rest in more.items():
        attributes[name] += tuple(rest)
    return Record(dn, attributes, uuid, csn)


def _new_name(raw: bytes) -> _Shared:
    new: _Shared = (raw.decode("ascii", "backslashreplace").lower(), {})
    if len(_shared) < _NAMES_SHARED and len(raw) <= _NAME_SHARED_OCTETS:
        _shared[raw] = new
    return new


def _values(data: bytes) -> tuple[str, ...]:
    """Return the values in `data`, which must be one set."""
    _, at, last = ber.span(data, 0, len(data))
    found = []
    while at < last:
        start = at + 2
        end = start + data[at + 1]
        if data[at + 1] > 127:
            _, start, end = ber.span(data, at, last)
        if end > last:
            raise Malformed("a value is longer than what holds it")
        try:  # noqa: SIM105 - contextlib.suppress costs as much as the rest of the loop
            found.append(data[start:end].decode())
        except UnicodeDecodeError:
            pass
        at = end
    return tuple(found)
