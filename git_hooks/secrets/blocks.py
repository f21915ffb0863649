"""Private keys and hashes of passwords that can be told by their own form, in any content. Pure.

A private key is told by its frame with something in it: the frame alone is a
word that programs look for. How it is written does not count: indented in YAML,
with `\\n` for the ends of lines, quoted line by line, or all of it once more in base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple


class Block(NamedTuple):
    """Something that is a secret wherever it stands."""

    start: int
    """Its first octet."""
    end: int
    kind: str
    secret: bytes
    """What makes it this secret and no other, however it is written."""


_HEAD = re.compile(
    rb"-----BEGIN ((?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?)-----|---- BEGIN (SSH2 ENCRYPTED PRIVATE KEY) ----"
)
_PUTTY = re.compile(rb"PuTTY-User-Key-File-[123]: ")
_PRIVATE_LINES = re.compile(rb"Private-Lines: \d+")
_FARTHEST = 20_000
"""Octets within which a block ends; those of RSA with 16,384 bits have 13,000."""
_MOST = 1000
"""Blocks of a file."""
_WRITTEN = re.compile(rb"\\+[nrt]|[^A-Za-z0-9+/=]")
"""What is no base64: ends of lines, however they are written, quotes, signs of comments."""
_HEADER = re.compile(rb"(?<![A-Za-z-])[A-Za-z][A-Za-z-]{1,60}: [^\n\\]*")
"""Looked for once in each word, so that a block of one long word takes no longer than others."""
_ENCODED = re.compile(rb"LS0tL[A-Za-z0-9+/\s\\]{80,30000}")
"""`-----` in base64, and what follows."""
_LEAST = 40
"""Letters of base64: those of an Ed25519 key are 64."""
_BINARY = (
    (rb"\x30\x82..\x02\x01\x00(?:\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01|\x02\x82)", "a private key (DER)"),
    (rb"\x30(?:\x82..|\x80)\x02\x01\x03\x30.{1,4}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", "a key store (PKCS #12)"),
    (rb"\xfe\xed\xfe\xed\x00\x00\x00[\x01\x02]", "a key store (Java)"),
)
"""How files begin that hold keys in binary form (RFC 5958, RFC 8017, RFC 7292)."""
_B64 = rb"[./0-9A-Za-z]"
_HASHES = re.compile(
    rb"\$(?:1|apr1)\$" + _B64 + rb"{1,8}\$" + _B64 + rb"{22}(?![./0-9A-Za-z])"
    rb"|\$2[abxy]?\$\d\d\$" + _B64 + rb"{53}"
    rb"|\$5\$(?:rounds=\d+\$)?[^$\s:'\"]{1,16}\$" + _B64 + rb"{43}"
    rb"|\$6\$(?:rounds=\d+\$)?[^$\s:'\"]{1,16}\$" + _B64 + rb"{86}"
    rb"|\$(?:y|gy|7)\$" + _B64 + rb"{1,12}\$" + _B64 + rb"{1,86}\$" + _B64 + rb"{43}"
    rb"|\$argon2(?:id?|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{8,}\$[A-Za-z0-9+/]{16,}"
    rb"|\$pbkdf2(?:-sha\d+)?\$\d+\$[A-Za-z0-9./+]{8,}\$[A-Za-z0-9./+]{20,}"
    rb"|\$[PH]\$" + _B64 + rb"{31}(?![./0-9A-Za-z])"
    rb"|\{(?:SSHA|SHA|SMD5|MD5|SSHA(?:256|384|512)|SHA(?:256|384|512)|PBKDF2(?:-SHA\d+)?|ARGON2|CRYPT)\}[A-Za-z0-9+/=.$,]{20,}"
    rb"|SCRAM-SHA-(?:1|256)\$\d+:[A-Za-z0-9+/=]{8,}\$[A-Za-z0-9+/=]{20,}:[A-Za-z0-9+/=]{20,}"
    rb"|pbkdf2_sha\d+\$\d+\$\w{4,}\$[A-Za-z0-9+/=]{20,}"
    rb"|grub\.pbkdf2\.sha512\.\d+\.[0-9A-F]{16,}\.[0-9A-F]{64,}"
    rb"|(?<![\w*])\*[0-9A-F]{40}(?![0-9A-Za-z])"
)
_MAY = re.compile(rb"PRIVATE KEY|PuTTY-User-Key|LS0tL")
_MAY_HASH = re.compile(
    rb"\$(?:[1567yPH]|2[abxy]?|gy|apr1|argon2\w*|pbkdf2[\w-]*)\$|\{[A-Z]{3}|SCRAM-SHA|pbkdf2|\*[0-9A-F]{8}"
)


def blocks(content: bytes) -> Iterator[Block]:
    """Yield what is a secret by its form."""
    if _MAY.search(content):
        yield from _keys(content)
    if _MAY_HASH.search(content):
        for found in _HASHES.finditer(content):
            yield Block(found.start(), found.end(), "a hash of a password", found[0])
    yield from _stores(content)


def _keys(content: bytes) -> Iterator[Block]:
    heads = [*islice(_HEAD.finditer(content), _MOST)]
    for head, after in zip(heads, (*(one.start() for one in heads[1:]), len(content)), strict=False):
        what, start = head[1] or head[2], head.end()
        end = content.find(b"END " + what, start, start + _FARTHEST)
        whole = 0 <= end <= after
        inside = content[start:end] if whole else _cut(content[start : min(after, start + _FARTHEST)])
        if (letters := _letters(inside)) is not None:
            place = end + len(what) + 9 if whole else start + len(inside)
            yield Block(head.start(), min(place, len(content)), _kind(what.decode("ascii"), inside), letters)
    for head in islice(_PUTTY.finditer(content), _MOST):
        lines = _PRIVATE_LINES.search(content, head.end(), head.end() + _FARTHEST)
        end = content.find(b"Private-", lines.end(), lines.end() + _FARTHEST) if lines is not None else -1
        if lines is not None and end > 0 and (letters := _letters(content[lines.end() : end], 20)) is not None:
            yield Block(head.start(), end, "a private key (PuTTY)", letters)
    for found in islice(_ENCODED.finditer(content), _MOST):
        decoded = _decoded(found[0])
        for inner in _keys(decoded) if b"PRIVATE KEY" in decoded else ():
            yield inner._replace(start=found.start(), end=found.end(), kind=f"{inner.kind}, in base64")


def _cut(text: bytes) -> bytes:
    """Return what of `text`, which has no end of a block, may be one's content: a piece of a key is a secret, too."""
    found = re.match(rb"[A-Za-z0-9+/=\s\\]+", text)
    return found[0] if found is not None else b""


def _letters(inside: bytes, least: int = _LEAST) -> bytes | None:
    """Return the base64 of a block; None: it has nothing in it, or an example's dots and words."""
    letters = _WRITTEN.sub(b"", _HEADER.sub(b"", inside))
    return letters if len(letters) >= least and len(set(letters)) >= 10 and b"..." not in inside else None


def _kind(what: str, inside: bytes) -> str:
    kind = "an encrypted private key" if "ENCRYPTED" in what or b"ENCRYPTED" in inside else "a private key"
    name = what.removesuffix(" BLOCK").removesuffix("PRIVATE KEY").strip()
    return f"{kind} ({name})" if name and name != "ENCRYPTED" else kind


def _decoded(text: bytes) -> bytes:
    letters = re.sub(rb"\\n|[^A-Za-z0-9+/]", b"", text)
    try:
        return base64.b64decode(letters[: len(letters) // 4 * 4])
    except binascii.Error:
        return b""


def _stores(content: bytes) -> Iterator[Block]:
    for pattern, kind in _BINARY:
        if re.match(pattern, content, re.DOTALL):
            yield Block(0, len(content), kind, content)
