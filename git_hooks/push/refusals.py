"""What was refused, kept on the server: who wanted to move which ref, when, and why not.

Owns the file puppetmaster/refused.jsonl in the repository, one JSON document a
line and ref, and refused.jsonl.1 with what was before; together they stay
below 3 MB. Each line has all that the person was told (64 KiB at most); a push
of which more would have to be kept than `_OF_A_PUSH` ends with a line that says
how many refs are left out. Whoever judges writes there, the service and each cold
hook: the latter's standard error goes to the person who pushes and not to any
log. The number of a push stands in all its lines, and in what that person reads.

Failure modes: OSError. The verdict does not depend on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from git_hooks.store.locks import locked

_MOST = 1 << 20
"""Bytes after which the file becomes the one before, whose content goes."""

_OF_A_PUSH = 1 << 19
"""Bytes that are kept of one push; hostile input can have many refs, and many words about each."""


class Refusal(NamedTuple):
    """One ref that did not move."""

    at: float
    """Seconds since 1970."""
    push: str
    """The number of the push."""
    who: str
    """Who pushed; `-` if that is not known."""
    via: str
    """What vouches for the name; `-` likewise."""
    ref: str
    old: str
    new: str
    verdict: str
    """Why it was refused, or that it could have been taken; one line."""

    def told(self) -> str:
        """Return the line for a log."""
        return f"push {self.push} of {self.who} ({self.via}) refused: {self.ref}: {self.verdict}"


def keep(repository: str, refusals: Sequence[Refusal]) -> None:
    """Append them, whole lines at once."""
    path = Path(repository, "puppetmaster/refused.jsonl")
    text = b"".join(_lines(refusals))
    with locked(str(path.with_name("refused.lock"))):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > _MOST:
            path.rename(path.with_name("refused.jsonl.1"))


def _lines(refusals: Sequence[Refusal]) -> Iterator[bytes]:
    left = _OF_A_PUSH
    for number, one in enumerate(refusals):
        line = _line(one)
        left -= len(line)
        if left < 0:
            text = f"{len(refusals) - number} more refs of this push are not kept here, because there is too much of it"
            yield _line(one._replace(ref="-", old="-", new="-", verdict=text))
            return
        yield line


def _line(one: Refusal) -> bytes:
    return json.dumps(one._asdict(), separators=(",", ":")).encode("ascii") + b"\n"
