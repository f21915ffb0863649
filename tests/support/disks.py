"""A small file system of its own, that can be full, and a limit on the size of files that anybody can have."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enc.programs import file_systems

SIZE = 512 << 10


class Disk:
    """A file system of 512 KiB, mounted at `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @contextmanager
    def full(self) -> Iterator[None]:
        """Within, not one block is free."""
        filler = self.place / "filler"
        with filler.open("wb", buffering=0) as stream:
            try:
                while stream.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small disk for one test."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", place], check=True)
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Within, no file of this process grows beyond `size` bytes: a write that reaches that far is short."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def syncfs_calls(before: Callable[[int], object]) -> Iterator[None]:
    """Within, `before` is called with the descriptor of each syncfs(2): a look at the kernel's door."""
    real = ctypes.CDLL(None, use_errno=True).syncfs

    class Library:
        @staticmethod
        def syncfs(descriptor: int) -> int:
            before(descriptor)
            return int(real(descriptor))

    file_systems._syncfs.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctypes, "CDLL", lambda *_, **__: Library)
        try:
            yield
        finally:
            file_systems._syncfs.cache_clear()
