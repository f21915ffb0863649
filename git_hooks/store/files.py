"""The real files of units and versions: directories, links of the tree, and contents, new or shared with an older one.

Owns what stands for an entry of a git tree on disk, with its mode. Directories,
links and what can be shared are made at once; new files are noted, and written
all together (`write`), so that one sync does for many. Nothing has a name in
the store yet: all is below the build's work directory.

Files are read-only (0444, 0555) because versions share them: whoever changes
one in place changes all; `verify.py` finds it.

Failure modes: OSError of a full disk, or one that fails (EIO); the build ends, and its work directory
goes. A file that cannot be shared (it is gone, or has all the links that the
file system allows) is written anew.

Not here: which directories are real (arrange.py), links to units
(unit_links.py), names (build.py).
"""

from __future__ import annotations

import errno
import os
from contextlib import closing

from enc.programs.file_systems import written_through
from git_hooks.repository.trees import DIRECTORY, LINK, PROGRAM, SUBMODULE, Entry, join
from git_hooks.store.arrange import entries_of
from git_hooks.store.parts import WithParts
from git_hooks.store.sound import Sound
from git_hooks.store.steps import DiskStep

_FSYNC_EACH = 8
"""Up to so many new files are synced one by one (1.3 ms each on a cloud disk); more by one of their file system."""


class Files:
    """The files of one build."""

    def __init__(self, objects: WithParts, sound: Sound, at: DiskStep) -> None:
        """`objects` has the trees, those of parts too; `sound` the contents."""
        self._objects = objects
        self._sound = sound
        self._at = at
        self._new: list[tuple[str, Entry]] = []

    def directory(self, path: str) -> None:
        """Make a directory."""
        self._at("make directory")
        os.mkdir(path)

    def tree(self, directory: str, path: str, tree: str, base: str | None, base_directory: str) -> None:
        """Lay `tree`, which stands at `path`, out in `directory`; what tree `base` has too is linked from its own."""
        old = entries_of(self._objects, base, path)
        self.directory(directory)
        for entry in self._objects.tree(tree, path):
            target = f"{directory}/{entry.name}"
            before = old.get(entry.name)
            below = f"{base_directory}/{entry.name}"
            if entry.mode == DIRECTORY:
                base_tree = before.id if before is not None and before.is_directory else None
                self.tree(target, join(path, entry.name), entry.id, base_tree, below)
            else:
                self.entry(entry, target, before, below)

    def entry(self, entry: Entry, target: str, before: Entry | None, below: str) -> None:
        """Lay out what is no tree; if `before` is the same, share what stands at `below`."""
        if entry.mode == SUBMODULE:
            self.directory(target)
        elif before != entry or not _share(below, target):
            self._make(entry, target)

    def write(self) -> int:
        """Write all new files, and their data through to the disk; return how many."""
        if len(self._new) <= _FSYNC_EACH:
            self._write_all(sync=True)
        else:
            with written_through(os.path.dirname(self._new[0][0])) as through:
                self._write_all(sync=False)
                self._at("sync")
                through()
        return len(self._new)

    def _write_all(self, *, sync: bool) -> None:
        with closing(self._sound.blobs(entry.id for _, entry in self._new)) as contents:
            for (path, entry), content in zip(self._new, contents, strict=True):
                self._at("write file")
                write_file(path, content, 0o555 if entry.mode == PROGRAM else 0o444, sync=sync)

    def _make(self, entry: Entry, target: str) -> None:
        """Make a link now, and a file with all the others."""
        if entry.mode == LINK:
            self._at("make link")
            os.symlink(self._objects.blob(entry.id).decode("utf-8", "surrogateescape"), target)
        else:
            self._new.append((target, entry))


def _share(source: str, target: str) -> bool:
    """Hard-link a file; False if it is gone, or has all the links that the file system allows."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EMLINK):
            return False
        raise
    return True


def write_file(path: str, content: bytes, mode: int, *, sync: bool) -> None:
    """Write a file that is not there yet, through no link; `sync`: to the disk, too."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
