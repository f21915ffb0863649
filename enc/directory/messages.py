"""LDAP's messages: requests as ldap3 builds them, answers as ldap3 decodes them, as frozen values. Pure.

One function for each request that the toolkit sends; `read` for what comes
back. Sending and waiting are done by `bounded`; the content of an entry is
read by `entries`; what a result code means for the caller stands in `results`.

Whatever ldap3 makes of octets that are no LDAP (it raises what its dictionaries
and slices raise) is `Malformed` here. Two of its habits are not followed: a
lone backslash in a filter is an error, not a character, and truth values are
read in `sync_messages`, since its fast decoder takes FALSE for TRUE (2.9.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from ldap3.core.exceptions import LDAPException
from ldap3.operation.add import add_operation
from ldap3.operation.delete import delete_operation
from ldap3.operation.modify import modify_operation
from ldap3.operation.modifyDn import modify_dn_operation
from ldap3.operation.search import (
    MATCH_SUBSTRING,
    FilterNode,
    build_attribute_selection,
    compile_filter,
    parse_filter,
    search_operation,
)
from ldap3.protocol.rfc2696 import Cookie, RealSearchControlValue, Size
from ldap3.utils import asn1
from pyasn1.error import PyAsn1Error

from enc.terms.errors import ConfigurationError

BIND_RESPONSE, ENTRY, SEARCH_DONE, REFERENCE = 1, 4, 5, 19
EXTENDED_RESPONSE, INTERMEDIATE = 24, 25
"""Tags of RFC 4511's answers, without class and form."""

START_TLS = "1.3.6.1.4.1.1466.20037"
PAGED_RESULTS = "1.2.840.113556.1.4.319"
ASSERTION = "1.3.6.1.1.12"
POST_READ = "1.3.6.1.1.13.2"

_OCTETS = 4
_NEVER, _ADD, _DELETE = 0, 0, 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.;-]*", re.ASCII)
_LONE_BACKSLASH = re.compile(r"\\(?![0-9A-Fa-f]{2})", re.ASCII)
_DEPTH = 32
UNDECODED = (IndexError, KeyError, TypeError, ValueError, AttributeError, RecursionError)
"""What ldap3's fast decoder raises for octets that it cannot make sense of."""

Request = tuple[str, Any]
"""ldap3's name of an operation, and the operation."""


class Malformed(ValueError):
    """Octets that are not what the protocol says must stand there."""


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
    """One message from a server, decoded; what its parts mean is looked at when they are asked for.

    ldap3 gives each value as (class, constructed, tag, content).
    """

    id: int
    operation: int
    """Which answer it is, such as ENTRY."""
    payload: Any
    controls: Any
    unread: str = ""
    """What was left out of an entry that is too large, in words (skimming.py); empty: nothing."""

    def control(self, oid: str) -> bytes | None:
        """Return the value of the control `oid` that came with the message, None if it did not come."""
        wanted = oid.encode()
        try:
            for control in self.controls:
                (_, _, _, name), *rest = control[3]
                if name == wanted:
                    return next((content for _, _, tag, content in rest if tag == _OCTETS), b"")
        except UNDECODED as error:
            raise Malformed("a malformed control") from error
        return None

    def result(self) -> Result:
        """Return the result in the message, which must be an operation's last."""
        try:
            code, matched, diagnostic = (part[3] for part in self.payload[:3])
            referrals = next((part[3] for part in self.payload[3:] if part[0] == 2 and part[2] == 3), ())
            if not isinstance(code, int):
                raise Malformed("an operation's result without a code")
            return Result(code, _text(matched), _text(diagnostic), tuple(_text(place[3]) for place in referrals))
        except UNDECODED as error:
            raise Malformed("a malformed result of an operation") from error

    def intermediate(self) -> tuple[str, bytes]:
        """Return name and value of an intermediate response (RFC 4511, section 4.13)."""
        try:
            parts = {tag: content for _, _, tag, content in self.payload}
            return _text(parts.get(0, b"")), bytes(parts.get(1, b""))
        except UNDECODED as error:
            raise Malformed("a malformed intermediate response") from error


def read(data: bytes, unread: str = "") -> Message:
    """Return the message that `data` is; `unread`: what was left out of it."""
    try:
        found = asn1.decode_message_fast(data)
        controls = found["controls"] or ()
        message = Message(found["messageID"], found["protocolOp"], found["payload"], controls, unread)
    except UNDECODED as error:
        raise Malformed("what arrived is no message that LDAP knows") from error
    if not isinstance(message.id, int):
        raise Malformed("a message without a number")
    return message


def values(content: bytes, decoders: Mapping[int, Any] | None = None) -> list[Any]:
    """Return what `content` is decoded to; `decoders` for tags that have a meaning only there."""
    try:
        found: list[Any] = asn1.decode_sequence(content, 0, len(content), decoders)
    except UNDECODED as error:
        raise Malformed("a value that LDAP does not allow") from error
    return found


def parts(content: bytes) -> list[Any]:
    """Return the values in the one sequence that `content` is."""
    found = values(content)
    if len(found) != 1 or not isinstance(found[0][3], list):
        raise Malformed("a value of the wrong kind")
    inner: list[Any] = found[0][3]
    return inner


