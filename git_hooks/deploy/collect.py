"""Removes from the store what nobody needs any more.

Needed is: what an environment shows; a version that was live within the
retention time, since a compile that began then may still read it; and every
unit and set of modules that these lead to. All else goes, and with it what killed processes left
in work/.

How this is safe beside running deploys: versions are taken away under their
environment's lock. Units are taken away under the store's exclusive lock,
while deploys hold it shared as long as they build; and what is used is read
from the versions themselves, not counted somewhere. Taking away is a rename
into work/; the slow removal follows without locks. Killed in between, the next
run removes the rest. Units go some at a time, so no push waits for long.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from enc.programs.elapsed import Count
from enc.terms.counted import counted
from enc.terms.names import EnvironmentName
from git_hooks import puppetfile
from git_hooks.index.kept import Kept
from git_hooks.puppetfile import JOINED
from git_hooks.store.layout import Layout, is_part, is_split
from git_hooks.store.locks import locked
from git_hooks.store.steps import DiskStep, nothing
from git_hooks.store.surveys import Surveys
from git_hooks.store.versions import ForeignEnvironment, Versions

_AT_ONCE = 200
"""So many units are taken away while deploys wait: some 10 ms."""


class Collected(NamedTuple):
    """What was removed, by number."""

    versions: int
    units: int
    leftovers: int
    puppetfiles: int
    """Sets of modules of a Puppetfile."""
    skipped: tuple[EnvironmentName, ...]
    """Environments that are not ours any more: their versions stay until somebody has looked."""

    def told(self) -> str:
        """Return what was removed, for people."""
        parts = (
            counted(self.versions, "version"),
            counted(self.units, "shared part"),
            counted(self.puppetfiles, "set of modules", "sets of modules"),
            counted(self.leftovers, "leftover"),
        )
        return ", ".join(parts)


def collect(layout: Layout, retain: float, count: Count, at: DiskStep = nothing) -> Collected:
    """Remove what is not needed now, versions `retain` seconds after they were live."""
    with locked(layout.collector_lock):
        return _Collector(layout, count, at).run(count.now - retain)


class _Collector:
    def __init__(self, layout: Layout, count: Count, at: DiskStep) -> None:
        self._layout = layout
        self._count = count
        self._at = at
        self._versions = Versions(layout)
        self._trash = f"{layout.work}/trash"
        self._number = 0
        self._puppetfiles = layout.puppetfiles + "/"

    def run(self, before: float) -> Collected:
        # What an earlier run was killed over; emptied first, so that numbers are free again.
        shutil.rmtree(self._trash, ignore_errors=True)
        os.mkdir(self._trash)
        versions, units, skipped = 0, 0, []
        for name in sorted(os.listdir(self._layout.versions)):
            environment = EnvironmentName(name)
            with locked(self._layout.lock(environment)):
                try:
                    versions += self._old_versions(environment, before)
                except ForeignEnvironment:
                    skipped.append(environment)
        # Most of the reading is done while deploys go on; what they add meanwhile is read under the lock.
        seen: set[str] = set()
        used = self._used(seen)
        waiting = [unit for unit in self._all_units() if unit not in used]
        while len(waiting) > _AT_ONCE:
            with locked(self._layout.store_lock):
                used |= self._used(seen)
                units += self._unused_units(waiting[:_AT_ONCE], used)
            waiting = waiting[_AT_ONCE:]
        with locked(self._layout.store_lock):
            used |= self._used(seen)
            units += self._unused_units(waiting, used)
            puppetfiles = self._unused_puppetfiles(used)
            leftovers = self._leftovers()
            Surveys(self._layout).sweep()
        Kept(self._layout.root).sweep()
        self._at("empty the trash")
        shutil.rmtree(self._trash)
        return Collected(versions, units, leftovers, puppetfiles, tuple(skipped))

    def _old_versions(self, environment: EnvironmentName, before: float) -> int:
        removed = 0
        versions = self._versions.of(environment)
        for version in versions:
            if not version.live and self._count.of(version.since) < before:
                self._away(self._layout.version(environment, version.commit))
                removed += 1
        with suppress(FileNotFoundError):
            os.unlink(self._layout.next_live(environment))
        if removed == len(versions):
            with suppress(OSError):
                os.rmdir(f"{self._layout.versions}/{environment}")
        return removed

    def _used(self, seen: set[str]) -> set[str]:
        """Return the units and sets that versions lead to; what is in `seen` is passed over, what is complete added."""
        used: set[str] = set()
        waiting = [
            f"{self._layout.versions}/{environment}/{commit}"
            for environment in os.listdir(self._layout.versions)
            for commit in os.listdir(f"{self._layout.versions}/{environment}")
        ]
        while waiting:
            directory = waiting.pop()
            if directory in seen:
                continue
            if self._is_final(directory):
                seen.add(directory)
            for unit in self._parts_in(directory):
                if unit == JOINED:
                    waiting.append(f"{directory}/{JOINED}")
                elif unit not in used:
                    used.add(unit)
                    if is_split(unit):
                        waiting.append(self._layout.unit(unit))
                    elif is_part(unit):
                        waiting += (parent for parent, _, _ in os.walk(self._layout.unit(unit)))
        return used

    def _is_final(self, directory: str) -> bool:
        """Tell whether nothing more comes into a directory: a version gets its Puppetfile's modules after its name."""
        return os.path.lexists(f"{directory}/{JOINED}") or not os.path.lexists(f"{directory}/{puppetfile.NAME}")

    def _parts_in(self, directory: str) -> list[str]:
        """Return the units and sets that the links of a directory lead to, and JOINED; none if it went meanwhile."""
        found = []
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink():
                    target = os.readlink(entry.path)
                    unit = self._layout.unit_of(target)
                    if unit is not None:
                        found.append(unit)
                    elif target.startswith(self._puppetfiles):
                        found.append(target.removeprefix(self._puppetfiles).partition("/")[0])
                elif entry.name == JOINED and entry.is_dir():  # a tree may have a file of this name
                    found.append(JOINED)
        return found

    def _all_units(self) -> list[str]:
        parts = os.listdir(self._layout.units)
        return [unit for part in parts for unit in os.listdir(f"{self._layout.units}/{part}")]

    def _unused_units(self, candidates: Iterable[str], used: set[str]) -> int:
        removed = 0
        for unit in candidates:
            if unit not in used:
                self._away(self._layout.unit(unit))
                with suppress(FileNotFoundError):
                    os.unlink(self._layout.link(unit))
                removed += 1
        return removed

    def _unused_puppetfiles(self, used: set[str]) -> int:
        unused = []
        with suppress(FileNotFoundError):
            unused = [name for name in os.listdir(self._layout.puppetfiles) if name not in used]
        for name in unused:
            self._away(f"{self._layout.puppetfiles}/{name}")
        return len(unused)

    def _leftovers(self) -> int:
        """Take away what killed deploys left; nobody builds while the store's lock is held exclusively."""
        names = [name for name in os.listdir(self._layout.work) if name != "trash"]
        for name in names:
            self._away(f"{self._layout.work}/{name}")
        return len(names)

    def _away(self, path: str) -> None:
        self._at("take away")
        self._number += 1
        os.rename(path, f"{self._trash}/{self._number}")
