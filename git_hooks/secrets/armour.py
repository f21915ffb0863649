"""Keys and certificates wherever they stand in a file, as DER that somebody else reads. Pure.

What people do to a PEM block does not hide it: it may be indented, in a YAML block, quoted, with `\\n` for ends of
lines (once or twice escaped), with CRLF, joined of strings by an operator, in a comment or a patch, all on one line,
in UTF-16, or in base64 once more. A key may also stand in base64 without its BEGIN, or be the file itself (DER).

Only places are found here; what is in a block decides whoever loads it (private_keys.py, certificates.py). The time is
in proportion to the size of the content, whatever it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import NamedTuple

from git_hooks.secrets.encodings import as_utf8

_BEGIN = re.compile(rb"-----BEGIN ((?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY|(?:TRUSTED |X509 )?CERTIFICATE)-----")
_LONGEST = 1 << 16
"""Bytes of a block: an RSA key of 16,384 bits has 13,000."""
_HINTS = (b"-----BEGIN ", b"LS0tLS1CRUdJTi", b"LS0tQkVHSU4g", b"LS0tLUJFR0lO")
"""How `-----BEGIN ` reads, and in base64, where it begins there with the first, second or third octet of three."""
_BARE_HINTS = (b"IBADAN", b"IBADCC", b"IBAAKC", b"AgEAM", b"cCAQEE", b"AgEBB", b"4CAQAw")
"""What stands near the beginning of such a key: looked for first, because that is quick."""
_ENCODED = re.compile(rb"[A-Za-z0-9+/_\-\s\"',.\\|]+={0,2}")
_BARE = re.compile(
    rb"(?<![A-Za-z0-9+/])(?:MII[A-Z][A-Za-z0-9+/][AQgw]IBA[AD]|MI[GH][A-Za-z0-9+/]AgEA|MI[GH][A-Za-z0-9+/]AgEB"
    rb"|M[A-Za-z0-9+/]cCAQEE|M[A-Za-z0-9+/][A-Za-z0-9+/]CAQAw)"
)
"""A sequence that begins with a version: PKCS #1, PKCS #8 and SEC 1, and no certificate and no PKCS #7."""
_ESCAPED = re.compile(rb"\\{1,4}[nrt]|&#(?:1[03]|x0?[AaDd]);")
_JOINED = re.compile(rb"[\"'][ \t]{0,4}(?:<<|[+.,;\\]){0,4}[ \t]{0,4}$")
_HEADER = re.compile(rb"[A-Za-z0-9-]+: ?.*")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_MARGIN = re.compile(rb"[^A-Za-z0-9\s\\]{1,8}")


class Block(NamedTuple):
    """Something that may be a key or a certificate."""

    label: str
    """What stands behind BEGIN; empty: nothing does, it is DER all the same."""
    line: int
    """Where it begins, from 1 on."""
    der: bytes
    encrypted: bool = False
    """Its headers say so (RFC 1421)."""


def blocks(content: bytes) -> Iterator[Block]:
    """Yield what may be a key or a certificate, the same thing perhaps twice."""
    if content[:1] == b"\x30":
        yield Block("", 1, content)
        return
    content = as_utf8(content)
    if any(hint in content for hint in _HINTS):
        yield from _armoured(content, 0)
        yield from _twice(content)
    if any(hint in content for hint in _BARE_HINTS):
        yield from _bare(content)


def _armoured(content: bytes, above: int) -> Iterator[Block]:
    """Yield the PEM blocks; `above`: lines that stand above the content."""
    lines = _Lines(content, above)
    for begin in _BEGIN.finditer(content):
        start = begin.end()
        following = content.find(b"-----BEGIN ", start, start + _LONGEST)
        end = content.find(b"-----END ", start, following if following >= 0 else start + _LONGEST)
        if end >= 0:
            margin = content[content.rfind(b"\n", max(0, begin.start() - 200), begin.start()) + 1 : begin.start()]
            der, encrypted = _unwrapped(content[start:end], margin.strip())
            yield Block(begin[1].decode("ascii"), lines.of(begin.start()), der, encrypted)


def _unwrapped(body: bytes, margin: bytes) -> tuple[bytes, bool]:
    """Return what a block's lines hold; `margin` is what stands before its first line."""
    encrypted, letters = False, []
    strip = margin if _MARGIN.fullmatch(margin) else b""
    for raw in _ESCAPED.sub(b"\n", body).split(b"\n"):
        line = _JOINED.sub(b"", raw.strip())
        if strip and line.startswith(strip):
            line = line[len(strip) :].lstrip()
        if b":" in line and _HEADER.fullmatch(line.strip(b"\"' ")):
            encrypted = encrypted or b"ENCRYPTED" in line
        else:
            letters.append(_NOT_BASE64.sub(b"", line))
    return _decoded(b"".join(letters)), encrypted


def _twice(content: bytes) -> Iterator[Block]:
    """Yield PEM blocks in base64."""
    lines = _Lines(content, 0)
    for hint in _HINTS[1:]:
        at = content.find(hint)
        while at >= 0:
            found = _ENCODED.match(content, at, at + 4 * _LONGEST)
            assert found is not None
            letters = _NOT_BASE64.sub(b"", _ESCAPED.sub(b"", found[0]).translate(_URL_SAFE))
            # Of its dashes, two may belong to letters that stand before.
            yield from _armoured(b"--" + _decoded(letters), lines.of(at) - 1)
            at = content.find(hint, found.end())


def _bare(content: bytes) -> Iterator[Block]:
    """Yield keys in base64 that have no BEGIN before them."""
    lines, after = _Lines(content, 0), 0
    for begin in _BARE.finditer(content):
        if begin.start() < after:
            continue
        found = _ENCODED.match(content, begin.start(), begin.start() + _LONGEST)
        assert found is not None
        after = found.end()
        before = content[max(0, begin.start() - 80) : begin.start()]
        if b"-----" not in before[-40:]:
            letters = _NOT_BASE64.sub(b"", _ESCAPED.sub(b"", found[0]))
            der = _decoded(letters)
            yield Block("", lines.of(begin.start()), der[: _length(der)])


def _length(der: bytes) -> int:
    """Return how long the value is that stands at the beginning; what follows it may be anything."""
    if len(der) < 6 or not der[1] & 0x80:
        return 2 + der[1] if len(der) > 1 else 0
    octets = der[1] & 0x7F
    return 2 + octets + int.from_bytes(der[2 : 2 + min(octets, 4)], "big")


def _decoded(letters: bytes) -> bytes:
    """Return what base64 says, up to its end or to where it is none any more."""
    letters = letters.partition(b"=")[0]
    rest = len(letters) % 4
    return base64.b64decode(letters[: len(letters) - 1] if rest == 1 else letters + b"=" * (-len(letters) % 4))


class _Lines:
    """Numbers of lines, counted once over the content where places come in order."""

    def __init__(self, content: bytes, above: int) -> None:
        self._content = content
        self._at, self._number = 0, 1 + above

    def of(self, place: int) -> int:
        if place < self._at:
            return self._number
        self._number += self._content.count(b"\n", self._at, place)
        self._at = place
        return self._number
