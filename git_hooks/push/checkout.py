"""Writes the tree of a pushed commit out for a while, so that a sandbox can be shown it.

Owns a directory below /dev/shm, in memory, where ten thousand files are there in a
moment; below /var/tmp if the tree is large, or /dev/shm has no room or runs no
programs. Both are reachable for nobody's account (which is who root's sandboxes
are); the directory's inner name is a secret, and the outer one cannot be listed.
What stands in it is what a deploy would lay out (trees.unfit), written anew: no
file is shared with the store, and no link leads out.

Failure modes: `NotWritten`. Killed at any moment, it leaves a directory, which
the next one removes when its process is gone.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from enc.programs.machine_trouble import reason
from enc.terms.errors import ToolkitError
from git_hooks.push.incoming import Incoming
from git_hooks.repository.trees import DIRECTORY, LINK, LONGEST_TARGET, PROGRAM, SUBMODULE, Entry, join, unfit
from git_hooks.store.files import write_file

_MEMORY, _DISK = "/dev/shm", "/var/tmp"  # noqa: S108 - names there are secret, and made anew
_IN_MEMORY = 256 << 20
"""Bytes of a tree that is written there at most: some four times those of a large site's."""
_BLOCK = 4096
"""What a file takes at least."""
_PREFIX = "puppetmaster-check-"
_FILES = 200_000
_BYTES = 2 << 30
"""What is written out at most: thirty times the largest tree that is known."""
_NO_FILES = (DIRECTORY, SUBMODULE, LINK)
_TOGETHER = 4 << 20
"""Bytes of contents in memory at a time."""


class NotWritten(ToolkitError):
    """A tree with more than is written out, or a disk that does not take it."""


@contextmanager
def checkout(objects: Incoming, tree: str) -> Iterator[Path]:
    """Give a directory with the files of `tree`; raise `NotWritten`."""
    _sweep()
    entries, sizes = _wanted(objects, tree)
    place = _place(sum(max(_BLOCK, size) for size in sizes.values()) + _BLOCK * len(entries))
    outer = Path(place, f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}")
    inner = outer / secrets.token_hex(16)
    try:
        try:
            outer.mkdir(mode=0o711)
            inner.mkdir(mode=0o755)
            _write(objects, entries, sizes, inner)
        except OSError as error:
            raise NotWritten(f"the pushed tree cannot be written out below {place}: {reason(error)}") from error
        yield inner
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _wanted(objects: Incoming, tree: str) -> tuple[list[tuple[str, Entry]], dict[str, int]]:
    """Return what is to be written, and the sizes of files; raise `NotWritten` if that is too much."""
    entries = list(islice(_entries(objects, tree, ""), _FILES + 1))
    if len(entries) > _FILES:
        raise NotWritten(f"the tree has more than {_FILES} files and directories")
    files = [entry.id for _, entry in entries if entry.mode not in _NO_FILES]
    sizes = objects.sizes(files)
    if sum(sizes[name] for name in files) > _BYTES:
        raise NotWritten(f"the tree has more than {_BYTES >> 20} MB")
    return entries, sizes


def _place(size: int) -> str:
    """Return where a tree of so many bytes is written."""
    with suppress(OSError):
        room = os.statvfs(_MEMORY)
        runs = os.access(_MEMORY, os.W_OK) and not room.f_flag & os.ST_NOEXEC
        if runs and size <= min(_IN_MEMORY, room.f_bavail * room.f_frsize // 2):
            return _MEMORY
    return _DISK


def _write(objects: Incoming, entries: list[tuple[str, Entry]], sizes: dict[str, int], place: Path) -> None:
    files: list[tuple[str, Entry]] = []
    for path, entry in entries:
        target = f"{place}/{path}"
        if entry.mode in (DIRECTORY, SUBMODULE):
            os.mkdir(target, 0o755)  # noqa: PTH102 - a Path for each of thousands takes longer than the directory
        elif entry.mode == LINK:
            os.symlink(objects.blob(entry.id).decode("utf-8", "surrogateescape"), target)  # noqa: PTH211 - likewise
        else:
            files.append((target, entry))
    part: list[tuple[str, Entry]] = []
    together = 0
    for file in files:
        part.append(file)
        together += sizes[file[1].id]
        if together > _TOGETHER:
            _write_all(objects, part)
            part, together = [], 0
    _write_all(objects, part)


def _write_all(objects: Incoming, files: list[tuple[str, Entry]]) -> None:
    contents = objects.blobs(entry.id for _, entry in files)
    for (target, entry), content in zip(files, contents, strict=True):
        write_file(target, content, 0o555 if entry.mode == PROGRAM else 0o444, sync=False)


def _entries(objects: Incoming, tree: str, path: str) -> Iterator[tuple[str, Entry]]:
    """Yield what a deploy would lay out, directories before what is in them."""
    seen = set()
    for entry in objects.raw_tree(tree):
        if entry.name in seen or unfit(entry, path, lambda name: _target(objects, name)):
            continue
        seen.add(entry.name)
        where = join(path, entry.name)
        yield where, entry
        if entry.mode == DIRECTORY:
            yield from _entries(objects, entry.id, where)


def _target(objects: Incoming, name: str) -> bytes | None:
    return objects.content(Entry(LINK, "", name), LONGEST_TARGET)


def _sweep() -> None:
    """Remove what processes have left that were killed."""
    for left in (one for place in (_MEMORY, _DISK) for one in Path(place).glob(f"{_PREFIX}*")):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if left.lstat().st_uid == os.geteuid() and pid.isdigit() and not _lives(int(pid)):
                shutil.rmtree(left, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
