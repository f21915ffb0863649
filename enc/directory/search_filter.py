"""A search filter's text (RFC 4515) as the octets that a server reads (RFC 4511, section 4.5.1.7). Pure.

Nothing is folded or interpreted: a server applies the attribute's own matching
rule. (`enc.filters` applies filters to records here; it folds, and knows fewer
kinds.) A text that is no filter is a `ConfigurationError` with the place.
"""

from __future__ import annotations

import re

from enc.directory.ber import boolean, octets, value
from enc.errors import ConfigurationError

_LEAF = re.compile(
    r"(?P<attribute>[A-Za-z0-9][A-Za-z0-9.;-]*)?(?P<rule>(?::[A-Za-z0-9.-]+)*)(?P<sign>:=|~=|>=|<=|=)"
    r"(?P<value>[^()]*)",
    re.ASCII,
)
_COMPARISONS = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})")
_DEPTH = 32


def encode(text: str) -> bytes:
    """Return the filter `text` encoded."""
    stripped = text.strip()
    if not stripped.startswith("("):
        stripped = f"({stripped})"
    encoded, end = _encode(stripped, 0, 0)
    if end != len(stripped):
        raise _wrong(stripped, "something follows the filter", end)
    return encoded


def _wrong(text: str, what: str, at: int) -> ConfigurationError:
    return ConfigurationError(f"{text[:200]!r}: {what} at character {at + 1}", where="filter")


def _encode(text: str, at: int, depth: int) -> tuple[bytes, int]:
    if depth > _DEPTH:
        raise _wrong(text, f"more than {_DEPTH} levels", at)
    if text[at : at + 1] != "(":
        raise _wrong(text, "a '(' is missing", at)
    sign = text[at + 1 : at + 2]
    if sign in {"&", "|", "!"}:
        return _combined(text, sign, at + 2, depth)
    found = _LEAF.match(text, at + 1)
    if found is None or text[found.end() : found.end() + 1] != ")":
        raise _wrong(text, "not (ATTRIBUTE=VALUE)", at)
    return _leaf(found, text), found.end() + 1


def _combined(text: str, sign: str, at: int, depth: int) -> tuple[bytes, int]:
    parts = []
    while text[at : at + 1] == "(":
        part, at = _encode(text, at, depth + 1)
        parts.append(part)
    if text[at : at + 1] != ")":
        raise _wrong(text, "a ')' is missing", at)
    if sign == "!" and len(parts) != 1:
        raise _wrong(text, "exactly one filter must follow '!'", at)
    return value({"&": 0xA0, "|": 0xA1, "!": 0xA2}[sign], *parts), at + 1


def _leaf(found: re.Match[str], text: str) -> bytes:
    attribute, rule, sign, wanted = found["attribute"], found["rule"], found["sign"], found["value"]
    if sign == ":=":
        return _extensible(attribute, rule, _unescaped(wanted, text))
    if not attribute or rule:
        raise _wrong(text, "an attribute is missing", found.start())
    pieces = [_unescaped(piece, text) for piece in wanted.split("*")]
    if len(pieces) == 1:
        return value(_COMPARISONS[sign], octets(attribute), octets(pieces[0]))
    if sign != "=":
        raise _wrong(text, "a '*' in a comparison", found.start())
    if pieces == [b"", b""]:
        return octets(attribute, 0x87)
    first, *middle, last = pieces
    strings = [octets(first, 0x80)] if first else []
    strings += [octets(piece, 0x81) for piece in middle if piece]
    strings += [octets(last, 0x82)] if last else []
    if not strings:
        raise _wrong(text, "a value of '*' only", found.start())
    return value(0xA4, octets(attribute), value(0x30, *strings))


def _extensible(attribute: str | None, rule: str, wanted: bytes) -> bytes:
    names = rule.split(":")[1:]
    whole_name = bool(names) and names[0].lower() == "dn"
    names = names[1:] if whole_name else names
    parts = [octets(names[0], 0x81)] if names else []
    parts += [octets(attribute, 0x82)] if attribute else []
    return value(0xA9, *parts, octets(wanted, 0x83), boolean(whole_name, 0x84) if whole_name else b"")


def _unescaped(piece: str, text: str) -> bytes:
    raw = piece.encode("utf-8", "surrogatepass")
    if raw.count(b"\\") != len(_ESCAPE.findall(raw)):
        raise _wrong(text, "a '\\' without two hex digits", text.find(piece))
    return _ESCAPE.sub(lambda pair: bytes((int(pair[1], 16),)), raw)
