"""A check that nobody has: no file of a module may be a pointer to somewhere else, as Git LFS makes them."""

from __future__ import annotations

from collections.abc import Iterator

from enc.settings import Settings
from git_hooks.checks.look import Check, File, Problem, Site
from git_hooks.repository.trees import DIRECTORY, Entry

MOST = 300
"""Bytes that it reads of a file."""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


class Pointers:
    """The check, which notes what it is given."""

    def __init__(self) -> None:
        self.seen: dict[str, bytes | None] = {}

    def reads(self, directory: str, entry: Entry, settings: Settings, site: Site) -> int | None:
        del settings, site
        inside = directory == "modules" or directory.startswith("modules/")
        return MOST if inside and entry.mode != DIRECTORY else None

    def check(self, file: File) -> Iterator[Problem]:
        self.seen[file.path] = file.content
        if file.content is not None and file.content.startswith(b"version https://git-lfs"):
            yield Problem(file.path, "is a pointer; commit the file itself")

    @property
    def line(self) -> Check:
        """Its line of the table."""
        return Check(file=self.check, reads=self.reads)
