"""The watchdog: an instance whose own master has been dead for too long goes back to the central one.

Since when it is dead stands in a file, so the time counts across runs and
restarts. One answer is enough to forget it.
"""

from __future__ import annotations

from enc.settings import SelfMasterSettings
from puppetmaster_self.journal import Journal
from puppetmaster_self.machine import Machine
from puppetmaster_self.steps.master import answers
from puppetmaster_self.transaction import Tell, leave
from puppetmaster_self.tree import write_whole


def watch(journal: Journal, machine: Machine, settings: SelfMasterSettings, tell: Tell) -> None:
    """Look once; go back if it is time."""
    if journal.state != "serving":
        return
    mark = machine.places.transaction / "dead-since"
    now = machine.now()
    if answers(machine, settings.port):
        mark.unlink(missing_ok=True)
        return
    try:
        since = float(mark.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        since = now
        write_whole(mark, f"{now:.0f}\n".encode(), mode=0o600)
    dead = now - since
    # A clock that was set back starts the time anew.
    if dead < 0:
        mark.unlink(missing_ok=True)
    elif dead >= settings.dead_after:
        leave(journal, machine, f"the own puppetserver has been dead for {dead:.0f} s", tell)
        mark.unlink(missing_ok=True)
    else:
        tell(f"the own puppetserver has not answered for {dead:.0f} s; after {settings.dead_after:.0f} s we go back")
