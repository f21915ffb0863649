"""Checks on disk that an environment's files exist, instead of trusting names of links and commits.

A disk that was not mounted, a hand that removed too much, a power cut: what a
link names need not be there. Looked at is what can be seen without reading
files: the version and each split directory has what its tree says, and each
link into the store leads to a directory that holds something. What is seen
once is not looked at again, so a thousand environments cost little more than
one; use a new `Presence` for each question that is asked of the disk anew.

Not here: whether the files are what git says (verify.py); what to do about it
(building.py).

Fails with OSError (permission denied, an input/output error): what cannot be
looked at is not said to be there, nor to be missing. What a version leaves out
of its commit (survey.py) is not missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from enc.terms.errors import ToolkitError
from git_hooks.puppetfile import JOINED
from git_hooks.repository.trees import object_id
from git_hooks.store.layout import Layout, is_part, is_split, tree_of
from git_hooks.store.surveys import Surveys

if TYPE_CHECKING:
    from enc.terms.names import EnvironmentName
    from git_hooks.repository.refs import ObjectId
    from git_hooks.store.sound import Sound
    from git_hooks.store.survey import Survey


class Presence:
    """One look at a store, by one deploy or command."""

    def __init__(self, layout: Layout, objects: Sound) -> None:
        self._layout = layout
        self._objects = objects
        self._surveys = Surveys(layout)
        self._last: Survey | None = None
        self._seen: dict[str, str] = {}

    def version(self, environment: EnvironmentName, commit: ObjectId) -> str:
        """Return what of a version is missing (a path, and the word); empty if it is whole."""
        path = self._layout.version(environment, commit)
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return f"{path} is missing"
        tree = None
        with suppress(ToolkitError):  # the commit may be gone from the repository while it is still shown
            self._last = self._surveys.shown(path, self._objects, self._last)
            tree = self._objects.tree_of(commit)
        return self._directory(path, tree)

    def unit(self, unit: str, inside: str = "") -> str:
        """Return what of a unit is missing, of a part what is on the way to `inside` of it; empty if it is whole."""
        path = self._layout.unit(unit)
        if is_part(unit):
            # What else is in a part is there as long as that is: it got its name when it was complete.
            places = [path]
            for name in inside.split("/"):
                places.append(f"{places[-1]}/{name}")
            return next((missing for place in places if (missing := self._once(place, None))), "")
        return self._once(path, tree_of(unit), links=is_split(unit))

    def _once(self, path: str, tree: str | None, *, links: bool = True) -> str:
        if path not in self._seen:
            self._seen[path] = ""  # links upward lead to where the look comes from
            self._seen[path] = self._directory(path, tree) if links else self._holds_something(path, tree)
        return self._seen[path]

    def _holds_something(self, path: str, tree: str | None) -> str:
        try:
            with os.scandir(path) as entries:
                if next(entries, None) is not None or (tree is not None and _is_empty(tree)):
                    return ""
        except (FileNotFoundError, NotADirectoryError):
            return f"{path} is missing"
        return f"{path} is empty"

    def _directory(self, path: str, tree: str | None) -> str:
        """Look at a directory that is split, or a version's, and at what its links lead to."""
        names = set()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    names.add(entry.name)
                    missing = ""
                    if entry.is_symlink():
                        missing = self._link(path, os.readlink(entry.path))
                    elif entry.name == JOINED and entry.is_dir():
                        missing = self._directory(entry.path, None)
                    if missing:
                        return missing
        except (FileNotFoundError, NotADirectoryError):
            return f"{path} is missing"
        for name in self._expected(tree):
            if name not in names:
                return f"{path}/{name} is missing"
        return "" if names or (tree is not None and _is_empty(tree)) else f"{path} is empty"

    def _link(self, directory: str, target: str) -> str:
        unit = self._layout.unit_of(target)
        if unit is not None:
            return self.unit(unit, target[len(self._layout.unit(unit)) + 1 :])
        if target == JOINED or target.startswith(f"{self._layout.puppetfiles}/"):
            path = os.path.join(directory, target)
            return "" if os.path.isdir(path) else f"{path} is missing"
        return ""  # one of the tree's own

    def _expected(self, tree: str | None) -> Iterator[str]:
        if tree is not None:
            with suppress(ToolkitError):  # git has removed it, or it is a part's and was never there
                yield from [entry.name for entry in self._objects.tree(tree)]


def _is_empty(tree: str) -> bool:
    return tree == object_id("tree", b"", len(tree) // 2)
