"""A check that nobody has: no file of a module may be a pointer to somewhere else, as Git LFS makes them."""

from __future__ import annotations

from collections.abc import Iterator

from git_hooks.checks.look import Check, File, Problem
from git_hooks.repository.trees import DIRECTORY

MOST = 300
"""Bytes that it reads of a file."""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


class Pointers:
    """The check, which notes what it is given."""

    def __init__(self) -> None:
        self.seen: dict[str, bytes | None] = {}

    def reads(self, file: File) -> int | None:
        return MOST if file.path.startswith("modules/") and file.entry.mode != DIRECTORY else None

    def check(self, file: File) -> Iterator[Problem]:
        self.seen[file.path] = file.content
        if file.content is not None and file.content.startswith(b"version https://git-lfs"):
            yield Problem(file.path, "is a pointer; commit the file itself")

    @property
    def line(self) -> Check:
        """Its line of the table."""
        return Check(file=self.check, reads=self.reads)
