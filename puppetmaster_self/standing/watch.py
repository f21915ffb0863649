"""The watchdog: an instance whose own master has been dead for too long goes back to the central one.

So does one that became its own master because LDAP said so, when LDAP does not
say so any more; that way back is the orderly one of `disable`.

Since when it is dead stands in a file, so the time counts across runs and
restarts. One answer is enough to forget it.
"""

from __future__ import annotations

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.settings import SelfMasterSettings, Settings
from enc.terms.names import Certname
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.standing.classified import SELF, taken_back
from puppetmaster_self.transaction.departure import depart
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.steps.master import answers
from puppetmaster_self.transaction.transaction import Tell, leave

_AGAIN = 900.0
"""Seconds until an orderly way back is tried again that was refused, for want of the central master, say."""


def watch(journal: Journal, machine: Machine, settings: Settings, tell: Tell) -> None:
    """Look once; go back if it is time."""
    if journal.state != "serving":
        return
    if _lives(journal, machine, settings.self_master, tell):
        _let_go(journal, machine, settings, tell)


def _let_go(journal: Journal, machine: Machine, settings: Settings, tell: Tell) -> None:
    """Go back in order, if LDAP asked for the self-master and has taken that back."""
    tried = journal.reason and machine.now() - (journal.since or 0.0) < _AGAIN
    if not journal.opened.get("assigned") or tried:
        return
    if taken_back(settings, Certname(journal.opened["certname"])):
        tell(f"the class {SELF} was taken away from this node in LDAP")
        depart(journal, machine, settings, tell, verified=True)


def _lives(journal: Journal, machine: Machine, settings: SelfMasterSettings, tell: Tell) -> bool:
    """Tell whether the own puppetserver answers; go back if it has not for too long."""
    mark = machine.places.transaction / "dead-since"
    now = machine.now()
    if answers(machine, settings.port):
        mark.unlink(missing_ok=True)
        return True
    try:
        # A mark that is older than this self-master tells of another one.
        since = max(float(mark.read_text(encoding="ascii")), journal.since or 0.0)
    except (FileNotFoundError, ValueError):
        since = now
        whole_file.write(mark, f"{now:.0f}\n".encode(), mode=0o600, survives=Strength.POWER_CUT)
    dead = now - since
    # A clock that was set back starts the time anew.
    if dead < 0:
        mark.unlink(missing_ok=True)
    elif dead >= settings.dead_after:
        leave(journal, machine, f"the own puppetserver has been dead for {dead:.0f} s", tell)
        mark.unlink(missing_ok=True)
    else:
        tell(f"the own puppetserver has not answered for {dead:.0f} s; after {settings.dead_after:.0f} s we go back")
    return False
