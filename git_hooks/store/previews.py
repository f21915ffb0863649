"""Environments for a moment, in which puppetserver can compile a version that nodes do not get (yet, or any more).

A preview is a link in the environmentpath to a complete version. Its name begins with
`PREVIEW`, which no branch and no node can have, and goes on with 64 random
bits: nobody can ask for it, and nothing is cached under it.

Whoever has one holds a lock on a file of its name, which the kernel frees with
the process. So what a kill left is known by its lock, and whoever makes the
next preview, or collects, takes it away (`sweep`).

Not here: what is compiled in it (git_hooks/effects), flushing it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from enc.terms.names import EnvironmentName
from enc.terms.puppet_names import PREVIEW
from git_hooks.store.layout import Layout
from git_hooks.store.locks import is_locked, locked


@contextmanager
def preview(layout: Layout, version: str) -> Iterator[EnvironmentName]:
    """Let puppetserver compile `version` (its directory) under a name of its own while the block lasts."""
    while True:
        name = EnvironmentName(f"{PREVIEW}{secrets.token_hex(8)}")
        lock = layout.lock(name)
        with locked(lock):
            if not os.path.lexists(lock):
                continue  # swept before it was held
            try:
                os.symlink(version, layout.live(name))
                yield name
            finally:
                for place in (layout.live(name), lock):
                    with suppress(FileNotFoundError):
                        os.unlink(place)
            return


def sweep(layout: Layout) -> tuple[EnvironmentName, ...]:
    """Take away previews whose process was killed; return their names, which puppetserver may still know."""
    dead = []
    for text in os.listdir(layout.environments):
        if text.startswith(PREVIEW) and EnvironmentName.accepts(text):
            name = EnvironmentName(text)
            if not _held(layout.lock(name)):
                with suppress(FileNotFoundError):
                    os.unlink(layout.live(name))
                dead.append(name)
    directory, begins = os.path.split(layout.lock(EnvironmentName(PREVIEW)))
    for file in os.listdir(directory):
        place = os.path.join(directory, file)
        if file.startswith(begins) and not _held(place):
            with suppress(FileNotFoundError):
                os.unlink(place)
    return tuple(dead)


def _held(lock: str) -> bool:
    try:
        return is_locked(lock)
    except FileNotFoundError:
        return False
