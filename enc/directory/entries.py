"""An LDAP entry's octets become a Record. Pure.

Runs once for each of 100,000 entries of a full refresh, so the loop reads
lengths itself instead of calling for each value, and remembers the lower-cased
form of every attribute name (a directory has a few dozen).

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

_names: dict[bytes, str] = {}
_NAMES_KEPT = 4096


def _name(raw: bytes) -> str:
    name = raw.decode("ascii", "backslashreplace").lower()
    if len(_names) < _NAMES_KEPT:
        _names[raw] = name
    return name


def record(message: Message, *, uuid: str = "") -> Record:
    """Return the entry in `message`; `uuid` where it is known from elsewhere (a Sync State control)."""
    return from_octets(message.data, message.start, message.end, uuid=uuid)


def from_octets(data: bytes, at: int, limit: int, *, uuid: str = "") -> Record:
    """Return the SearchResultEntry (RFC 4511, section 4.5.2) whose content is `data[at:limit]`."""
    _, start, end = ber.span(data, at, limit)
    dn = data[start:end].decode("utf-8", "backslashreplace")
    _, at, limit = ber.span(data, end, limit)
    attributes: dict[str, tuple[str, ...]] = {}
    csn = ""
    while at < limit:
        _, first, at = ber.span(data, at, limit)
        _, start, end = ber.span(data, first, at)
        raw = data[start:end]
        name = _names.get(raw) or _name(raw)
        values = _values(data, end, at)
        if name == "entrycsn":
            csn = values[0] if values else ""
        elif name == "entryuuid":
            uuid = uuid or (values[0] if values else "")
        elif values:
            attributes[name] = attributes[name] + values if name in attributes else values
    return Record(dn, attributes, uuid, csn)


def _values(data: bytes, at: int, limit: int) -> tuple[str, ...]:
    _, at, last = ber.span(data, at, limit)
    found = []
    while at < last:
        length = data[at + 1] if at + 1 < last else 0
        if length < 128:
            start = at + 2
            end = start + length
            if end > last:
                raise Malformed("a value is longer than what holds it")
        else:
            _, start, end = ber.span(data, at, last)
        try:  # noqa: SIM105 - contextlib.suppress costs as much as the rest of the loop
            found.append(data[start:end].decode())
        except UnicodeDecodeError:
            pass
        at = end
    return tuple(found)
