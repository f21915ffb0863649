"""What an older version has, to make a new one from: its trees as git has them, its directories on disk.

Owns nothing and changes nothing. It only saves work: what is not there any
more, in git or on disk, is no error, and is made from nothing then.

Not here: which version is the older one (the deploy says), and sharing (files.py).
"""

from __future__ import annotations

import os
from contextlib import suppress

from enc.terms.errors import NotFound
from git_hooks.repository.refs import ObjectId
from git_hooks.store.arrange import entries_of
from git_hooks.store.sound import Sound


class Bases:
    """One older version (its directory), or none."""

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
