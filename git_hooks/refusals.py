"""What was refused, kept on the server: who wanted to move which ref, when, and why not.

Owns the file puppetmaster/refused.jsonl in the repository, one JSON document a
line and ref, and refused.jsonl.1 with what was before; together they stay
below some megabytes. Whoever judges writes there, the service and each cold
hook: the latter's standard error goes to the person who pushes and not to any
log. The number of a push stands in all its lines, and in what that person reads.

Failure modes: OSError. The verdict does not depend on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from git_hooks.locks import locked

_MOST = 1 << 20
"""Bytes after which the file becomes the one before, whose content goes."""

MOST_REFS = 50
"""Of a push with more refused refs, these are kept; hostile input can have many."""


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
    text = "".join(json.dumps(one._asdict(), separators=(",", ":")) + "\n" for one in refusals).encode("ascii")
    with locked(str(path.with_name("refused.lock"))):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > _MOST:
            path.rename(path.with_name("refused.jsonl.1"))
