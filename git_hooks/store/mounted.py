"""Checks that the store exists, and tells an emptied store from one whose file system is not mounted.

A store that was emptied is made anew from git. One that is only not mounted
must not be: what is made would fill the disk below it, be hidden when the
mount comes back, and nobody would look for the fault. So the store has a mark,
and the repository remembers where the store's file system was mounted: without
the mark, and with nothing mounted there, nothing is made.

Owns: `.mark` in the store, puppetmaster/store.json in the repository.

Fails with `StoreAway`. A file system that was replaced by an empty one is
mounted: the store is made anew in it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError

if TYPE_CHECKING:
    from git_hooks.store.layout import Layout

_TEXT = "This directory is the branch manager's store. Its contents come from the repository (docs/branches.md).\n"


class StoreAway(ToolkitError):
    """The file system that the store is on is not mounted."""


class Mount:
    """What is remembered of one store's file system."""

    def __init__(self, layout: Layout, repository: str) -> None:
        self._mark = layout.mark
        self._root = layout.root
        self._repository = repository
        self._directory = f"{repository}/puppetmaster"
        self._note = f"{self._directory}/store.json"
        self._remembered = False

    def check(self) -> None:
        """Raise `StoreAway` if the store was on a file system that is not mounted now."""
        place = self._known()
        if place is not None and not os.path.exists(self._mark) and not os.path.ismount(place):
            text = (
                f"the file system of the store is not mounted at {place}; mount it, then branch-manager deploy. "
                f"If it is gone for good, remove {self._note}, then branch-manager deploy builds everything again"
            )
            raise StoreAway(text, where=self._root)

    def remember(self) -> None:
        """Mark the store, which is there, and remember where its file system is mounted; once in each process."""
        marked = os.path.exists(self._mark)
        if (marked and self._remembered) or not os.path.isdir(self._repository):
            return
        place = _mount_point(self._root)
        if not os.path.exists(self._note) or self._known() != place:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            text = json.dumps({"mount": place}) + "\n"
            whole_file.write(self._note, text, mode=0o644, survives=Strength.ORDER)
        if not marked:
            whole_file.write(self._mark, _TEXT, mode=0o644, survives=Strength.ORDER)
        self._remembered = True

    def _known(self) -> str | None:
        """Return where the store's file system was mounted; None: it is not known, or was the system's own."""
        try:
            with open(self._note, encoding="utf-8") as stream:
                found = json.load(stream)["mount"]
        except (FileNotFoundError, ValueError, TypeError, KeyError):  # damaged: it only keeps from making too much
            return None
        return found if isinstance(found, str) else None


def _mount_point(path: str) -> str | None:
    """Return where the file system of `path` is mounted; None: it is the system's own."""
    place = os.path.realpath(path)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return place if place != "/" else None
