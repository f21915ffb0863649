"""Effects that were compiled a short while ago, so that whoever looks again and again does not compile again and again.

An effect is that of two commits and of what the nodes' answers and hiera data were (`stamp`); if any of these changes,
it is another one. What else may change it (facts, puppetserver itself) is seen after `KEPT` seconds, or at once by who
asks for one that is fresh.

In memory only: after a restart all is compiled again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from enc.answers.layout import Layout
from enc.catalogs.effect import Effect
from git_hooks.effects.comparing import Node

KEPT = 600.0
"""Seconds after which an effect is found out again, though nothing that we know of has changed."""
FRESH = 10.0
"""Seconds for which it counts as that of this moment."""
_MOST = 32
"""Effects; one may be large."""

Key = tuple[object, ...]


class RememberedEffects:
    """The last effects that were compiled ahead. Any threads may share it."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._lock = threading.Lock()
        self._known: dict[Key, tuple[float, Effect]] = {}

    def get(self, key: Key, *, fresh: bool) -> Effect | None:
        """Return what was remembered, if it is not too old."""
        with self._lock:
            at, effect = self._known.get(key, (0.0, None))
        return effect if time.monotonic() - at <= (FRESH if fresh else KEPT) else None

    def add(self, key: Key, effect: Effect) -> None:
        """Remember one; the oldest is forgotten."""
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = time.monotonic(), effect
            while len(self._known) > _MOST:
                del self._known[next(iter(self._known))]


def stamp(directory: Path, users: Iterable[Node]) -> Key:
    """Return what changes if the answer or the hiera data of one of these nodes does."""
    layout, every = Layout(directory), tuple(users)
    projects = {node.project for node in every if node.project is not None}
    files = [
        *(place / f"{node.certname}.yaml" for node in every for place in (layout.nodes, layout.node_data)),
        *(layout.merged_data / f"{node.certname}.yaml" for node in every),
        *(layout.project_data / f"{project}.yaml" for project in projects),
        *(file for project in projects for file in _in(layout.prefix_data / project)),
    ]
    return tuple(_stamp(file) for file in sorted(files))


def _in(directory: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from directory.iterdir()


def _stamp(file: Path) -> Key:
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return (str(file),)
    return str(file), status.st_ino, status.st_size, status.st_mtime_ns
