"""Makes units and versions in the store: real files, hard links, and links to units.

Everything is built below work/ and gets its name by one rename when it is
complete, so a process that is killed leaves only things in work/ and complete
units that nobody uses yet; gc removes both.

What must survive a power cut: the *data* of each new file is written through
(fsync, or one sync for many) before anything gets a name. Names themselves are
not synced: ext4, XFS, btrfs and ZFS keep the order of changes to directories,
so if the switch of an environment is on disk, then so is everything before it.
What they do not keep is data against names, and that is what the fsync is for.

Files are read-only (0444, 0555) because versions share them: whoever changes
one in place changes all; `verify.py` finds it.

Not here: which units there should be (arrange.py), the switch (versions.py).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from itertools import count
from typing import NamedTuple

from enc.errors import NotFound
from enc.names import EnvironmentName
from git_hooks.arrange import Arranger, Unit, entries_of
from git_hooks.layout import SPLIT, Layout
from git_hooks.refs import ObjectId
from git_hooks.repository.objects import Repository
from git_hooks.trees import DIRECTORY, LINK, PROGRAM, SUBMODULE, Entry, join

Step = Callable[[str], None]
"""Told before each change of the disk what comes next; a test ends the process there."""

FSYNC_EACH = 8
"""Up to so many new files are synced one by one (1.3 ms each on a cloud disk); more by one sync of everything."""

_numbers = count()


def nothing(step: str) -> None:
    """Be told a step and do nothing: what production does."""


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


class Store:
    """The units and versions of one master; for one deploy at a time (locks are the deploy's business)."""

    def __init__(self, layout: Layout, split: frozenset[str], at: Step = nothing) -> None:
        """Make sure that the store's directories exist."""
        self.layout = layout
        self._split = split
        self._at = at
        if not os.path.isdir(layout.directories[-2]) or not os.path.isdir(layout.environments):
            for directory in layout.directories:
                os.makedirs(directory, exist_ok=True)

    def has(self, unit: str) -> bool:
        """Tell whether a unit is there, complete."""
        return os.path.isdir(self.layout.unit(unit))

    def build(self, objects: Repository, environment: EnvironmentName, commit: ObjectId, base: str | None) -> Built:
        """Make the version of `environment` at `commit` unless it is there; share what `base` (a version) has too.

        Raise `UnsoundTree` if the commit may not be laid out.
        """
        return self.build_all(objects, [Order(environment, commit, base)])

    def build_all(self, objects: Repository, orders: Sequence[Order]) -> Built:
        """Make several versions with one sync; raise `UnsoundTree`, and make none, if one may not be laid out."""
        missing = [order for order in orders if not os.path.isdir(self._goal(order))]
        if not missing:
            return Built(0, 0)
        work = f"{self.layout.work}/{os.getpid()}-{next(_numbers)}"
        self._at("make work directory")
        os.mkdir(work)
        try:
            build = _Build(self.layout, objects, work, self._at)
            for order in missing:
                bases = _Bases(self.layout, objects, order.base)
                arranger = Arranger(objects, self._split, lambda unit: build.has(unit) or self.has(unit), bases.leaf)
                build.add(arranger.version(objects.tree_of(order.commit)), bases, self._goal(order))
            return build.finish()
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _goal(self, order: Order) -> str:
        return self.layout.version(order.environment, order.commit)


class _Bases:
    """What an older version has: leaves to make new leaves from, files to share."""

    def __init__(self, layout: Layout, objects: Repository, version: str | None) -> None:
        self._layout = layout
        self._objects = objects
        self._version = version

    def leaf(self, path: str) -> str | None:
        """Return the tree of the leaf at `path` of the version, or None if no leaf is there."""
        unit = self._unit(path)
        return None if unit is None or unit.endswith(SPLIT) else unit

    def files(self, path: str) -> tuple[str, dict[str, Entry]]:
        """Return the directory at `path`, which is split, and its entries: none if there is nothing to share."""
        tree = None
        if self._version is not None and not path:
            with suppress(NotFound):
                tree = self._objects.tree_of(ObjectId(os.path.basename(self._version)))
        elif unit := self._unit(path):
            tree = unit.removesuffix(SPLIT)
        return join(self._version or "", path), entries_of(self._objects, tree, path)

    def _unit(self, path: str) -> str | None:
        if self._version is None or not path:
            return None
        try:
            target = os.readlink(f"{self._version}/{path}")
        except OSError:
            return None
        # Only our own links are absolute. One of the tree may be called like a unit, and would have us share what
        # its author wrote there; and a version with a Puppetfile has links to other things, too.
        unit = os.path.basename(target)
        return unit if target == self._layout.unit(unit) else None


class _Build:
    """One build of any number of versions: first all files below `work`, then one sync, then the names."""

    def __init__(self, layout: Layout, objects: Repository, work: str, at: Step) -> None:
        self._layout = layout
        self._objects = objects
        self._work = work
        self._at = at
        self._files: list[tuple[str, Entry]] = []
        self._units: dict[str, Unit] = {}
        self._versions: list[tuple[Unit, str, str]] = []

    def has(self, unit: str) -> bool:
        """Tell whether a unit is made by this build."""
        return unit in self._units

    def add(self, root: Unit, bases: _Bases, goal: str) -> None:
        """Lay out a version and what it needs, without the contents of new files."""
        for unit in root.new():
            # The root is no unit: its directory is the version, even where an equal tree is a unit.
            if unit is root:
                directory = f"{self._work}/version{len(self._versions)}"
                self._versions.append((root, directory, goal))
            elif unit.name in self._units:
                continue
            else:
                directory = f"{self._work}/{unit.name}"
                self._units[unit.name] = unit
            self._fill(unit, directory, bases)

    def finish(self) -> Built:
        """Write the files, then give everything its name, parts before the whole."""
        self._write()
        for name, unit in self._units.items():
            directory = f"{self._work}/{name}"
            self._link_all(unit, directory)
            self._name(directory, self._layout.unit(name))
        for root, directory, goal in self._versions:
            self._link_all(root, directory)
            self._name(directory, goal)
        return Built(len(self._files), len(self._units))

    def _link_all(self, unit: Unit, directory: str) -> None:
        for child in unit.children:
            self._link(child.name, f"{directory}/{os.path.basename(child.path)}")

    def _fill(self, unit: Unit, directory: str, bases: _Bases) -> None:
        if not unit.split:
            base = bases.leaf(unit.path)
            self._leaf(directory, unit.path, unit.tree, base, self._layout.unit(base) if base else "")
            return
        base_directory, old = bases.files(unit.path)
        self._at("make directory")
        os.mkdir(directory)
        for entry in unit.entries:
            if not entry.is_directory:
                self._lay(entry, f"{directory}/{entry.name}", old.get(entry.name), f"{base_directory}/{entry.name}")

    def _leaf(self, directory: str, path: str, tree: str, base: str | None, base_directory: str) -> None:
        """Lay `tree` out in `directory`; what `base` has too is linked from there."""
        old = entries_of(self._objects, base, path)
        self._at("make directory")
        os.mkdir(directory)
        for entry in self._objects.tree(tree, path):
            target = f"{directory}/{entry.name}"
            before = old.get(entry.name)
            below = f"{base_directory}/{entry.name}"
            if entry.mode == DIRECTORY:
                if before == entry and self._clone(below, target):
                    continue
                base_tree = before.id if before is not None and before.is_directory else None
                self._leaf(target, join(path, entry.name), entry.id, base_tree, below)
            else:
                self._lay(entry, target, before, below)

    def _lay(self, entry: Entry, target: str, before: Entry | None, below: str) -> None:
        """Lay out what is no tree; if `before` is the same, share what stands at `below`."""
        if entry.mode == SUBMODULE:
            self._at("make directory")
            os.mkdir(target)
        elif before != entry or not self._share(below, target):
            self._entry(entry, target)

    def _entry(self, entry: Entry, target: str) -> None:
        """Make a link now, and a file with all the others."""
        if entry.mode == LINK:
            self._at("make link")
            os.symlink(self._objects.blob(entry.id).decode("utf-8", "surrogateescape"), target)
        else:
            self._files.append((target, entry))

    def _clone(self, source: str, target: str) -> bool:
        """Make a directory with hard links to the files of an equal one; False if that cannot be read."""
        try:
            with os.scandir(source) as entries:
                self._at("clone directory")
                os.mkdir(target)
                for entry in entries:
                    below = f"{target}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        self._clone(entry.path, below)
                    elif not self._share(entry.path, below):
                        self._copy(entry.path, below)
        except FileNotFoundError:
            return False
        return True

    def _copy(self, source: str, target: str) -> None:
        """Copy one file or link, its data written through."""
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
            return
        with open(source, "rb") as stream:
            _write_file(target, stream.read(), os.fstat(stream.fileno()).st_mode & 0o777, sync=True)

    def _share(self, source: str, target: str) -> bool:
        """Hard-link a file; False if it is gone, or has all the links that the file system allows."""
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EMLINK):
                return False
            raise
        return True

    def _write(self) -> None:
        """Write all new files, and their data through to the disk."""
        each = len(self._files) <= FSYNC_EACH
        with closing(self._objects.blobs(entry.id for _, entry in self._files)) as contents:
            for (path, entry), content in zip(self._files, contents, strict=True):
                self._at("write file")
                _write_file(path, content, 0o555 if entry.mode == PROGRAM else 0o444, sync=each)
        if not each:
            self._at("sync")
            os.sync()

    def _name(self, directory: str, name: str) -> None:
        """Give a complete directory its name; if somebody made the same meanwhile, theirs stays."""
        self._at("name directory")
        try:
            os.rename(directory, name)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(name), exist_ok=True)
            os.rename(directory, name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise

    def _link(self, unit: str, target: str) -> None:
        """Put a link to a unit at `target`: one inode for all of them, as far as the file system goes."""
        source = self._layout.link(unit)
        self._at("link unit")
        try:
            os.link(source, target, follow_symlinks=False)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(source), exist_ok=True)
            with suppress(FileExistsError):
                os.symlink(self._layout.unit(unit), source)
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            # 65,000 users on ext4: a fresh one takes its place, the old ones stay good.
            fresh = f"{self._work}/{unit}.link"
            os.symlink(self._layout.unit(unit), fresh)
            os.link(fresh, target, follow_symlinks=False)
            os.rename(fresh, source)


def _write_file(path: str, content: bytes, mode: int, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
