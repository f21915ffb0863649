"""What several commands of `puppetmaster-self` share: the machine, its lock and journal, and how steps are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from enc.commands.call import Call
from enc.errors import ToolkitError
from puppetmaster_self.journal import Journal, alone
from puppetmaster_self.machine import Machine, Places


def places(call: Call) -> Places:
    """Return where the self-master is."""
    return Places(call.settings.self_master.base)


def read_journal(call: Call) -> Journal:
    """Return the journal, to look at."""
    return Journal(places(call).transaction)


@contextmanager
def alone_here(call: Call, *, wait: float = 0.0) -> Iterator[tuple[Journal, Machine]]:
    """Give journal and machine to one process at a time."""
    where = places(call)
    try:
        with alone(where.lock, wait=wait) as handle:
            yield Journal(where.transaction), dataclasses.replace(Machine(where), lock_handle=handle)
    except PermissionError as error:
        raise ToolkitError("only root may do this; use sudo", where=error.filename) from error
