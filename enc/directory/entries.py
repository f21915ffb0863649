"""An LDAP entry becomes a Record. Pure.

ldap3 decodes the octets; here its values become texts. That runs once for each
of 100,000 entries of a full refresh. Most attributes of most entries have the
same values (object classes, environments): those are made once and shared,
which is faster and keeps a copy in memory small. ldap3's own dictionaries of
an entry would cost twice as much again.

Values that are not UTF-8 are left out, as is an attribute none of whose values
is left: photographs and certificates do not concern us, and one odd value must
not stop the others.
"""

from __future__ import annotations

from typing import Any

from enc.directory import messages
from enc.directory.messages import Malformed, Message
from enc.terms.record import Record

ALL = ("*", "entryUUID", "entryCSN")
"""What to ask for so that a Record is complete: all user attributes, identity and version."""

_Shared = tuple[str, dict[tuple[bytes, ...], tuple[str, ...]]]
_shared: dict[bytes, _Shared] = {}
"""By an attribute's name as it came: the name lower-cased, and texts by the octets of a set of values."""
_NAMES_SHARED = 1024
_NAME_SHARED_OCTETS = 128
_SET_SHARED_OCTETS = 512
_SETS_SHARED = 64
"""For each attribute. Values that differ in each entry fill it and cost no more than a look from then on."""


def record(message: Message, *, uuid: str = "") -> Record:
    """Return the entry in `message`; `uuid` where it is known from elsewhere (a Sync State control)."""
    return from_payload(message.payload, uuid=uuid, unread=message.unread)


def from_octets(content: bytes) -> Record:
    """Return the SearchResultEntry (RFC 4511, section 4.5.2) that `content` is: a Post-Read control's value."""
    return from_payload(messages.parts(content))


def from_payload(payload: Any, *, uuid: str = "", unread: str = "") -> Record:
    """Return the SearchResultEntry whose parts ldap3 has decoded; `unread`: what was left out of it before."""
    try:
        return _read(payload, uuid, unread)
    except messages.UNDECODED as error:
        raise Malformed("a malformed entry") from error


def _read(payload: Any, uuid: str, unread: str) -> Record:
    attributes: dict[str, tuple[str, ...]] = {}
    more: dict[str, list[str]] = {}
    csn = modifier = ""
    for attribute in payload[1][3]:
        (_, _, _, raw_name), (_, _, _, found) = attribute[3]
        name, sets = _shared.get(raw_name) or _new_name(raw_name)
        raw = tuple([value[3] for value in found])
        values = sets.get(raw)
        if values is None:
            values = _texts(raw)
            if len(sets) < _SETS_SHARED and sum(map(len, raw)) < _SET_SHARED_OCTETS:
                sets[raw] = values
        if name == "entrycsn":
            csn = values[0] if values else ""
        elif name == "modifiersname":
            modifier = values[0] if values else ""
        elif name == "entryuuid":
            uuid = uuid or (values[0] if values else "")
        elif name in attributes:
            more.setdefault(name, []).extend(values)
        elif values:
            attributes[name] = values
    # No honest server names an attribute twice; adding to a tuple each time would take a hostile one's days.
    for name, rest in more.items():
        attributes[name] += tuple(rest)
    return Record(payload[0][3].decode("utf-8", "backslashreplace"), attributes, uuid, csn, unread, modifier)


def _new_name(raw: bytes) -> _Shared:
    new: _Shared = (raw.decode("ascii", "backslashreplace").lower(), {})
    if len(_shared) < _NAMES_SHARED and len(raw) <= _NAME_SHARED_OCTETS:
        _shared[raw] = new
    return new


def _texts(values: tuple[bytes, ...]) -> tuple[str, ...]:
    found = []
    for value in values:
        try:  # noqa: SIM105 - contextlib.suppress costs as much as the rest of the loop
            found.append(value.decode())
        except UnicodeDecodeError:
            pass
    return tuple(found)
