"""The directory of a place, held open: what is done in it is done there, wherever its path leads meanwhile.

For root, a link on the way is followed only where nobody else could have put it: it is root's, and so is the directory
that it stands in, in which others may not write (or not what is root's: the sticky bit). So an account that owns a
directory on the way can let root fail, and cannot lead it elsewhere. Everybody else's rights are bounded as they are.

Failure modes: OSError, ELOOP for a link that root does not follow.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


@contextmanager
def held(place: str) -> Iterator[tuple[int, str]]:
    """Give a descriptor of the directory of `place` (for `dir_fd`, and nothing else), and the name in it."""
    directory, name = os.path.split(place)
    handle = _open(directory or ".")
    try:
        yield handle, name
    finally:
        os.close(handle)


def sync(directory: int) -> None:
    """Return when the names in a directory that `held` gave are on disk."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(directory: str) -> int:
    if os.geteuid() != 0:
        return os.open(directory, _HANDLE)
    at = os.open("/" if directory.startswith("/") else ".", _HANDLE)
    left, links = _parts(directory), 0
    try:
        while left:
            name = left.pop()
            here = os.stat(name, dir_fd=at, follow_symlinks=False)
            if stat.S_ISLNK(here.st_mode):
                links += 1
                _check(directory, links, os.fstat(at), here)
                target = os.readlink(name, dir_fd=at)
                left += _parts(target)
                if not target.startswith("/"):
                    continue
                following = os.open("/", _HANDLE)
            else:
                following = os.open(name, _HANDLE | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = following
    except BaseException:
        os.close(at)
        raise
    return at


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _check(place: str, links: int, directory: os.stat_result, link: os.stat_result) -> None:
    shared = directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not directory.st_mode & stat.S_ISVTX
    if links > _MOST_LINKS or directory.st_uid != 0 or link.st_uid != 0 or shared:
        raise OSError(
            errno.ELOOP, "its path has a link that somebody else may control, and root does not follow it", place
        )
