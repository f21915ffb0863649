"""What fails is tried at growing intervals, across restarts, and a flood of webhooks costs little."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from enc.doctor.findings import Finding
from enc.settings import BranchSettings, MirrorSettings
from enc.terms.errors import ToolkitError
from git_hooks.doctor.remote import tried
from git_hooks.mirror import gauges
from git_hooks.mirror.pace import BURST, GAP, Pace
from git_hooks.mirror.tries import FIRST_PAUSE, FORGE, Tries, file_of, pause, read
from tests.support.disks import Disk

A, B = "a" * 40, "b" * 40


class Clock:
    """A clock that is set."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tries(store: Path, clock: Clock, most: float = 3600.0) -> Tries:
    return Tries(store, most, clock, lambda: 0.0)


def test_pauses_grow_to_their_end_and_differ_a_little() -> None:
    assert [pause(failures, 3600, 0) for failures in range(1, 11)] == [
        *(FIRST_PAUSE * 2**power for power in range(8)),
        3600,
        3600,
    ]
    assert pause(10_000, 3600, 0) == 3600
    assert pause(3, 3600, 1) == 45 and 45 < pause(3, 3600, 0.5) < 60
    assert pause(1, 5, 0) == 5


def test_it_is_never_given_up(tmp_path: Path, clock: Clock) -> None:
    mine = tries(tmp_path, clock)
    for number in range(1, 500):
        assert mine.due("test", A), number
        made, new = mine.failed("test", A, "the disk is full")
        assert made.failures == number and new == (number == 1)
        assert not mine.due("test", A)
        assert mine.due("test", B), "another commit is tried at once"
        assert 0 < (mine.seconds_left() or 0) <= 3600
        clock.now = made.next
    assert mine.all()[0].since == Clock.now
    mine.succeeded("test")
    assert mine.all() == () and mine.seconds_left() is None


def test_a_new_process_knows_all_and_tries_at_once(tmp_path: Path, clock: Clock) -> None:
    first = tries(tmp_path, clock)
    for _ in range(7):
        first.failed("project/red", A, "no room \ud800é")
    first.answered = 5.0
    first.save()
    second = tries(tmp_path, clock)
    assert second.get("project/red") == first.get("project/red") and second.answered == 5.0
    assert second.due("project/red", A), "its settings may be new"
    assert second.failed("project/red", A, "no room \ud800é")[0].failures == 8, "and then the pauses go on growing"
    assert not second.due("project/red", A)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"answered": null, "tries": [{}]}', '{"answered": null, "tries": [["x"]]}', "\x00" * 99]
)
def test_a_damaged_file_is_as_none(tmp_path: Path, clock: Clock, content: str) -> None:
    file_of(tmp_path).parent.mkdir()
    file_of(tmp_path).write_text(content)
    assert read(tmp_path).tries == ()
    mine = tries(tmp_path, clock)
    assert mine.due("test", A)
    mine.failed("test", A, "x")
    mine.save()
    assert json.loads(file_of(tmp_path).read_text())["tries"][0]["subject"] == "test"


def test_a_file_that_names_no_branch_is_as_none(tmp_path: Path, clock: Clock) -> None:
    mine = tries(tmp_path, clock)
    mine.failed("../x", A, "x")
    mine.save()
    assert read(tmp_path).tries == ()


@pytest.mark.parametrize("call", ["fsync", "open", "rename"])
def test_a_kill_while_it_is_written_leaves_what_was(tmp_path: Path, clock: Clock, call: str) -> None:
    mine = tries(tmp_path, clock)
    mine.failed("test", A, "first")
    mine.save()

    def work() -> None:
        mine.failed("test", A, "second")
        setattr(os, call, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        mine.save()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [one.reason for one in read(tmp_path).tries] == ["first"]
    mine.save()
    assert [path.name for path in file_of(tmp_path).parent.iterdir()] == ["tries.json"]


def test_on_a_full_disk_it_is_noted_all_the_same(disk: Disk, clock: Clock) -> None:
    mine = tries(disk.place, clock)
    mine.save()
    with disk.full():
        mine.failed("test", A, "No space left on device")
        mine.save()
        assert [one.reason for one in read(disk.place).tries] == ["No space left on device"]
        for number in range(200):
            mine.failed(f"project/p{number}", A, "x" * 500)
        with pytest.raises(ToolkitError, match=r"cannot be written.*make room"):
            mine.save()  # there is no room for so much
    assert len(read(disk.place).tries) == 1
    assert [path.name for path in file_of(disk.place).parent.iterdir()] == ["tries.json"]


def test_a_clock_that_is_set_back_or_on_lets_nothing_wait_for_ever(tmp_path: Path, clock: Clock) -> None:
    mine = tries(tmp_path, clock)
    mine.failed("test", A, "x")
    clock.now -= 10 * 86400
    assert mine.due("test", A)
    assert (mine.seconds_left() or 0) <= FIRST_PAUSE


def test_while_the_forge_is_away_nothing_else_is_due(tmp_path: Path, clock: Clock) -> None:
    mine = tries(tmp_path, clock)
    mine.failed("test", A, "x")
    for _ in range(9):
        mine.failed(FORGE, "", "away", most=300)
    assert mine.seconds_left() == 300, "the forge is asked as often as without a failure, at least"


def test_doctor_and_prometheus_tell(tmp_path: Path, clock: Clock) -> None:
    mine = Tries(tmp_path, 3600, chance=lambda: 0.0)
    for number in range(7):
        mine.failed(f"project/p{number}", A, f"no room for {number}")
    mine.failed(FORGE, "", "Host key verification failed.")
    mine.save()
    mirror = MirrorSettings(forge="github", url="https://git.example.org/r.git")
    found: list[Finding] = list(tried(BranchSettings(store=tmp_path, environments=tmp_path, mirror=mirror)))
    said = [f"{one}" for one in found]
    assert "Host key verification failed" in said[0] and "no room for 0" in said[1] and "3 more" in said[-1]
    assert all("the next try is at" in line for line in said[:-1])
    text = gauges.text(5.0, mine.all())
    assert "puppetmaster_mirror_failing_branches 7\n" in text and "puppetmaster_mirror_forge_failures 1\n" in text
    assert 'puppetmaster_mirror_branch_failures{branch="project/p6"} 1\n' in text
    nothing = BranchSettings(store=tmp_path / "none", mirror=mirror)
    assert [one for one in tried(nothing) if "live or held" in f"{one}"]


def test_a_flood_costs_little_and_nothing_is_forgotten() -> None:
    pace = Pace(BURST, GAP)
    looks = []
    now = 0.0
    while now < 1000:
        if pace.ready_at("test") <= now:
            pace.spend(["test"], now)
            looks.append(now)
        now += 0.125
    assert looks[:BURST] == [0.0, 0.125, 0.25], "somebody who pushes thrice is served at once"
    assert len(looks) <= BURST + 1000 / GAP
    assert max(b - a for a, b in itertools.pairwise(looks)) <= GAP
    assert pace.ready_at("production") <= now, "nobody else waits"
    assert pace.ready_at("test") <= now + BURST * GAP


def test_what_is_remembered_of_a_flood_is_bounded() -> None:
    pace = Pace(1, 1.0)
    for number in range(50_000):
        pace.spend([number], float(number))
    assert len(vars(pace)["_idle_at"]) <= 1001
