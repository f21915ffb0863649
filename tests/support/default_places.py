"""Fails the test that changes the machine's own files: the places that settings have where nobody names others.

What a run left there, the next would find, and a puppetmaster that this machine
really is. What is made or removed is seen by looking at the places before and
after each test, whichever program did it. A test that reads there, or tries to
change what is not there, is warned of: what it says depends on the machine. That
is told by Python, of this process and of those that it forks.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

PLACES = (
    *("/var/lib/puppetmaster", "/etc/puppetmaster", "/run/puppetmaster"),
    *("/srv/puppet", "/etc/puppet/code/environments"),
)
_READS = frozenset(("os.listdir", "os.scandir"))
_CHANGES = frozenset(("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir"))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_TOLD = os.memfd_create("touched")
"""What this process and those that it forks have touched, a line each; in memory, for the disk may be full."""
_judged = 0
"""So many bytes of it have been some test's."""


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Note it if one of PLACES is touched."""
    if event == "open":
        verb, paths = "writes" if arguments[2] & _WRITING else "reads", arguments[:1]
    elif event in _READS:
        verb, paths = "reads", arguments[:1]
    elif event in _CHANGES:
        # Where a link points is a text.
        verb, paths = "changes", arguments[1:2] if event == "os.symlink" else arguments[:2]
    else:
        return
    for path in paths:
        with suppress(TypeError, ValueError, OSError):
            name = os.fsdecode(path)
            if name.startswith(PLACES) and any(f"{name}/".startswith(f"{place}/") for place in PLACES):
                os.write(_TOLD, os.fsencode(f"{verb} {name}\n"))


def _standing() -> dict[str, int]:
    """Return those of PLACES that are there, and when something was made or removed in them."""
    found = {}
    for place in PLACES:
        with suppress(OSError):
            found[place] = os.lstat(place).st_mtime_ns
    return found


@pytest.fixture(autouse=True)
def _the_machine_is_left_alone() -> Iterator[None]:
    global _judged
    before = _standing()
    yield
    new = os.pread(_TOLD, os.fstat(_TOLD).st_size - _judged, _judged)
    _judged += len(new)
    told = set(new.decode(errors="replace").splitlines())
    assert _standing() == before, f"this test, or one beside it, makes or removes something in one of {PLACES}"
    for line in sorted(told):
        warnings.warn(f"this test {line}, which is the machine's own", stacklevel=1)


sys.addaudithook(_hear)
