"""The thread that runs the branch manager's chores, each at its time.

The times are pure (`Turn`, `after`, `earliest`); `Upkeep` waits and calls. One
chore's failure is a line in the log and another try after a pause; it stops
neither the other chores nor pushes. What is wrong is said once, and again only
after it has changed. Nothing is kept on disk: a new process does every chore
at once, which makes up for whatever its predecessor was killed over.

Not here: what the chores do (chores.py), pushes (service.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from enc.programs.log import get
from enc.programs.machine_trouble import told
from enc.terms.errors import ToolkitError
from git_hooks.upkeep.chores import CHORES, EVERY, Remark, intervals

if TYPE_CHECKING:
    from git_hooks.push.service import Service

_FIRST_PAUSE = 5.0
"""Seconds until the second try of what failed; each further pause is twice as long."""
_LONGEST_PAUSE = 300.0
_LOOK = 60.0
"""Seconds after which it is looked whether a push has seen other settings, if nothing is due before."""
_PATIENCE = 10.0
"""Seconds for which the end waits for the chore under way. After that it is cut off, as by a kill."""


class Turn(NamedTuple):
    """When a chore is due (monotonic seconds), and how often it has failed since it last succeeded."""

    due: float
    failures: int = 0


def after(turn: Turn, every: float, now: float, *, failed: bool) -> Turn:
    """Return the next turn of a chore that ended at `now`. Pure.

    A chore that fails is tried sooner than a rare one would be, and less often than a frequent one.
    """
    if not failed:
        return Turn(now + every)
    pause = min(_FIRST_PAUSE * 2.0 ** min(turn.failures, 10), 10 * every, _LONGEST_PAUSE)
    return Turn(now + pause, turn.failures + 1)


def earliest(turns: Mapping[str, Turn], wanted: Iterable[str], now: float) -> tuple[str, Turn] | None:
    """Return the chore of `wanted` that is due first; one without a turn is due at once. Pure."""
    found = [(name, turns.get(name, Turn(now))) for name in wanted]
    return min(found, key=lambda pair: pair[1].due, default=None)


class Upkeep:
    """Does the chores of a service while it runs; `start` and `stop` once."""

    def __init__(self, service: Service, every: Mapping[str, float] = EVERY) -> None:
        """Start nothing yet. `every`: seconds between two turns of each chore."""
        self._service = service
        self._every = every
        self._ended = threading.Event()
        self._wrong: dict[str, dict[str, str]] = {}
        """What each chore found wrong at its last turn, by subject."""
        self._log = get("upkeep")
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin with every chore."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way, if that does not take long."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        turns: dict[str, Turn] = {}
        known: dict[str, float] = {}
        beginnings = self._service.beginnings
        while True:
            wanted = intervals(self._service.settings, self._every)
            if beginnings != self._service.beginnings:
                beginnings, turns = self._service.beginnings, {}  # the store was lost: what is due is due now
            # What is to be done at other times now is done at once.
            turns = {name: turn for name, turn in turns.items() if known.get(name) == wanted.get(name)}
            known = wanted
            now = time.monotonic()
            chosen = earliest(turns, wanted, now)
            wait = _LOOK if chosen is None else min(max(chosen[1].due - now, 0), _LOOK)
            if self._ended.wait(wait):
                return
            if chosen is not None and chosen[1].due <= time.monotonic():
                name, turn = chosen
                failed = not self._do(name)
                turns[name] = after(turn, wanted[name], time.monotonic(), failed=failed)

    def _do(self, name: str) -> bool:
        """Do one chore; tell whether it could be done."""
        before, self._wrong[name] = self._wrong.get(name, {}), {}
        try:
            with self._service.workplace() as place:
                for remark in CHORES[name](place):
                    self._say(name, remark, before)
                    if self._ended.is_set():
                        return True
        except (ToolkitError, OSError) as error:
            text = f"{name} failed and will be tried again: {told(error)}"
            self._say(name, Remark("", text, wrong=True), before)
            # What was wrong before is not known to be mended.
            self._wrong[name] = before | self._wrong[name]
            return False
        except Exception:  # one iteration of the loop
            self._log.exception("a bug stopped %s, which will be tried again", name)
            return False
        if "" in before:
            self._log.info("%s works again", name)
        return True

    def _say(self, name: str, remark: Remark, before: Mapping[str, str]) -> None:
        if not remark.wrong:
            self._log.info("%s", remark.text)
            return
        self._wrong[name][remark.subject] = remark.text
        if before.get(remark.subject) != remark.text:
            self._log.warning("%s", remark.text)
