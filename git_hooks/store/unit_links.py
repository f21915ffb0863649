"""The links that lead to units: one inode for all links to one unit, as far as the file system goes.

Owns links/ in the store: for each leaf or split unit one symbolic link, which is
hard-linked to wherever the unit is needed; a thousand versions then cost no
inode for it. A link into a part is one of its own, since each leads to another
place of it.

Failure modes: after 65,000 users (ext4) a fresh link takes the old one's place;
the old ones stay good. What is not there is made.

Not here: which links there are (build.py), whether the unit is there
(presence.py).
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from git_hooks.store.layout import Layout
from git_hooks.store.steps import DiskStep


class UnitLinks:
    """Links to units for one build, which works in the directory `work`."""

    def __init__(self, layout: Layout, work: str, at: DiskStep) -> None:
        self._layout = layout
        self._work = work
        self._at = at

    def into_part(self, part: str, path: str, target: str) -> None:
        """Put a link at `target` to what stands at `path` in a part."""
        self._at("link part")
        os.symlink(f"{self._layout.unit(part)}/{path}", target)

    def to(self, unit: str, target: str) -> None:
        """Put a link to a unit at `target`."""
        source = self._layout.link(unit)
        self._at("link unit")
        try:
            os.link(source, target, follow_symlinks=False)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(source), exist_ok=True)
            with suppress(FileExistsError):
                os.symlink(self._layout.unit(unit), source)
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            fresh = f"{self._work}/{unit}.link"
            os.symlink(self._layout.unit(unit), fresh)
            os.link(fresh, target, follow_symlinks=False)
            os.rename(fresh, source)
