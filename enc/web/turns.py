"""Whose turn it is: how many requests are served at once, in total and for each. Pure.

Who a request is from is told by keys: its address, and the secret it shows,
of which only a digest is kept. That is not yet known to be right when a request
waits for its turn; but only who knows a secret takes its owner's share.

Not here: one person with several secrets or addresses, who is known only once a thread has looked (shares.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

HEAD_ENDS = b"\r\n\r\n"
_SECRET = re.compile(rb"\r\n(?:authorization|x-auth-token)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


def keys(place: str, head: bytes) -> tuple[str, ...]:
    """Return what a request counts for: its address's share (origin.py), and that of the secret in its head."""
    secrets = _SECRET.findall(head[: head.find(HEAD_ENDS)])
    shown = (blake2b(b"\n".join(secrets), digest_size=16).hexdigest(),) if secrets else ()
    return (*((place,) if place else ()), *shown)


class Turns:
    """Counts what is served. For one thread."""

    def __init__(self, most: int, each: int) -> None:
        """Let `most` be served at once, and `each` of one key."""
        self._most = most
        self._each = each
        self._served: Counter[str] = Counter()
        self.running = 0

    @property
    def all_taken(self) -> bool:
        """Whether nobody's turn can be now."""
        return self.running >= self._most

    def may(self, keys: Iterable[str]) -> bool:
        """Tell whether a request of these keys could be served now."""
        return not self.all_taken and all(self._served[key] < self._each for key in keys)

    def begin(self, keys: Iterable[str]) -> None:
        """Count one that is served from now on."""
        self.running += 1
        self._served.update(keys)

    def end(self, keys: Iterable[str]) -> None:
        """Count one less."""
        self.running -= 1
        for key in keys:
            self._served[key] -= 1
            if not self._served[key]:
                del self._served[key]
