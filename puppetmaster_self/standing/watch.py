"""The watchdog: an instance whose own master has been dead for too long goes back to the central one.

So does one that became its own master because LDAP said so, when LDAP does not
say so any more; that way back is the orderly one of `disable`.

How long it has been dead is added up look by look and stands in a file below
/run, where a full disk does not reach it; one answer is enough to forget it.
Of the time between two looks no more than two intervals of the timer count: a
machine that was suspended, or whose clock was set, has not been looked at in
between. The clock is the kernel's own (CLOCK_MONOTONIC), which nobody sets.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.settings import SelfMasterSettings, Settings
from enc.terms.names import Certname
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.standing.classified import SELF, taken_back
from puppetmaster_self.transaction.departure import depart
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.steps import units
from puppetmaster_self.transaction.steps.master import answers
from puppetmaster_self.transaction.transaction import Tell, leave

_AGAIN = 900.0
"""Seconds until an orderly way back is tried again that was refused, for want of the central master, say."""


class Dead(NamedTuple):
    """A self-master that does not answer."""

    of: float
    """When its journal was opened: which self-master it is."""
    seconds: float
    """For how long it has been seen so."""
    looked: float
    """When it was looked at last, by the monotonic clock."""

    @classmethod
    def seen(cls, before: Dead | None, of: float, now: float) -> Dead:
        """Return what one more look without an answer makes of the looks `before`. Pure."""
        if before is None or before.of != of:
            return cls(of, 0.0, now)
        # Negative: the machine was started anew since.
        return cls(of, before.seconds + min(max(now - before.looked, 0.0), 2 * units.INTERVAL), now)


def watch(journal: Journal, machine: Machine, settings: Settings, tell: Tell) -> None:
    """Look once; go back if it is time."""
    if journal.state != "serving":
        return
    if _lives(journal, machine, settings.self_master, tell):
        _let_go(journal, machine, settings, tell)


def _let_go(journal: Journal, machine: Machine, settings: Settings, tell: Tell) -> None:
    """Go back in order, if LDAP asked for the self-master and has taken that back."""
    if not journal.opened.get("assigned") or rests(machine.now(), journal.since or 0.0, journal.reason):
        return
    if taken_back(settings, Certname(journal.opened["certname"])):
        tell(f"the class {SELF} was removed from this node in LDAP")
        depart(journal, machine, settings, tell, verified=True)


def rests(now: float, since: float, reason: str) -> bool:
    """Tell whether a way back that was refused at `since`, because of `reason`, is not to be tried again yet. Pure.

    A time that is yet to come tells of a clock that was set back, and keeps nobody waiting.
    """
    return bool(reason) and 0 <= now - since < _AGAIN


def _lives(journal: Journal, machine: Machine, settings: SelfMasterSettings, tell: Tell) -> bool:
    """Tell whether the own puppetserver answers; go back if it has not for too long."""
    mark = machine.places.dead
    if answers(machine, settings.port):
        mark.unlink(missing_ok=True)
        return True
    dead = Dead.seen(_read(mark), float(journal.opened["at"]), time.monotonic())
    if dead.seconds >= settings.dead_after:
        leave(journal, machine, f"this instance's puppetserver has been down for {dead.seconds:.0f} s", tell)
        mark.unlink(missing_ok=True)
        return False
    whole_file.write(mark, json.dumps(dead._asdict()), mode=0o600, survives=Strength.KILL)
    tell(
        f"this instance's puppetserver has not answered for {dead.seconds:.0f} s; after {settings.dead_after:.0f} s "
        "the instance goes back"
    )
    return False


def _read(mark: Path) -> Dead | None:
    try:
        return Dead(**{name: float(value) for name, value in json.loads(mark.read_text(encoding="ascii")).items()})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None
