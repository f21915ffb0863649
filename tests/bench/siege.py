"""How long an ordinary push takes alone, and while silent, slow and hostile clients attack the service.

All at once, from this machine, whose processors they share with the service: connections that say nothing, people who
send a byte now and then, and a member whose packs of 16 KB become hundreds of MB. tests/real/test_front_door.py does
the same without a clock.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from tests.bench.site import median
from tests.support.crowd import siege, strangers
from tests.support.slapd import Slapd
from tests.support.transports import Clone, Managed, hooks_served, people

LIMIT = 3.0
"""A push under attack takes at most so many times as long as alone."""


def main(words: list[str]) -> int:
    """Print the table; exit status 1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench siege", description=__doc__)
    parser.add_argument("--pushes", type=int, default=20, help="of each kind (default 20)")
    parser.add_argument("--silent", type=int, default=1000, help="connections that say nothing (default 1,000)")
    parser.add_argument("--slow", type=int, default=64, help="people who send a byte now and then (default 64)")
    parser.add_argument("--directory", type=Path, help="where to work (default: the system's temporary directory)")
    chosen = parser.parse_args(words)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        slapd = Slapd(Path(directory, "slapd"))
        try:
            people(slapd)
            managed = Managed(Path(directory, "site"), slapd)
            served = hooks_served(managed.configuration, managed.settings.branches.store, managed.log)
            with served, managed.serving():
                return _run(managed, slapd, Path(directory, "clone"), chosen)
        finally:
            slapd.stop()


def _run(managed: Managed, slapd: Slapd, place: Path, chosen: argparse.Namespace) -> int:
    clone = Clone(place)
    assert clone.clone(managed.url("bob")).returncode == 0
    slow = strangers(slapd, chosen.slow)
    _pushes(clone, 3)
    alone = _pushes(clone, chosen.pushes)
    with siege(managed, chosen.silent, slow, copies=30):
        attacked = _pushes(clone, chosen.pushes)
    ratio = median(attacked) / median(alone)
    met = ratio <= LIMIT
    print(f"push alone, median of {chosen.pushes}: {median(alone):.3f} s, the slowest {max(alone):.3f} s")
    print(f"  under attack: {median(attacked):.3f} s, the slowest {max(attacked):.3f} s")
    print(f"  against alone: {ratio:.2f} times, at most {LIMIT:g}: {'met' if met else 'MISSED'}")
    return int(not met)


def _pushes(clone: Clone, number: int) -> list[float]:
    """Push so many times; return the seconds that each took."""
    found = []
    for _ in range(number):
        (clone.place / "manifests" / "site.pp").write_text(f"# {time.time_ns()}\n")
        clone.git("commit", "-qam", "a change")
        began = time.monotonic()
        done = clone.git("push", "-q", "origin", "HEAD")
        found.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
    return found