def encode(value: Any) -> bytes:
    """Return the octets of a value of ldap3's."""
    encoded: bytes = asn1.encode(value)  # type: ignore[attr-defined]  # not in the stubs
    return encoded


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def octets(text: str) -> bytes:
    """Return `text` in UTF-8; a lone surrogate goes out as the octets it stands for, and the server refuses it."""
    return text.encode("utf-8", "surrogatepass")


def search(
    base: str, scope: Scope, filter_text: str, attributes: Iterable[str], *, size: int = 0, seconds: int = 0
) -> Request:
    """Return a search; `size` entries and `seconds` at most, 0: as the server allows.

    Raise `ConfigurationError` for a text that is no filter (RFC 4515).
    """
    checked = _checked(filter_text)
    request = search_operation(
        *(octets(base), checked, int(scope), _NEVER, [*attributes], size, seconds),
        types_only=False,
        auto_escape=False,
        auto_encode=False,
    )
    return "searchRequest", request


def add(dn: str, attributes: Mapping[str, Iterable[str]]) -> Request:
    """Return the request to make an entry."""
    content = {name: [octets(one) for one in wanted] for name, wanted in attributes.items()}
    return "addRequest", add_operation(octets(dn), content, auto_encode=False)


def modify(dn: str, changes: Iterable[tuple[bool, str, Iterable[str]]]) -> Request:
    """Return the request to change an entry: (True to add or False to delete, attribute, values).

    The changes of one attribute are carried out in their order.
    """
    by_name: dict[str, list[tuple[int, list[bytes]]]] = {}
    for adds, name, wanted in changes:
        by_name.setdefault(name, []).append((_ADD if adds else _DELETE, [octets(one) for one in wanted]))
    return "modifyRequest", modify_operation(octets(dn), by_name, auto_encode=False)


def delete(dn: str) -> Request:
    """Return the request to remove an entry."""
    return "delRequest", delete_operation(octets(dn))


def rename(dn: str, new_rdn: str, *, delete_old: bool, new_parent: str | None) -> Request:
    """Return the request to give an entry another name, and perhaps another place."""
    place = None if new_parent is None else octets(new_parent)
    return "modDNRequest", modify_dn_operation(octets(dn), octets(new_rdn), delete_old, place)


def paged(size: int, cookie: bytes) -> Control:
    """Return the control that asks for a page of a search (RFC 2696); a server without it sends all."""
    value = RealSearchControlValue()
    value["size"], value["cookie"] = Size(size), Cookie(cookie)
    return Control(PAGED_RESULTS, encode(value))


def page_cookie(message: Message) -> bytes:
    """Return what the next page is asked with; empty after the last."""
    content = message.control(PAGED_RESULTS)
    if not content:
        return b""
    found = parts(content)
    cookie = found[1][3] if len(found) > 1 else b""
    if not isinstance(cookie, bytes):
        raise Malformed("a malformed cookie of a page")
    return cookie


def assertion(filter_text: str) -> Control:
    """Return the control that makes an operation depend on the entry's state (RFC 4528)."""
    return Control(ASSERTION, encoded_filter(filter_text), critical=True)


def post_read(attributes: Sequence[str]) -> Control:
    """Return the control that asks for the entry as it is right after a change (RFC 4527)."""
    return Control(POST_READ, encode(build_attribute_selection(attributes, None)))


def encoded_filter(text: str) -> bytes:
    """Return the octets of a filter (RFC 4515); raise `ConfigurationError` for a text that is none."""
    return encode(compile_filter(_parsed(_checked(text))))


def _checked(text: str) -> str:
    """Return `text` as ldap3 takes it, once it is known that it will, and means by it what the RFC says."""
    stripped = text.strip()
    if not stripped.startswith("("):
        stripped = f"({stripped})"
    if found := _LONE_BACKSLASH.search(stripped):
        raise _wrong(stripped, f"a '\\' without two hex digits at character {found.start() + 1}")
    _check(_parsed(stripped), stripped, 0)
    return stripped


def _parsed(text: str) -> FilterNode:
    try:
        root: FilterNode = parse_filter(text, None, False, False, None, False)
        node: FilterNode = root.elements[0]
    except (LDAPException, PyAsn1Error, *UNDECODED) as error:
        raise _wrong(text, str(error) if isinstance(error, LDAPException) else "is no filter") from error
    return node


def _check(node: FilterNode, text: str, depth: int) -> None:
    if depth > _DEPTH:
        raise _wrong(text, f"more than {_DEPTH} levels")
    for element in node.elements:
        _check(element, text, depth + 1)
    said = node.assertion
    if said is None:
        if not node.elements:
            raise _wrong(text, "'&', '|' or '!' is empty")
        return
    if said["attr"] is not False and not _NAME.fullmatch(said["attr"]):
        raise _wrong(text, "not (ATTRIBUTE=VALUE)")
    if node.tag == MATCH_SUBSTRING and len(said) == 1:
        raise _wrong(text, "a value of '*' only")
    if b"*" in said.get("value", b""):
        raise _wrong(text, "a '*' in a comparison")


def _wrong(text: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{text[:200]!r}: {what}", where="filter")
