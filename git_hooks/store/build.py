"""One build of any number of versions: first all files below the work directory, then one sync, then the names.

Owns that order, and the names in the store: a unit or version gets its own by
one rename when it is complete, parts before the whole. So a process that is
killed leaves only things in work/ and complete units that nobody uses yet; gc
removes both. If somebody made the same meanwhile, theirs stays, unless it is
not whole.

What must survive a power cut: the *data* of each new file is written through
(fsync, or one sync for many) before anything gets a name. Names themselves are
not synced: ext4, XFS, btrfs and ZFS keep the order of changes to directories,
so if the switch of an environment is on disk, then so is everything before it.
What they do not keep is data against names, and that is what the fsync is for.

Failure modes: OSError of a full disk; nothing has got a name then, or only
complete units have.

Not here: which units there are to be (arrange.py), what stands for a tree's
entries (files.py), how a link leads to a unit (unit_links.py).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from enc.terms.names import EnvironmentName
from git_hooks.repository.refs import ObjectId
from git_hooks.store.arrange import Unit, entries_of
from git_hooks.store.bases import Bases
from git_hooks.store.files import Files
from git_hooks.store.layout import Layout
from git_hooks.store.parts import WithParts
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from git_hooks.store.steps import DiskStep
from git_hooks.store.unit_links import UnitLinks


class Built(NamedTuple):
    """What a build made."""

    files: int
    """Files that were written; all others are shared."""
    units: int
    """Units that were made."""


class Order(NamedTuple):
    """A version that is to be made."""

    environment: EnvironmentName
    commit: ObjectId
    base: str | None
    """The version that it likely shares most with."""


class Build:
    """One build in the directory `work`, which is its own."""

    def __init__(self, layout: Layout, sound: Sound, work: str, at: DiskStep) -> None:
        self.objects = WithParts(sound)
        """Those of the repository, and what the units of this build need beside them."""
        self._layout = layout
        self._sound = sound
        self._work = work
        self._at = at
        self._files = Files(self.objects, sound, at)
        self._links = UnitLinks(layout, work, at)
        self._units: dict[str, Unit] = {}
        self._versions: list[tuple[Unit, str, Order]] = []

    def has(self, unit: str) -> bool:
        """Tell whether a unit is made by this build."""
        return unit in self._units

    def add(self, root: Unit, bases: Bases, order: Order) -> None:
        """Lay out a version and what it needs, without the contents of new files."""
        for unit in root.new():
            # The root is no unit: its directory is the version, even where an equal tree is a unit.
            if unit is root:
                directory = f"{self._work}/version{len(self._versions)}"
                self._versions.append((root, directory, order))
            elif unit.name in self._units:
                continue
            else:
                directory = f"{self._work}/{unit.name}"
                self._units[unit.name] = unit
            self._fill(unit, directory, bases)

    def finish(self) -> Built:
        """Write the files, then give everything its name, parts before the whole."""
        files = self._files.write()
        for name, unit in self._units.items():
            directory = f"{self._work}/{name}"
            self._link_all(unit, directory)
            self._name(directory, self._layout.unit(name), partial(_missing_of_unit, unit))
        for root, directory, order in self._versions:
            self._link_all(root, directory)
            goal = self._layout.version(order.environment, order.commit)
            self._name(directory, goal, partial(_missing_of_version, order))
        return Built(files, len(self._units))

    def _fill(self, unit: Unit, directory: str, bases: Bases) -> None:
        """Make what of a unit is real; what of it is links comes when all that they lead to is complete."""
        base, base_directory = bases.tree(unit.path), bases.directory(unit.path)
        if not unit.split:
            self._files.tree(directory, unit.path, unit.tree, base, base_directory)
            return
        old = entries_of(self.objects, base, unit.path)
        self._files.directory(directory)
        for entry in unit.entries:
            if not entry.is_directory:
                before, below = old.get(entry.name), f"{base_directory}/{entry.name}"
                self._files.entry(entry, f"{directory}/{entry.name}", before, below)
        for child in unit.children:
            if child.real:
                self._fill(child, f"{directory}/{os.path.basename(child.path)}", bases)

    def _link_all(self, unit: Unit, directory: str) -> None:
        for child in unit.children:
            target = f"{directory}/{os.path.basename(child.path)}"
            if child.real:
                self._link_all(child, target)
            elif child.part is not None:
                self._links.into_part(child.name, child.path, target)
            else:
                self._links.to(child.name, target)

    def _name(self, directory: str, name: str, missing: Callable[[Presence], str]) -> None:
        """Give a complete directory its name; if somebody made the same meanwhile, theirs stays."""
        self._at("name directory")
        try:
            _rename(directory, name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            if missing(Presence(self._layout, self._sound)):
                # It was not whole when this build began, or became so since; its readers miss something either way.
                self._at("take away what is not whole")
                os.rename(name, f"{directory}-not-whole")
                self._at("name directory instead")
                _rename(directory, name)


def _rename(directory: str, name: str) -> None:
    try:
        os.rename(directory, name)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.rename(directory, name)


def _missing_of_version(order: Order, look: Presence) -> str:
    return look.version(order.environment, order.commit)


def _missing_of_unit(unit: Unit, look: Presence) -> str:
    places = list(unit.real_paths()) or [""]
    return next((missing for place in places if (missing := look.unit(unit.name, place))), "")
