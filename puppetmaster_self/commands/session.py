"""What several commands of `puppetmaster-self` share: the machine, its lock and journal, and how steps are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from enc.commands.call import Call
from enc.terms.errors import ToolkitError
from puppetmaster_self.instance.machine import Machine, Places
from puppetmaster_self.transaction.journal import Journal, alone
from puppetmaster_self.transaction.states import SETTLED
from puppetmaster_self.transaction.transaction import recover


def places(call: Call) -> Places:
    """Return where the self-master is."""
    return Places(call.settings.self_master.base)


def read_journal(call: Call) -> Journal:
    """Return the journal, to look at."""
    return Journal(places(call).transaction, mend=False)


def settle(call: Call, journal: Journal, machine: Machine) -> None:
    """Finish or undo what was interrupted, before something else begins; only looking changes nothing."""
    if journal.state not in SETTLED and not call.arguments.dry_run:
        call.say(f"{journal.state} was interrupted; recovering first")
        recover(journal, machine, call.say)


@contextmanager
def alone_here(call: Call, *, wait: float = 10.0) -> Iterator[tuple[Journal, Machine]]:
    """Give journal and machine to one process at a time; wait a moment, for the timer looks every minute."""
    where = places(call)
    try:
        with alone(where.lock, wait=wait) as handle:
            yield Journal(where.transaction), dataclasses.replace(Machine(where), lock_handle=handle)
    except PermissionError as error:
        raise ToolkitError("only root may do this; use sudo", where=error.filename) from error
