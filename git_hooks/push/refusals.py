"""What was refused, kept on the server: who wanted to move which ref, when, and why not.

Owns the file puppetmaster/refused.jsonl in the repository, one JSON document a
line and ref, and refused.jsonl.1 with what was before; together they stay
below 3 MB. Each line has all that the person was told (64 KiB at most); a push
of which more would have to be kept than `_OF_A_PUSH` ends with a line that says
how many refs are left out. Whoever judges writes there, the service and each cold
hook: the latter's standard error goes to the person who pushes and not to any
log. The number of a push stands in all its lines, and in what that person reads.

Failure modes: `NotWritten`. The verdict does not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from enc.programs import json_lines
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import Strength

_MOST = 1 << 20
"""Bytes from which the file becomes the one before, whose content goes."""

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
    file = f"{repository}/puppetmaster/refused.jsonl"
    # Not synced: the verdict does not depend on it, and pushes wait for it.
    JsonLines(file, mode=0o600, survives=Strength.KILL, longest=_MOST).append(*_kept(refusals))


def _kept(refusals: Sequence[Refusal]) -> Iterator[dict[str, Any]]:
    left = _OF_A_PUSH
    for number, one in enumerate(refusals):
        left -= len(json_lines.line(one._asdict()))
        if left < 0:
            text = f"{len(refusals) - number} more refs of this push are not kept here, because there is too much of it"
            yield one._replace(ref="-", old="-", new="-", verdict=text)._asdict()
            return
        yield one._asdict()
