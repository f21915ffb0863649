"""Learns from stored reports which instances are built, and how their last runs went.

Looks only at directories that changed, and there only at files that it has not
read. Where our report processor writes, which lets nobody report for another
(lib/puppet/reports/puppetmaster.rb), reports that Puppet's `store` keeps count
no more. An instance is built when its first run that counts (states.built_by)
came after its certificate; that is recorded in LDAP once, by a server of the
instance's trust domain. All else stays on this master (runs.py).

A report that cannot be read is told and passed over. While LDAP is away, a
report that would build is read again at the next look; nothing is lost.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from enc.directory.edits import DirectoryEditor, ValueChange
from enc.instances import reports, states
from enc.instances.enrolment import BUILT_ATTRIBUTE, Built
from enc.instances.entry import instance_of
from enc.instances.runs import RunRecord, RunRecords
from enc.instances.states import Run
from enc.instances.traces import Places
from enc.rights.domains import serves
from enc.settings import Settings
from enc.terms.errors import Conflict, ToolkitError
from enc.terms.filters import NodeFilter
from enc.terms.names import Certname

_log = logging.getLogger(__name__)

_NEWEST = 50
"""So many unread reports of one instance are read; older ones are passed over."""
_TICK = 2_000_000_000
"""Nanoseconds for which a directory's time may stay the same although a file came."""


def account(settings: Settings) -> Settings:
    """Return the settings with which what is built is recorded: the signing account, if there is one."""
    signing = settings.signing
    if signing.bind_dn is None:
        return settings
    directory = replace(
        settings.directory, write_bind_dn=signing.bind_dn, write_bind_password_file=signing.bind_password_file
    )
    return replace(settings, directory=directory)


class Event(NamedTuple):
    """An instance whose reports said something new."""

    certname: Certname
    run: Run
    built: Built | None
    """What was recorded in LDAP because of it."""


class Collector:
    """Reads the reports of one master; `editor` records what is built."""

    def __init__(self, where: Places, settings: Settings, editor: DirectoryEditor) -> None:
        self._where = where
        self._directory = where.reports
        self._settings = settings
        self._editor = editor
        self._records = RunRecords(settings.instances.runs)
        self._known: dict[str, RunRecord] = {}

    def look(self) -> Iterator[Event]:
        """Yield what is new since the last look; raise `ToolkitError` if the reports or LDAP cannot be had."""
        # The processor makes its directory with the first report that puppetserver gets.
        self._directory = self._where.proven if self._where.proven.is_dir() else self._where.reports
        try:
            with os.scandir(self._directory) as found:
                entries = [
                    (entry.name, entry.stat(follow_symlinks=False).st_mtime_ns)
                    for entry in found
                    if Certname.accepts(entry.name) and entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return  # nobody has reported yet
        except OSError as error:
            raise ToolkitError(f"cannot be read: {error.strerror}", where=str(self._directory)) from error
        for name, changed in entries:
            known = self._known.get(name)
            if known is None or known.directory != changed:
                event = self._look_at(Certname(name), changed)
                if event is not None:
                    yield event

    def _look_at(self, certname: Certname, changed: int) -> Event | None:
        record = self._known.get(certname) or self._records.read(certname) or RunRecord(None, 0, 0)
        if record.directory == changed:
            self._known[certname] = record
            return None
        runs, seen = self._new_runs(certname, record.seen)
        built = self._record_built(certname, runs)
        # A file that comes within the same tick of the clock would not change the directory's time.
        settled = changed if time.time_ns() - changed > _TICK else 0
        record = RunRecord(runs[-1] if runs else record.run, seen, settled)
        if record != self._known.get(certname):
            self._records.write(certname, record)
        self._known[certname] = record
        return Event(certname, runs[-1], built) if runs else None

    def _new_runs(self, certname: Certname, seen: int) -> tuple[list[Run], int]:
        """Return the runs in files newer than `seen`, oldest first, and the time of the newest file."""
        try:
            handle = os.open(self._directory / certname, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return [], seen  # deleted this moment
        try:
            with os.scandir(handle) as found:
                files = [
                    (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                    for entry in found
                    if entry.name.endswith((".json", ".yaml")) and not entry.name.startswith(".")
                ]
            fresh = sorted(file for file in files if file[0] > seen)[-_NEWEST:]
            runs = []
            for _, name in fresh:
                try:
                    runs.append(reports.run_of(name, handle))
                except (OSError, ValueError) as error:
                    _log.warning("%s: report %s %s", certname, ascii(name), error)
            return runs, fresh[-1][0] if fresh else seen
        finally:
            os.close(handle)

    def _record_built(self, certname: Certname, runs: list[Run]) -> Built | None:
        if not any(run.builds for run in runs):
            return None
        settings = self._settings
        records = self._editor.find(settings.nodes_base, NodeFilter(settings.nodes.filter).for_name(certname))
        instance = instance_of(certname, records[0], settings) if len(records) == 1 else None
        # Members' code can have written what lies here on a server of projects: it says nothing about the site's nodes.
        if instance is None or not serves(instance.project, settings):
            return None
        for run in runs:
            built = states.built_by(instance.enrolment, instance.built, run)
            if built is not None:
                old = instance.record.all(BUILT_ATTRIBUTE)
                try:
                    self._editor.modify(
                        instance.record.dn, [ValueChange(BUILT_ATTRIBUTE, old, (built.text(),))], instance.record.csn
                    )
                except Conflict:
                    # Another master, or an edit of the entry: it is looked at again, from the beginning.
                    return self._record_built(certname, runs)
                return built
        return None
