"""Locks between processes on this machine: flock on a file that is never removed.

The kernel frees a lock when its holder ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_LOOKS = 0.05
"""Seconds between two looks at locks of which any will do."""


class Busy(Exception):
    """Others hold all of the locks."""


def is_locked(path: str) -> bool:
    """Tell whether somebody holds the lock at `path`; raise OSError if there is no such file or it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def locked(path: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock at `path` for a while, after waiting for it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def any_locked(paths: Sequence[str], until: float) -> Iterator[None]:
    """Hold one of the locks at `paths` for a while; raise `Busy` if none is free at `until` (time.monotonic)."""
    descriptors = []
    try:
        for path in paths:
            descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        while not any(map(_taken, descriptors)):
            if time.monotonic() >= until:
                raise Busy
            time.sleep(_LOOKS)
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
