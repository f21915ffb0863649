"""Which nodes use an environment: read from the answers that the follower wrote, or asked of LDAP.

The answers are what puppetserver gets, so they are what counts. Reading all of
them costs time in a large site; a process that stays reads only what changed.
Where nobody follows, or the follower is behind, LDAP can be asked for the one
question whose answer must be right: whether a branch may be deleted.

Failure modes: `UsageUnknown` with the reason. Nodes whose entry cannot be
classified have no answer, and count for no environment.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from enc.answers.reader import classes_in, classes_of
from enc.programs.machine_trouble import told
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable, ToolkitError
from enc.terms.names import Certname, EnvironmentName
from git_hooks.index.assigned import Assigned

if TYPE_CHECKING:
    from enc.classify.model import Value
    from enc.service.survey import Row
    from enc.settings import Settings

_BEHIND = 30
"""Seconds since the follower's last contact after which it is not believed any more."""

_HEAD = 8192
"""Bytes in which an answer names its environment: the second line after the comment."""

_SETTLED = 0.1
"""Seconds after which a directory's time tells whether it changed since (its clock ticks every few milliseconds)."""

_REMEMBERED = 10_000
"""So many different sets of classes are remembered."""

_MARK = b'\nenvironment: "'


class UsageUnknown(ToolkitError):
    """Which nodes use an environment cannot be told."""


class Usage:
    """The environments of all nodes, as the answers have them. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._root = str(settings.answers.directory)
        self._stamps: tuple[int, ...] = ()
        self._files: dict[str, tuple[int, str]] = {}
        self._classes: dict[str, tuple[int, Mapping[str, Mapping[str, Value]]]] = {}
        self._said: dict[str, Mapping[str, Mapping[str, Value]]] = {}
        """By the lines that say them: many nodes have the same."""
        self._lock = threading.Lock()

    def nodes(self, environment: EnvironmentName) -> tuple[Certname, ...]:
        """Return the nodes in `environment`, sorted; raise `UsageUnknown` if no follower keeps up."""
        wanted = environment.lower()
        return tuple(
            sorted(
                Certname(name)
                for name, (_, used) in self._current().items()
                if wanted in used.lower().split() and Certname.accepts(name)
            )
        )

    def counts(self) -> Counter[str]:
        """Return how many nodes are in each environment, by its name in lower case; raise as `nodes` does."""
        return Counter(used.lower() for _, used in self._current().values())

    def _current(self) -> dict[str, tuple[int, str]]:
        from enc.answers.layout import Layout
        from enc.answers.reader import read_contact

        contact = read_contact(Layout(self._settings.answers.directory))
        if contact is None:
            raise UsageUnknown("no follower runs here")
        if contact.state != "current" or not -_BEHIND <= time.time() - contact.contact <= _BEHIND:
            raise UsageUnknown("the follower is behind; see enc-admin status")
        with self._lock:
            self._read()
            return self._files

    def nodes_for_certain(self, environment: EnvironmentName) -> tuple[Certname, ...]:
        """Return the same, from LDAP if need be, however long that takes; raise `UsageUnknown`."""
        try:
            return self.nodes(environment)
        except UsageUnknown:
            return self._ask(environment)

    def assigned(self, environment: EnvironmentName) -> tuple[Assigned, ...]:
        """Return what the nodes in `environment` are assigned, from LDAP if need be; raise `UsageUnknown`."""
        try:
            names = self.nodes(environment)
            return tuple(Assigned(name, self._classes_of(name)) for name in names)
        except (UsageUnknown, FileNotFoundError):  # another domain's node has no answer here
            return tuple(
                Assigned(row.certname, {_normal(name): given for name, given in row.classification.classes.items()})
                for row in self._rows(environment)
                if row.classification is not None
            )
        except (OSError, ToolkitError) as error:
            raise UsageUnknown(f"the answers cannot be read: {told(error)}") from error

    def _classes_of(self, name: Certname) -> Mapping[str, Mapping[str, Value]]:
        with self._lock:
            stamp = self._files[name][0]
            known = self._classes.get(name)
            if known is not None and known[0] == stamp:
                return known[1]
        with open(f"{self._root}/nodes/{name}.yaml", encoding="utf-8", errors="replace") as stream:
            lines = classes_in(stream.read())
        with self._lock:
            if lines not in self._said:
                if len(self._said) > _REMEMBERED:
                    self._said.clear()
                self._said[lines] = {_normal(one): given for one, given in classes_of(lines).items()}
            self._classes[name] = stamp, self._said[lines]
            if len(self._classes) > 2 * len(self._files):
                self._classes = {one: said for one, said in self._classes.items() if one in self._files}
            return self._said[lines]

    def _read(self) -> None:
        # What another domain's server answers is a refusal here, which says the environment, too.
        directories = (f"{self._root}/refused", f"{self._root}/nodes")
        try:
            stamps = tuple(os.stat(directory).st_mtime_ns for directory in directories)
            if stamps == self._stamps:
                return
            found: dict[str, tuple[int, str]] = {}
            for directory in directories:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        name = entry.name.removesuffix(".yaml")
                        with suppress(FileNotFoundError):
                            changed = entry.stat(follow_symlinks=False).st_mtime_ns
                            known = self._files.get(name)
                            same = known is not None and known[0] == changed
                            found[name] = known if known and same else (changed, _environment(entry.path))
        except OSError as error:
            raise UsageUnknown(f"the answers cannot be read: {told(error)}") from error
        self._files = found
        settled = all(time.time_ns() - stamp > _SETTLED * 1e9 for stamp in stamps)
        self._stamps = stamps if settled else ()

    def _ask(self, environment: EnvironmentName) -> tuple[Certname, ...]:
        return tuple(row.certname for row in self._rows(environment))

    def _rows(self, environment: EnvironmentName) -> tuple[Row, ...]:
        from enc.directory.ldap_store import LdapSource
        from enc.service.survey import Snapshot, rows

        def uses(row: Row) -> bool:
            said = row.classification
            chosen = (said.environment, said.otherwise) if said is not None else ()
            return environment.lower() in (name.lower() for name in chosen if name is not None)

        try:
            with LdapSource(self._settings) as source:
                return tuple(rows(Snapshot(source, self._settings), self._settings, uses, time.time()))
        except (DirectoryUnreachable, DirectoryRefused) as error:
            raise UsageUnknown(f"the follower is not running here, and LDAP cannot be queried: {error}") from error


def _normal(name: str) -> str:
    """Return a class name as Puppet finds it."""
    return name.removeprefix("::").lower()


def _environment(path: str) -> str:
    """Return the environment that an answer names, behind a space the one after a trial; empty: none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = os.read(descriptor, _HEAD)
    finally:
        os.close(descriptor)
    _, mark, rest = head.partition(_MARK)
    parts = rest.partition(b"\n")[0].split(b'"')
    # `X"`, or with a trial `X" # until SECONDS then "Y"` (enc/classify/render.py): a node in trial uses both.
    return b" ".join(parts[0:3:2]).decode("ascii", "replace").strip() if mark else ""
