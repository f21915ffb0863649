"""The lock that allows one follower for each answers directory.

A locked file (flock) stays locked as long as any process has it open that
inherited it. So the lock covers the processes that a follower starts, and the
kernel lets go of it whatever happens to them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from enc.answers.layout import Layout
from enc.answers.reader import read_contact
from enc.terms.errors import ToolkitError

_LOCK_WAIT = 20.0
"""Seconds to wait for processes of a follower that was just killed to end."""


class AlreadyFollowed(ToolkitError):
    """Another follower writes to this answers directory."""


@contextlib.contextmanager
def locked(layout: Layout, stop: threading.Event) -> Iterator[int]:
    """Hold the answers directory's lock, and give its descriptor, for processes that are to hold it, too."""
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                contact = read_contact(layout)
                alive = contact is not None and abs(time.time() - contact.beat) < _LOCK_WAIT / 4
                if stop.is_set() or time.monotonic() > deadline or (alive and _owner_lives(descriptor)):
                    raise AlreadyFollowed(
                        "another follower writes here; one directory has one follower", where=str(layout.root)
                    ) from error
                time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _owner_lives(descriptor: int) -> bool:
    """Tell whether the process that took the lock is there, and not only children that it left behind."""
    owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return owner.isdigit() and Path(f"/proc/{owner}/fd").exists()
