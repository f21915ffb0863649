"""Telling people what is going on, on stderr, where the work must not depend on whether anybody listens.

A terminal can close (EIO), a pipe lose its reader (EPIPE), the disk under a
redirection be full. What is told is for who is there; what is done goes on.

Not here: results, which go to stdout, and whose loss is a failure of the command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress


def tell(text: str) -> None:
    """Print one line on stderr; if nobody can read it, nothing happens."""
    if sys.stderr is None:  # started with it closed; print() would take stdout instead
        return
    with suppress(OSError, ValueError):  # ValueError: our side of it is closed
        print(text, file=sys.stderr, flush=True)


def unfailing(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return what tells as `tell` does where it can, and else does nothing: for work that has to go on."""

    def told(text: str) -> None:
        with suppress(OSError, ValueError):
            tell(text)

    return told
