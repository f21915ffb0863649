"""Many names, done by further programs: nothing of them stays whatever happens, and nothing hangs on them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.answers import processes
from enc.answers.copy import Copy
from enc.answers.layout import Layout
from enc.answers.reach import Reach
from enc.answers.work import WorkTeam
from enc.answers.writer import AnswerWriter
from enc.settings import AnswerSettings, LogSettings, Settings
from enc.terms.record import Record

NODES = 1200


class Site:
    """A copy with many names on its list, and what a follower has open."""

    def __init__(self, base: Path) -> None:
        self.settings = Settings(answers=AnswerSettings(directory=base), log=LogSettings(level="debug"))
        self.layout = Layout(base)
        self.layout.create()
        self.copy = Copy(self.layout.copy, self.settings)
        self.lock = os.open(base / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        reach = Reach(self.copy, self.settings)
        with self.copy.transaction():
            for number in range(NODES):
                name = f"n{number}.example.org"
                said = {"objectclass": ("puppetClient",), "cn": (name,), "puppetclass": (f"c{number}",)}
                dn = f"cn={name},ou=hosts,dc=example,dc=org"
                reach.upsert("nodes", Record(dn, said, f"uuid{number}", "1"), mark=True)

    def ranges(self, parts: int = 3) -> list[processes.Range]:
        return self.copy.worklist.dirty_bounds(parts)

    def on_disk(self) -> set[str]:
        return {path.stem for path in self.layout.nodes.iterdir()}

    def close(self) -> None:
        self.copy.close()
        os.close(self.lock)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> set[str]:
    """Return the processes of this one; other tests leave some that are kept, as Puppet's parser."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


def test_all_is_done_and_nothing_left(site: Site) -> None:
    before = descriptors(), children()
    found = processes.outcomes(site.settings, site.ranges(), site.lock, lambda: True)
    assert len(found) == len({one.name for one in found}) == NODES
    assert all(one.wrote and one.problem is None for one in found)
    assert len(site.on_disk()) == NODES
    assert (descriptors(), children()) == before


def test_what_fails_meanwhile_leaves_neither_process_nor_descriptor(site: Site) -> None:
    """As `contact`, which cannot be written on a full disk."""
    before = descriptors(), children()

    def full() -> bool:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        processes.outcomes(site.settings, site.ranges(), site.lock, full)
    assert (descriptors(), children()) == before


def test_who_is_told_to_stop_stops_and_what_was_said_to_be_done_is(site: Site) -> None:
    began, ranges, before = time.monotonic(), site.ranges(), children()
    looks = iter(range(2))
    found = processes.outcomes(site.settings, ranges, site.lock, lambda: next(looks, None) is not None)
    assert time.monotonic() - began < len(ranges) * processes._PATIENCE, "they had to be killed"
    assert children() == before
    assert {one.name for one in found} <= site.on_disk()


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false", "/bin/cat"])
def test_what_no_program_did_the_follower_does(site: Site, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none, it fails at once, or it is another one by now."""
    before = descriptors()
    monkeypatch.setattr(sys, "executable", program)
    assert processes.outcomes(site.settings, site.ranges(), site.lock, lambda: True) == []
    assert descriptors() == before
    with AnswerWriter(site.layout) as writer:
        done = WorkTeam(site.layout, site.settings, writer, lambda: True).names(site.copy)
        assert sum(map(len, done)) == NODES
    assert (site.copy.worklist.dirty_count(), len(site.on_disk())) == (0, NODES)


def test_the_follower_stops_between_two_parts_of_its_list(site: Site) -> None:
    with AnswerWriter(site.layout) as writer:
        assert len(list(WorkTeam(site.layout, site.settings, writer, lambda: False).names(site.copy))) == 1
    assert 0 < site.copy.worklist.dirty_count() < NODES


def test_a_disk_that_is_full_stops_the_programs_and_the_list_stays(site: Site) -> None:
    """Seen by them alone: the directory is taken from them, and given back."""
    aside = site.layout.tmp.rename(site.layout.root / "away")
    assert processes.outcomes(site.settings, site.ranges(), site.lock, lambda: True) == []
    aside.rename(site.layout.tmp)
    assert (site.copy.worklist.dirty_count(), site.on_disk()) == (NODES, set())


def test_the_lock_is_theirs_too_until_they_end(site: Site) -> None:
    """A follower that is killed leaves the directory to nobody else for as long as somebody writes there."""
    held: list[str] = []
    before = children()

    def look() -> bool:
        for child in children() - before:
            held.extend(str(path.readlink()) for path in Path(f"/proc/{child}/fd").iterdir())
            os.kill(int(child), signal.SIGKILL)
        return bool(held)

    processes.outcomes(site.settings, site.ranges(), site.lock, look)
    assert str(site.layout.root / "lock") in held
    assert children() == before
