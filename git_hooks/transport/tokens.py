"""Tokens: words that a program shows instead of a person's password, for git over HTTPS.

One file for each token, ID.json, in a directory that only its owner writes. A
file holds the SHA-256 of the secret, never the secret: that is 256 random bits
and shown once, so a plain digest is enough and nothing can be guessed from it.
Every use reads the file, so what is revoked is refused from the next request on.

Not here: whether the person still exists and what they may do; a token says
who, nothing more. A file that is damaged is no token. A directory that others
may write is refused whole (`ToolkitError`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import whole_file
from enc.programs.elapsed import Count
from enc.programs.whole_file import Strength
from enc.terms.errors import InvalidName, NotFound, ToolkitError
from enc.terms.names import Name, PersonName

KEPT = 90 * 86400.0
"""Seconds for which a token that counts no more is still listed."""

_WORD = re.compile(r"pmt_([a-z2-7]{10})_([a-z2-7]{52})", re.ASCII)


class TokenId(Name):
    """What a token is called in lists and logs; it opens nothing."""

    __slots__ = ()
    kind = "a token's id"
    rule = "10 characters of a-z and 2-7, as `branch-manager token list` shows it"
    pattern = re.compile(r"[a-z2-7]{10}", re.ASCII)
    longest = 10


class TokenPurpose(Name):
    """What its owner calls a token."""

    __slots__ = ()
    kind = "a token's name"
    rule = "letters, digits, ' ', '.', '_', '@' and '-', starting with a letter or digit, at most 80 characters"
    pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]*", re.ASCII)
    longest = 80


class Token(NamedTuple):
    """One token; all times in seconds since 1970."""

    id: TokenId
    person: PersonName
    purpose: TokenPurpose
    created: int
    expires: int
    read_only: bool
    """It may fetch and not push."""
    digest: str
    """SHA-256 of the secret, in hex."""
    by: str
    """Who made it."""
    revoked: int = 0
    """When it was revoked; 0: it was not."""
    entry: str = ""
    """entryUUID of the person's entry, so that a later person with the same uid cannot use it. Empty: not known."""

    def valid(self, now: float) -> bool:
        """Tell whether it counts at `now`."""
        return not self.revoked and self.created - 60 <= now < self.expires


class Tokens:
    """All tokens of one directory."""

    def __init__(self, directory: Path) -> None:
        """Touch nothing yet."""
        self._directory = directory

    def create(
        self,
        person: PersonName,
        purpose: TokenPurpose,
        life: float,
        *,
        read_only: bool,
        by: str,
        now: float,
        entry: str = "",
    ) -> tuple[Token, str]:
        """Make a token that is valid for `life` seconds; return it, and the word to show once.

        `entry`: the entryUUID of the person's entry.
        """
        self._prepare()
        name, secret = TokenId(_random(7)[:10]), _random(32)
        digest = hashlib.sha256(secret.encode("ascii")).hexdigest()
        begins = int(now)
        token = Token(name, person, purpose, begins, begins + int(life), read_only, digest, by, entry=entry)
        self._write(token)
        return token, f"pmt_{token.id}_{secret}"

    def all(self) -> tuple[Token, ...]:
        """Return every token, also those that count no more, the newest first."""
        return tuple(sorted(self._read_all(), key=lambda token: (-token.created, token.id)))

    def revoke(self, name: TokenId, now: float) -> Token:
        """Let a token count no more, from the next request on; raise `NotFound`."""
        token = self._read(name)
        if token is None:
            raise NotFound(f"no token {name}", where=str(self._directory))
        if not token.revoked:
            token = token._replace(revoked=int(now))
            self._write(token)
        return token

    def remove_old(self, count: Count, kept: float = KEPT) -> int:
        """Remove the files of tokens that ended more than `kept` seconds ago; return how many."""
        old = [token for token in self._read_all() if count.now - kept > _ended(token, count)]
        for token in old:
            self._path(token.id).unlink(missing_ok=True)
        return len(old)

    def check(self, person: PersonName, word: str, now: float) -> Token | None:
        """Return the token of `person` that `word` is, None if it is none that counts."""
        match = _WORD.fullmatch(word)
        token = self._read(TokenId(match[1])) if match else None
        if match is None or token is None:
            return None
        digest = hashlib.sha256(match[2].encode("ascii")).hexdigest()
        sound = hmac.compare_digest(digest, token.digest)
        return token if sound and token.person == person and token.valid(now) else None

    def _path(self, name: TokenId) -> Path:
        return self._directory / f"{name}.json"

    def _prepare(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check()

    def _check(self) -> bool:
        """Return whether the directory is there; who writes there makes tokens, so it must be ours alone."""
        try:
            status = self._directory.stat()
        except FileNotFoundError:
            return False
        if status.st_mode & 0o022:
            raise ToolkitError("others can write here and so make tokens; chmod 0700 it", where=str(self._directory))
        if os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
            raise ToolkitError("belongs to another account, which could make tokens here", where=str(self._directory))
        return True

    def _read_all(self) -> Iterator[Token]:
        if self._check():
            for path in sorted(self._directory.glob("*.json")):
                if TokenId.accepts(path.stem):
                    token = self._read(TokenId(path.stem))
                    if token is not None:
                        yield token

    def _read(self, name: TokenId) -> Token | None:
        if not self._check():
            return None
        try:
            with self._path(name).open(encoding="utf-8") as stream:
                if os.fstat(stream.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                    return None
                return _token(name, json.load(stream))
        except PermissionError as error:
            raise ToolkitError("cannot be read; it belongs to another account", where=str(self._path(name))) from error
        except (OSError, ValueError, TypeError, KeyError, InvalidName):
            return None

    def _write(self, token: Token) -> None:
        status = self._directory.stat()
        # The service reads it, which is whose the place is. (`branch-manager token` is run as that account anyway.)
        owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
        text = json.dumps(token._asdict())
        # Revoked is revoked, also after a power cut.
        whole_file.write(self._path(token.id), text, mode=0o600, owner=owner, survives=Strength.POWER_CUT)


def looks_like_one(word: str) -> bool:
    """Tell whether `word` has the form of a token; such a word is never sent to LDAP as a password."""
    return word.startswith("pmt_")


def _ended(token: Token, count: Count) -> float:
    """Return when a token ends or ended. When it expires is no time that a clock has shown, so that is counted."""
    expires = count.of(token.created) + token.expires - token.created
    return min(expires, count.of(token.revoked)) if token.revoked else expires


def _random(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode("ascii").rstrip("=").lower()


def _token(name: TokenId, fields: dict[str, Any]) -> Token:
    token = Token(**fields)
    numbers = (token.created, token.expires, token.revoked)
    if token.id != name or not all(type(number) is int for number in numbers) or type(token.read_only) is not bool:
        raise ValueError(name)
    return token._replace(
        id=name,
        person=PersonName(token.person),
        purpose=TokenPurpose(token.purpose),
        digest=str(token.digest),
        by=str(token.by),
        entry=str(token.entry),
    )
