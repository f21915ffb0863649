"""Fixtures with a real puppetserver; each start costs 10 to 15 s, so a module shares one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings

CACHE = Path(__file__).resolve().parents[2] / ".cache/puppetserver"
"""Compiled classes, kept from one test run to the next."""

MakeMaster = Callable[[Path, MasterSettings], PrivateMaster]


@pytest.fixture(scope="module")
def make_master() -> Iterator[MakeMaster]:
    """Return a function that prepares a server below a directory; `start` it yourself. All are stopped at the end."""
    made: list[PrivateMaster] = []

    def make(base: Path, settings: MasterSettings) -> PrivateMaster:
        master = PrivateMaster(base, settings, cache=CACHE)
        master.write()
        made.append(master)
        return master

    yield make
    for master in made:
        master.stop()
