"""What the forge has and we do not show: how often it was tried, why that failed, when it is tried again.

A branch is wanted for as long as what is live differs from what the forge has;
each look finds that anew, so nothing can be lost here. Kept is what spares the
machine (pauses that grow, up to `branches.mirror.retry`, with some chance in
them so that not everything is tried at one moment) and what people ask for:
`branch-manager status`, doctor and the metrics read it.

Owns mirror/tries.json in the store, written whole and renamed. Killed at any
moment, it is old or new. If it cannot be read, everything counts as never
tried. A full disk is a usual reason why deploys fail, and nobody would be told:
so the file is larger than its content, and then written over in place. If that
fails too, the process goes on with what it has in memory, and says so.

A new process tries everything once at its start: its settings may be new.
"""

from __future__ import annotations

import errno
import json
import os
import random
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import InvalidName, bounded
from enc.terms.names import BranchName

FORGE = ""
"""Stands for the forge itself, where others have a branch's name."""

FIRST_PAUSE = 15.0
"""Seconds until the second try; each further pause is twice as long."""
_ROOM = 16_384
"""The file's size is a multiple of so many bytes."""
_REASON = 4096
"""Characters of a reason; the record of the deploy has all of it."""


class Try(NamedTuple):
    """Something that is wanted and has failed so far."""

    subject: str
    """A branch, or `FORGE`."""
    commit: str
    """What the forge has; empty if that is no commit."""
    failures: int
    since: float
    """When it failed first, in seconds since 1970."""
    last: float
    next: float
    """When it is tried again without anybody asking."""
    reason: str
    going: bool = False
    """The branch is gone, and its environment has still to go."""


class Kept(NamedTuple):
    """What the file holds."""

    answered: float | None
    """When the forge last said what branches there are; None: never."""
    tries: tuple[Try, ...]


def file_of(store: Path) -> Path:
    """Return the file of one store."""
    return store / "mirror/tries.json"


def read(store: Path) -> Kept:
    """Return what is kept; nothing if that cannot be read. Raise PermissionError if we may not."""
    try:
        document: dict[str, Any] = json.loads(file_of(store).read_text(encoding="ascii"))
        return Kept(document["answered"], tuple(_read(fields) for fields in document["tries"]))
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError, KeyError, InvalidName):
        return Kept(None, ())


def pause(failures: int, most: float, chance: float) -> float:
    """Return the seconds until the next try after so many `failures`; `chance` from 0 to 1. Pure."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 20), most) * (1 - 0.25 * chance)


class Tries:
    """What one process knows, beginning with what the one before it left. For one thread."""

    def __init__(
        self,
        store: Path,
        most: float,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`most`: seconds, the longest pause."""
        self._file = file_of(store)
        self._most = most
        self._clock = clock
        self._chance = chance
        kept = read(store)
        self.answered = kept.answered
        self._tries = {one.subject: one for one in kept.tries}
        self._tried: set[str] = set()

    def get(self, subject: str) -> Try | None:
        """Return how it stands with `subject`; None: well."""
        return self._tries.get(subject)

    def all(self) -> tuple[Try, ...]:
        """Return everything that fails, the forge first, then by branch."""
        return tuple(self._tries[subject] for subject in sorted(self._tries))

    def due(self, subject: str, commit: str) -> bool:
        """Tell whether it is to be tried now: not tried before, not by this process, not that commit, or it is time."""
        known = self._tries.get(subject)
        if known is None or known.commit != commit or subject not in self._tried:
            return True
        left = known.next - self._clock()
        return left <= 0 or left > known.next - known.last + 1  # the clock was set back

    def failed(
        self, subject: str, commit: str, reason: str, *, most: float | None = None, going: bool = False
    ) -> tuple[Try, bool]:
        """Note a failure; return it, and whether its reason is new. `most`: seconds, a shorter longest pause."""
        known, now = self._tries.get(subject), self._clock()
        reason = bounded(reason, _REASON)
        if known is not None and known.commit == commit and known.going == going:
            failures, since, new = known.failures + 1, known.since, known.reason != reason
        else:
            failures, since, new = 1, now, True
        longest = self._most if most is None else min(most, self._most)
        next_try = now + pause(failures, longest, self._chance())
        made = Try(subject, commit, failures, since, now, next_try, reason, going)
        self._tries[subject] = made
        self._tried.add(subject)
        return made, new

    def succeeded(self, subject: str) -> None:
        """Note that nothing is wanted any more."""
        self._tries.pop(subject, None)

    def keep_only(self, subjects: Collection[str]) -> None:
        """Forget what nobody wants any more."""
        for subject in self._tries.keys() - set(subjects) - {FORGE}:
            del self._tries[subject]

    def seconds_left(self) -> float | None:
        """Return the seconds until something is due, 0 at least; None: nothing fails.

        While the forge cannot be asked, nothing else can be tried.
        """
        forge = self._tries.get(FORGE)
        tries = [forge] if forge is not None else list(self._tries.values())
        now = self._clock()
        return min((max(0.0, min(one.next - now, one.next - one.last)) for one in tries), default=None)

    def save(self) -> None:
        """Write it down; raise OSError."""
        self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        document = {"answered": self.answered, "tries": [one._asdict() for one in self.all()]}
        content = json.dumps(document).encode("ascii")
        content = content.ljust(-(-len(content) // _ROOM) * _ROOM)
        try:
            whole_file.write(self._file, content, mode=0o644, survives=Strength.ORDER)
        except NotWritten as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self._file.stat().st_size != len(content):
                raise
            with self._file.open("r+b") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())


def _read(fields: dict[str, Any]) -> Try:
    found = Try(**fields)
    if found.subject != FORGE:
        BranchName(found.subject)
    numbers = (found.since, found.last, found.next, found.failures)
    if not all(isinstance(number, int | float) for number in numbers) or not isinstance(found.reason, str):
        raise ValueError("is not a record of tries")
    return found
