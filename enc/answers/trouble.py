"""Records for each feed why the answers may not match LDAP; kept in the copy for `status`.

Owns what is wrong with each feed of a session, and how that is written. Not
here: what ends a trouble (feed_intake.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Literal

from enc.answers.plans import Feed
from enc.answers.progress import Progress
from enc.terms.errors import DirectoryRefused, NotAllowed, NotFound, ToolkitError

FACT = "troubles"
"""The copy's fact that holds them."""

Kind = Literal["unreachable", "refused", "behind"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why one feed is not up to date."""

    feed: str
    kind: Kind
    """`unreachable`: no server answers; `refused`: one answers, and does not give all;
    `behind`: one answers, and lacks changes that others have, or had."""
    message: str


def of_error(feed: str, error: ToolkitError) -> Trouble:
    """Return the trouble that `error` means."""
    refused = isinstance(error, DirectoryRefused | NotAllowed | NotFound)
    return Trouble(feed, "refused" if refused else "unreachable", str(error))


class Troubles:
    """What is wrong with the feeds of one session."""

    def __init__(self) -> None:
        self._of: dict[Feed, Trouble] = {}
        self._changed = True
        self.errors: dict[Feed, ToolkitError] = {}
        """Why feeds are not connected, or not up to date since."""

    def any(self) -> bool:
        """Tell whether any feed is in trouble."""
        return bool(self._of)

    def of(self, feed: Feed) -> Trouble | None:
        """Return what is wrong with a feed."""
        return self._of.get(feed)

    def note(self, feed: Feed, trouble: Trouble | None) -> bool:
        """Note what is wrong with a feed, or that nothing is; return whether that is new."""
        if self._of.get(feed) == trouble:
            return False
        if trouble is None:
            del self._of[feed]
        else:
            self._of[feed] = trouble
        self._changed = True
        return True

    def lost(self, feed: Feed, error: ToolkitError) -> bool:
        """Note why a feed lost its connection; return whether that is another reason than before."""
        before = self.errors.get(feed)
        self.errors[feed] = error
        return str(before) != str(error)

    def connected(self, feed: Feed) -> bool:
        """Note that a feed is up to date; return whether it had lost its connection."""
        return self.errors.pop(feed, None) is not None

    def keep(self, progress: Progress) -> None:
        """Keep it for `status`, if it changed; inside a transaction of the copy."""
        if self._changed:
            progress.keep_fact(FACT, encode(self._of.values()))
            self._changed = False


def encode(troubles: Iterable[Trouble]) -> str:
    """Return `troubles` as text for the copy."""
    return json.dumps([astuple(trouble) for trouble in troubles])


def decode(text: str | None) -> tuple[Trouble, ...]:
    """Read what `encode` wrote; none for None."""
    return tuple(Trouble(*fields) for fields in json.loads(text or "[]"))
