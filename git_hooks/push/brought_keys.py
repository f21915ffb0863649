"""What is known and noted about the private keys that a push brings.

Each is compared with the certificates that are known, and with those that the same push brings, whichever comes
first. A key that came is public from then on, also if its push is refused: it is noted where the authority looks
(enc/signing/published.py). One under a passphrase is not, for it is not public; but it has no place here either.

Failure modes: a key that cannot be noted (a full disk) is no reason to accept its push, and none to refuse it: it is
told. What of the known certificates cannot be read is told, too, where a key came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from enc.programs.whole_file import NotWritten
from enc.signing.published import PublishedKeys
from git_hooks.secrets.certificates import Certificate
from git_hooks.secrets.known import KnownCertificates
from git_hooks.secrets.private_keys import PrivateKey

if TYPE_CHECKING:
    from enc.settings import Settings

Allowed = Callable[[PrivateKey], bool]
"""Tells whether operators allow a key where it stands."""
_NOTED = 1000
"""Keys of one push that are noted: whoever has so many has made them."""
_DO = "nobody else must have it: take it out of the commit, and replace key and certificate if others saw it"


class BroughtKeys:
    """The keys of one push, or of one look at a branch."""

    def __init__(self, settings: Settings) -> None:
        """Read nothing yet."""
        self._known = KnownCertificates(settings)
        place = settings.signing.published_keys
        self._published = PublishedKeys(place) if place is not None else None
        self._met: dict[str, list[tuple[str, PrivateKey, Allowed]]] = {}
        self._noted = 0
        self._told_unread = False

    def look(
        self,
        unchecked: Callable[[str], str],
        path: str,
        keys: Sequence[PrivateKey],
        certificates: Sequence[Certificate],
        allowed: Allowed,
    ) -> Iterator[tuple[str, str]]:
        """Yield place and words for each key of a known certificate.

        `unchecked` is told what could not be looked at, and returns words if it must be.
        """
        now = time.time()
        for certificate in certificates:
            self._known.add(certificate, "this push")
            for found in self._met.pop(certificate.public, ()):
                yield from self._problem(*found, now)
        for key in keys:
            if (trouble := self._note(key, now)) and (words := unchecked(trouble)):
                yield path, words
            if not key.public:
                continue
            if self._known.best(key.public, now) is not None:
                yield from self._problem(path, key, allowed, now)
            else:
                self._met.setdefault(key.public, []).append((path, key, allowed))
        if keys:
            for words in filter(None, map(unchecked, self._unread())):
                yield path, words

    def _problem(self, path: str, key: PrivateKey, allowed: Allowed, now: float) -> Iterator[tuple[str, str]]:
        known = self._known.best(key.public, now)
        assert known is not None
        if not any(one.ours for one in self._known.of(key.public)) and allowed(key):
            return
        sealed = "under a passphrase, " if key.encrypted else ""
        yield path, f"line {key.line}: {sealed}{known.told(now)} (known from {known.source}); {_DO}"

    def _note(self, key: PrivateKey, now: float) -> str:
        if self._published is None or key.encrypted or not key.public or self._noted >= _NOTED:
            return ""
        self._noted += 1
        try:
            self._published.prepare()
            self._published.add(key.public, now)
        except NotWritten as error:
            return f"the authority will not know that this key is public: {error}"
        return ""

    def _unread(self) -> list[str]:
        if self._told_unread:
            return []
        self._told_unread = True
        return self._known.unread
