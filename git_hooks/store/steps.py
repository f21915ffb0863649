"""The moments at which a process may be killed: each change of the disk is announced before it is made.

Owns nothing. Whoever changes the store takes a `DiskStep` and calls it with a few words before each change; production
hears nothing, a test ends the process there.
"""

from __future__ import annotations

from collections.abc import Callable

DiskStep = Callable[[str], None]
"""Told before each change of the disk what comes next."""


def nothing(step: str) -> None:
    """Be told a step and do nothing: what production does."""
