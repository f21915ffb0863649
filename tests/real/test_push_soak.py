"""A hundred pushes at one service beside gc and repack; `./run-tests bench pushes` runs ten thousand."""

from __future__ import annotations

from pathlib import Path

from tests.support.slapd import Slapd
from tests.support.soak import Soak
from tests.support.transports import people


def test_pushes_beside_gc_and_repack_leave_nothing_held(slapd: Slapd, tmp_path: Path) -> None:
    people(slapd)
    soak = Soak(tmp_path / "site", slapd)
    with soak.service() as pid:
        first, last = soak.run(pid, [30, 100], pause=0.15)
    assert soak.failures == []
    assert soak.wrong() == []
    assert soak.collections > 5, "git was busy beside them"
    # A service has a few workplaces; each may hold what was there when it was last used, until it is used again.
    assert last.gone <= 12, last
    assert last.descriptors <= first.descriptors + 12, (first, last)
    assert last.memory <= first.memory + (20 << 20), (first, last)
