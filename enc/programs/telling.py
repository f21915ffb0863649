"""Lines for people, told if anybody listens: a terminal that is gone stops nothing that is under way.

An edit, a deploy or an instance is made in several steps, with words between
them. What fails there (a closed terminal, a pipe whose reader has gone, a full
disk behind `2>`) is no failure of theirs; what they did is in trails and records.

Results that programs read are something else: who cannot have them must get an
exit status that says so (entrypoint.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print a line, on stderr if no `stream` is said, at once; nothing if that cannot be."""
    chosen = sys.stderr if stream is None else stream
    try:
        chosen.write(f"{text}\n")
        chosen.flush()
    except (OSError, ValueError):  # ValueError: it is closed
        silence(chosen)


def unfailing(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Return what tells as `tell` does where it can, and else does nothing: for work that has to go on."""

    def told(text: str) -> None:
        with suppress(OSError, ValueError):
            tell(text)

    return told


def silence(stream: TextIO) -> None:
    """Let all that goes to `stream` from now on go nowhere, what Python flushes at its end among it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def have_streams() -> None:
    """Open what of stdin, stdout and stderr is not there (`>&-`): else the next file that is opened becomes it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
