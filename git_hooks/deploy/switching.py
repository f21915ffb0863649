"""Lets an environment show another version, and puppetserver know of it.

Owns the debt between the two: a flush is owed from before the switch until
every puppetserver confirmed it. So a process that is killed anywhere between
leaves a note, and whoever comes next flushes; a flush too many does no harm.
The caller has the environment's lock.

Failure modes: `FlushFailed` after several tries: the switch stands, and the
flush stays owed. OSError where the link cannot be made: nothing is switched.

Not here: whether to switch (decision.py), the link (versions.py), how
puppetserver is spoken to (puppetserver.py), the records of deploys.
"""

from __future__ import annotations

from collections.abc import Callable

from enc.programs.log import get
from enc.programs.machine_trouble import reason
from enc.terms.names import EnvironmentName
from git_hooks.deploy.puppetserver import FlushFailed, Puppetservers
from git_hooks.deploy.records import Records
from git_hooks.repository.refs import ObjectId
from git_hooks.store.steps import DiskStep
from git_hooks.store.store import Store
from git_hooks.store.versions import Versions

FLUSH_PAUSES = (0.2, 1.0)
"""Seconds to wait before a failed flush is tried again, each once; a push waits for it."""


class Switching:
    """The switches of one store, and the puppetservers that read from it."""

    def __init__(
        self,
        store: Store,
        versions: Versions,
        records: Records,
        servers: Puppetservers,
        at: DiskStep,
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._versions = versions
        self._records = records
        self._servers = servers
        self._at = at
        self._sleep = sleep

    def switch(self, environment: EnvironmentName, commit: ObjectId | None) -> None:
        """Let `environment` show the version at `commit`, which is complete; None: take it away. Flush afterwards."""
        self._at("owe flush")
        self._records.owe_flush(environment)
        if commit is not None:
            self._store.settle()
            self._versions.switch(environment, commit)
        else:
            self._versions.remove(environment)

    def flush(self, environment: EnvironmentName) -> None:
        """Let every puppetserver forget the environment; raise `FlushFailed` after some tries."""
        self._at("flush")
        for pause in (*FLUSH_PAUSES, None):
            try:
                self._servers.flush(environment)
                break
            except FlushFailed:
                if pause is None:
                    raise
                self._sleep(pause)
        self._at("flushed")
        try:
            self._records.flushed(environment)
        except OSError as error:
            # The switch is made, and known. The note stays, and whoever comes next flushes once more.
            get("deploy").warning("%s: flushed, but this cannot be recorded: %s", environment, reason(error))

    def make_up(self, environment: EnvironmentName) -> bool:
        """Flush if a flush is owed, trying once; tell whether it was. Raise `FlushFailed`."""
        owed = self._records.owes_flush(environment)
        if owed:
            self._servers.flush(environment)
            self._records.flushed(environment)
        return owed

    def close(self) -> None:
        """Close the connections; the next flush opens them anew."""
        self._servers.close()
