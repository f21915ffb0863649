"""By which rules an audit looks: the engine of secrets, the search for keys, and the key of fingerprints.

The rules have a name. What was seen by others is worth nothing, and a verdict of others is not current.
"""

from __future__ import annotations

import hashlib
import hmac
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from git_hooks.opening.journal import Found
from git_hooks.push.code_reader import CodeReader
from git_hooks.secrets import armour, certificates, kept, private_keys
from git_hooks.secrets.engine import engine
from git_hooks.secrets.findings import SHOWN, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enc.settings import Settings

VERSION = 1
"""Of what is done here with a file: raised whenever the same content gives something else."""
PIECE = 16 << 20
"""Octets of an object that are in memory at once; a larger one is looked at in pieces."""
_OVERLAP = 1 << 16
"""Octets that two pieces have in common: what is longer than this may be cut in two."""
_KEY = "a private key"


class Rules:
    """All that is asked of each object. Loading it takes a second."""

    def __init__(self, settings: Settings) -> None:
        repository = settings.branches.repository
        key = kept.key(repository)
        self._key = key
        self.engine: Engine = engine(repository, CodeReader(settings.branches.ruby, "audit", inf).read)
        whose = hmac.new(key, b"the key of a verdict's findings", hashlib.sha256).hexdigest()[:16]
        self.name = f"audit {VERSION}; {self.engine.version}; fingerprints {whose}"

    def look(self, name: str, kind: str, path: str, pieces: Iterator[bytes]) -> Found:
        """Return what an object holds."""
        above, before = 0, b""
        whole = Found(name, kind, path)
        for piece in pieces:
            content = before + piece
            whole = _joined(whole, self._piece(name, kind, path, content, above))
            before = content[-_OVERLAP:]
            above += content.count(b"\n", 0, len(content) - len(before))
        return whole

    def _piece(self, name: str, kind: str, path: str, content: bytes, above: int) -> Found:
        examined = self.engine.look(path, content, name)
        found = [
            (one.line + above if one.line else 0, one.kind, one.fingerprint, one.where) for one in examined.findings
        ]
        blocks = list(armour.blocks(content))
        keys, known = (private_keys.of(blocks), certificates.of(blocks)) if blocks else ([], [])
        for key in keys:
            # What the engine has found at this line is this very key, in whatever words.
            if not any(abs(line - above - key.line) <= 1 and "key" in what for line, what, _, _ in found):
                found.append((key.line + above, _KEY, self._fingerprint(key), ""))
        return Found(
            name,
            kind,
            path,
            tuple(sorted(found)),
            tuple((key.line + above, key.kind, key.public, key.encrypted) for key in keys),
            tuple(tuple(one) for one in known),  # type: ignore[misc]
            examined.unchecked,
        )

    def _fingerprint(self, key: private_keys.PrivateKey) -> str:
        of = f"a private key, {key.public}" if key.public else f"a sealed private key in line {key.line}"
        return hmac.new(self._key, of.encode(), hashlib.sha256).hexdigest()[:SHOWN]


def key_of(settings: Settings) -> bytes:
    """Return the server's key, by which verdicts are told from what others write."""
    return kept.key(Path(settings.branches.repository))


def _joined(one: Found, other: Found) -> Found:
    return one._replace(
        findings=tuple(dict.fromkeys((*one.findings, *other.findings))),
        keys=tuple(dict.fromkeys((*one.keys, *other.keys))),
        certificates=tuple(dict.fromkeys((*one.certificates, *other.certificates))),
        unchecked=tuple(dict.fromkeys((*one.unchecked, *other.unchecked))),
    )
