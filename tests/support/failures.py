"""What fails and is no kill, from the n-th change of the disk on: at the door of the system, where all goes through.

Everything of ours that changes a disk does it through `os`; so that is where it fails, for this process alone and for
as long as a block lasts. Pipes, sockets and terminals go on: they have their own (`unheard`).
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import pty
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

MODES = ("full", "eio", "eio once", "read-only", "short, then full", "short")
"""From the n-th change on: nothing more fits; nothing can be changed; only this one fails; the file system is read-only
(as after an error); half of a write fits and then nothing. And all along: each write is short."""

_GROWING = ("write", "mkdir", "symlink", "link", "rename", "replace")
_OTHERS = ("unlink", "remove", "rmdir", "fsync", "fchmod", "chmod", "utime", "ftruncate")


class Changes:
    """The changes of the disk so far."""

    def __init__(self, mode: str, first: int) -> None:
        self.mode = mode
        self.first = first
        self.number = 0

    def fails(self, *, grows: bool) -> int:
        """Count a change; return the error that it fails with, 0 for none."""
        self.number += 1
        if self.number < self.first:
            return 0
        if self.mode in ("full", "short, then full"):
            return errno.ENOSPC if grows else 0
        if self.mode == "read-only":
            return errno.EROFS
        if self.mode == "eio" or (self.mode == "eio once" and self.number == self.first):
            return errno.EIO
        return 0


@contextmanager
def failing(mode: str, first: int) -> Iterator[Changes]:
    """Within, changes of the disk fail in this process as `mode` says; those before the `first` (from 1) do not."""
    changes = Changes(mode, first)
    real = {name: getattr(os, name) for name in ("open", *_GROWING, *_OTHERS)}

    def refuse(number: int, place: object) -> None:
        if number:
            raise OSError(number, os.strerror(number), place if isinstance(place, str) else None)

    def at_open(path: Any, flags: int, *words: Any, **more: Any) -> Any:
        if flags & os.O_CREAT and not _is_there(path, more.get("dir_fd")):
            refuse(changes.fails(grows=True), path)
        elif mode == "read-only" and changes.number >= first and flags & (os.O_WRONLY | os.O_RDWR):
            refuse(errno.EROFS, path)
        return real["open"](path, flags, *words, **more)

    def at_write(descriptor: int, data: Any) -> Any:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return real["write"](descriptor, data)
        if mode == "short":
            return real["write"](descriptor, memoryview(data)[: max(1, len(data) // 2)])
        number = changes.fails(grows=True)
        if mode == "short, then full" and changes.number == first and len(data) > 1:
            return real["write"](descriptor, memoryview(data)[: len(data) // 2])
        refuse(number, descriptor)
        return real["write"](descriptor, data)

    def at(name: str) -> Callable[..., Any]:
        def change(*words: Any, **more: Any) -> Any:
            refuse(changes.fails(grows=name in _GROWING), words[0])
            return real[name](*words, **more)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(os, name, {"open": at_open, "write": at_write}.get(name) or at(name))
        yield changes


def _is_there(path: Any, directory: int | None) -> bool:
    try:
        os.stat(path, dir_fd=directory)
    except OSError:
        return False
    return True


@contextmanager
def clock_jumps(seconds: float, first: int) -> Iterator[None]:
    """Within, the time of day is `seconds` off from when it is asked the `first` time (from 1) on."""
    asked = 0
    real = time.time

    def now() -> float:
        nonlocal asked
        asked += 1
        return real() + (seconds if asked >= first else 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", now)
        yield


UNHEARD = ("terminal closed", "nobody reads", "full", "closed")
"""Where a program's words may go that nobody hears."""


@contextmanager
def unheard(how: str) -> Iterator[int | None]:
    """Give a descriptor for a program's stdout and stderr whose every write fails; None: it is to have neither."""
    if how == "closed":
        yield None
        return
    if how == "terminal closed":
        master, descriptor = pty.openpty()
        os.close(master)
    elif how == "nobody reads":
        reader, descriptor = os.pipe()
        os.close(reader)
    else:
        descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def muted(descriptor: int | None, work: Callable[[], int]) -> int:
    """Do `work` in a process with `descriptor` as its stdout and stderr; return its exit status, or minus a signal."""

    def run() -> None:
        for number in (1, 2):
            os.close(number) if descriptor is None else os.dup2(descriptor, number)
        streams = [None if descriptor is None else open(number, "w", closefd=False) for number in (1, 2)]  # noqa: SIM115
        sys.stdout, sys.stderr = streams  # type: ignore[assignment]
        os._exit(work())

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(600)
    assert process.exitcode is not None
    return process.exitcode
