"""Makes units and versions in the store: real files, hard links, and links to units.

Everything is built below work/ and gets its name by one rename when it is
complete, so a process that is killed leaves only things in work/ and complete
units that nobody uses yet; gc removes both.

What must survive a power cut: the *data* of each new file is written through
(fsync, or one sync for many) before anything gets a name. Names themselves are
not synced: ext4, XFS, btrfs and ZFS keep the order of changes to directories,
so if the switch of an environment is on disk, then so is everything before it.
What they do not keep is data against names, and that is what the fsync is for.
Nor does anything order two file systems: where the environments' links are on
another one than the store, all is synced before the switch (`settle`).

What is in the store may be lost, by whatever hand. So nothing is taken to be
there for its name: presence.py looks, and what is not whole is made anew.
mounted.py tells a store that was emptied from one that is not mounted.

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
from functools import partial
from itertools import count
from typing import NamedTuple

from enc.errors import NotFound
from enc.names import EnvironmentName
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import DIRECTORY, LINK, PROGRAM, SUBMODULE, Entry, join
from git_hooks.store.arrange import Arranger, Unit, entries_of
from git_hooks.store.layout import Layout
from git_hooks.store.mounted import Mount
from git_hooks.store.parts import Surveyor, WithParts
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from git_hooks.store.splitting import Splitting, splitting
from git_hooks.store.surveys import Surveys

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

    def __init__(
        self, layout: Layout, repository: str, at: Step = nothing, *, split_large: bool = True
    ) -> None:
        """Touch nothing yet. `split_large`: see splitting.py; what is remembered is in the `repository`."""
        self.layout = layout
        self._mount = Mount(layout, repository)
        self._split_large = split_large
        self._at = at
        self._surveyor = Surveyor()

    def ready(self) -> None:
        """Make what directories of the store there are not; raise `StoreAway` if its file system is not mounted."""
        if not os.path.exists(self.layout.mark):
            self._mount.check()
        for directory in self.layout.directories:
            if not os.path.isdir(directory):
                os.makedirs(directory, exist_ok=True)
        self._mount.remember()

    def settle(self) -> None:
        """Let all that was made be on disk before a link on another file system leads to it."""
        if os.stat(self.layout.versions).st_dev != os.stat(self.layout.environments).st_dev:
            self._at("sync names")
            os.sync()

    def build(self, objects: Repository, environment: EnvironmentName, commit: ObjectId, base: str | None) -> Built:
        """Make the version of `environment` at `commit` unless it is there; share what `base` (a version) has too.

        What may not become a file is left out (survey.py). Raise `UnsoundTree` if a tree object is damaged.
        """
        return self.build_all(objects, [Order(environment, commit, base)])

    def build_all(self, objects: Repository, orders: Sequence[Order]) -> Built:
        """Make several versions with one sync; raise `UnsoundTree`, and make none, if one is damaged in git."""
        sound, surveys = Sound(objects), Surveys(self.layout)
        presence = Presence(self.layout, sound)
        missing = [order for order in orders if presence.version(order.environment, order.commit)]
        if not missing:
            return Built(0, 0)
        work = f"{self.layout.work}/{os.getpid()}-{next(_numbers)}"
        self._at("make work directory")
        os.mkdir(work)
        try:
            build = _Build(self.layout, sound, work, self._at)

            def splits(tree: str) -> Splitting:
                return splitting(build.objects, tree, large=self._split_large)

            def known(unit: str, inside: str = "") -> bool:
                return build.has(unit) or not presence.unit(unit, inside)

            for order in missing:
                found = surveys.look(sound, order.commit, order.base, work)
                surveys.keep(self.layout.version(order.environment, order.commit), found, work)
                bases = _Bases(sound, order.base)
                arranger = Arranger(build.objects, self._surveyor, splits, known, bases.tree)
                build.add(arranger.version(sound.show(found)), bases, order)
            return build.finish()
        finally:
            shutil.rmtree(work, ignore_errors=True)


class _Bases:
    """What an older version has, to make new directories from and share files with."""

    def __init__(self, objects: Sound, version: str | None) -> None:
        self._objects = objects
        self._version = version
        self._trees: dict[str, str | None] = {}
        if version is None:
            self._trees[""] = None

    def tree(self, path: str) -> str | None:
        """Return the tree of the directory at `path`, None if there is none."""
        if path not in self._trees:
            parent, _, name = path.rpartition("/")
            self._trees[path] = self._root() if not path else self._below(parent, name)
        return self._trees[path]

    def directory(self, path: str) -> str:
        """Return where that directory stands, if it does."""
        # Git says that it is a directory, and each above it: so the links on the way are ours, and no author's.
        return os.path.realpath(f"{self._version}/{path}") if self.tree(path) else ""

    def _root(self) -> str | None:
        with suppress(NotFound):
            return self._objects.tree_of(ObjectId(os.path.basename(self._version or "")))
        return None

    def _below(self, parent: str, name: str) -> str | None:
        entry = entries_of(self._objects, self.tree(parent), parent).get(name)
        return entry.id if entry is not None and entry.is_directory else None


class _Build:
    """One build of any number of versions: first all files below `work`, then one sync, then the names."""

    def __init__(self, layout: Layout, sound: Sound, work: str, at: Step) -> None:
        self.objects = WithParts(sound)
        """Those of the repository, and what the units of this build need beside them."""
        self._layout = layout
        self._sound = sound
        self._work = work
        self._at = at
        self._files: list[tuple[str, Entry]] = []
        self._units: dict[str, Unit] = {}
        self._versions: list[tuple[Unit, str, Order]] = []

    def has(self, unit: str) -> bool:
        """Tell whether a unit is made by this build."""
        return unit in self._units

    def add(self, root: Unit, bases: _Bases, order: Order) -> None:
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
        self._write()
        for name, unit in self._units.items():
            directory = f"{self._work}/{name}"
            self._link_all(unit, directory)
            self._name(directory, self._layout.unit(name), partial(_missing_of_unit, unit))
        for root, directory, order in self._versions:
            self._link_all(root, directory)
            goal = self._layout.version(order.environment, order.commit)
            self._name(directory, goal, partial(_missing_of_version, order))
        return Built(len(self._files), len(self._units))

    def _link_all(self, unit: Unit, directory: str) -> None:
        for child in unit.children:
            target = f"{directory}/{os.path.basename(child.path)}"
            if child.real:
                self._link_all(child, target)
            elif child.part is not None:
                self._at("link part")
                os.symlink(f"{self._layout.unit(child.name)}/{child.path}", target)
            else:
                self._link(child.name, target)

    def _fill(self, unit: Unit, directory: str, bases: _Bases) -> None:
        base, base_directory = bases.tree(unit.path), bases.directory(unit.path)
        if not unit.split:
            self._leaf(directory, unit.path, unit.tree, base, base_directory)
            return
        old = entries_of(self.objects, base, unit.path)
        self._at("make directory")
        os.mkdir(directory)
        for entry in unit.entries:
            if not entry.is_directory:
                self._lay(entry, f"{directory}/{entry.name}", old.get(entry.name), f"{base_directory}/{entry.name}")
        for child in unit.children:
            if child.real:
                self._fill(child, f"{directory}/{os.path.basename(child.path)}", bases)

    def _leaf(self, directory: str, path: str, tree: str, base: str | None, base_directory: str) -> None:
        """Lay `tree` out in `directory`; what `base` has too is linked from there."""
        old = entries_of(self.objects, base, path)
        self._at("make directory")
        os.mkdir(directory)
        for entry in self.objects.tree(tree, path):
            target = f"{directory}/{entry.name}"
            before = old.get(entry.name)
            below = f"{base_directory}/{entry.name}"
            if entry.mode == DIRECTORY:
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
            os.symlink(self.objects.blob(entry.id).decode("utf-8", "surrogateescape"), target)
        else:
            self._files.append((target, entry))

    def _share(self, source: str, target: str) -> bool:
        """Hard-link a file; False if it is gone, or has all the links that the file system allows."""
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EMLINK):
                return False
            raise
        return True

    def _write(self) -> None:
        """Write all new files, and their data through to the disk."""
        each = len(self._files) <= FSYNC_EACH
        with closing(self._sound.blobs(entry.id for _, entry in self._files)) as contents:
            for (path, entry), content in zip(self._files, contents, strict=True):
                self._at("write file")
                _write_file(path, content, 0o555 if entry.mode == PROGRAM else 0o444, sync=each)
        if not each:
            self._at("sync")
            os.sync()

    def _name(self, directory: str, name: str, missing: Callable[[Presence], str]) -> None:
        """Give a complete directory its name; if somebody made the same meanwhile, theirs stays."""
        self._at("name directory")
        try:
            self._rename(directory, name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            if missing(Presence(self._layout, self._sound)):
                # It was not whole when this build began, or became so since; its readers miss something either way.
                self._at("take away what is not whole")
                os.rename(name, f"{directory}-not-whole")
                self._at("name directory instead")
                self._rename(directory, name)

    def _rename(self, directory: str, name: str) -> None:
        try:
            os.rename(directory, name)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(name), exist_ok=True)
            os.rename(directory, name)

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


def _missing_of_version(order: Order, look: Presence) -> str:
    return look.version(order.environment, order.commit)


def _missing_of_unit(unit: Unit, look: Presence) -> str:
    places = list(unit.real_paths()) or [""]
    return next((missing for place in places if (missing := look.unit(unit.name, place))), "")


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
