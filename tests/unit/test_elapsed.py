"""What is old is told by counted time: a clock that is set makes nothing older and keeps nothing for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from enc.programs.elapsed import MOST_OFF, Count, Elapsed, begun, look
from enc.terms.errors import ToolkitError
from tests.support.clocks import Machine, even

YEAR, DAY, HOUR = 365 * 86400.0, 86400.0, 3600.0
START = 1.8e9


class Kept:
    """A machine and what is counted on it."""

    def __init__(self, day: float = START) -> None:
        self.machine = Machine(day)
        self.count = begun(self.machine.look())

    def goes_on(self, seconds: float) -> Count:
        """Let time pass, with a look every hour and at the end."""
        while seconds > 0:
            step = min(seconds, HOUR)
            self.machine.passes(step)
            seconds -= step
            self.count = self.count.after(self.machine.look())
        self.count = self.count.after(self.machine.look())
        return self.count

    def age(self, stamp: float) -> float:
        """Return how old it is."""
        return self.count.now - self.count.of(stamp)


@pytest.mark.parametrize("jump", [YEAR, -YEAR, 20 * YEAR, -START])
def test_a_clock_that_jumps_and_comes_back_makes_nothing_older_and_nothing_younger(jump: float) -> None:
    kept = Kept()
    kept.goes_on(DAY)
    before = kept.machine.day
    kept.goes_on(HOUR)
    kept.machine.is_set(jump)
    kept.goes_on(600)
    assert kept.age(before) == pytest.approx(HOUR + 600)
    meanwhile = kept.machine.day
    kept.goes_on(HOUR)
    assert kept.age(meanwhile) == pytest.approx(HOUR)
    kept.machine.is_set(-jump)
    kept.goes_on(DAY)
    assert kept.age(before) == pytest.approx(2 * HOUR + 600 + DAY)
    assert kept.age(meanwhile) == pytest.approx(HOUR + DAY), "written while the clock was wrong"
    assert kept.age(kept.machine.day) == 0.0


def test_where_two_stretches_overlap_the_younger_one_counts() -> None:
    kept = Kept()
    kept.goes_on(DAY)
    stamp = kept.machine.day - HOUR
    kept.machine.is_set(-2 * HOUR)
    kept.goes_on(3 * HOUR)
    assert kept.age(stamp) == pytest.approx(2 * HOUR)


def test_what_was_written_between_two_looks_and_a_set_clock_is_never_too_old() -> None:
    kept = Kept()
    kept.goes_on(DAY)
    kept.machine.passes(HOUR)
    before = kept.machine.day
    kept.machine.is_set(YEAR)
    after = kept.machine.day
    kept.machine.passes(HOUR)
    kept.count = kept.count.after(kept.machine.look())
    assert kept.age(before) == pytest.approx(HOUR)
    assert kept.age(after) == pytest.approx(HOUR)


@pytest.mark.parametrize("wrong", [0.0, START - YEAR, START + YEAR])
def test_a_wrong_clock_at_boot_counts_a_day_at_most(wrong: float) -> None:
    kept = Kept()
    kept.goes_on(DAY)
    stamp, right = kept.machine.day, kept.machine.day + HOUR
    kept.machine.restarts(shows=wrong)
    kept.goes_on(60)
    assert kept.age(stamp) <= MOST_OFF + 60
    kept.machine.is_set(right - wrong)
    kept.goes_on(DAY)
    assert DAY <= kept.age(stamp) <= MOST_OFF + DAY + 60
    kept.goes_on(30 * DAY)
    assert kept.age(stamp) >= 31 * DAY


def test_restarts_count_and_long_times_off_count_a_day() -> None:
    kept = Kept()
    stamp = kept.machine.day
    for _ in range(90):
        kept.goes_on(HOUR)
        kept.machine.restarts(off=23 * HOUR)
    kept.goes_on(0)
    assert kept.age(stamp) == pytest.approx(90 * DAY) and len(kept.count.stretches) == 1
    kept.machine.restarts(off=YEAR)
    kept.goes_on(0)
    assert kept.age(stamp) == pytest.approx(91 * DAY)


def test_what_is_older_than_the_count_counts_from_its_beginning_and_goes_in_the_end() -> None:
    kept = Kept()
    kept.goes_on(HOUR)
    assert kept.age(START - 10 * YEAR) == pytest.approx(HOUR)
    assert kept.age(START + 10 * YEAR) == pytest.approx(HOUR), "from nowhere, and not kept for ten years"
    for _ in range(200):
        kept.machine.is_set(YEAR)
        kept.goes_on(60)
        kept.machine.is_set(-YEAR)
        kept.goes_on(60)
    assert len(kept.count.stretches) == 64
    assert kept.age(START) <= HOUR + 200 * 120
    kept.goes_on(90 * DAY)
    assert kept.age(START) >= 90 * DAY


def test_small_corrections_are_no_set_clock_and_do_not_add_up_unseen() -> None:
    kept = Kept()
    stamp = kept.machine.day
    for _ in range(10):
        kept.machine.is_set(5.0)
        kept.goes_on(HOUR)
    assert len(kept.count.stretches) == 1 and kept.age(stamp) == pytest.approx(10 * HOUR)
    for _ in range(10):
        kept.machine.is_set(5.0)
        kept.goes_on(HOUR)
    assert len(kept.count.stretches) == 2 and kept.age(stamp) == pytest.approx(20 * HOUR)


def test_another_machines_time_is_as_good_as_new_if_it_cannot_be_explained() -> None:
    kept = Kept()
    kept.goes_on(DAY)
    kept.machine.is_set(YEAR)
    kept.goes_on(DAY)
    theirs = kept.machine.day - YEAR
    assert kept.count.of_another(theirs) == kept.count.now
    assert kept.count.now - kept.count.of_another(START - YEAR) == pytest.approx(YEAR + 2 * DAY)
    assert kept.count.now - kept.count.of_another(START + HOUR) == pytest.approx(2 * DAY - HOUR)


def test_the_count_is_kept_and_one_that_is_damaged_is_begun_anew(tmp_path: Path) -> None:
    machine = Machine(START)
    elapsed = Elapsed(tmp_path / "elapsed.json", machine.look)
    elapsed.count(remember=False)
    assert not (tmp_path / "elapsed.json").exists()
    elapsed.count()
    machine.passes(DAY)
    assert elapsed.count().counted == DAY
    for damaged in (b"", b"[", b"{}", b'[[1,2,"3"],4,[]]', b"[[1,2],3,[[1,2,3]]]", b"\xff", b"[[1,2,3],4,[[1,2]]]"):
        (tmp_path / "elapsed.json").write_bytes(damaged)
        assert elapsed.count().counted == 0.0
    nowhere = Elapsed(tmp_path / "nowhere/elapsed.json", machine.look)
    assert nowhere.count().counted == 0.0, "what cannot be kept stops nobody"


def test_the_kernels_clock_is_looked_at(tmp_path: Path) -> None:
    seen = look()
    assert abs(seen.day - time.time()) < 5 and seen.up > 0 and len(seen.boot) == 36
    assert even(100.0).of(40.0) == 40.0


def test_a_kernel_that_does_not_say_is_an_expected_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("enc.programs.elapsed._PROC", tmp_path)
    with pytest.raises(ToolkitError, match="how long it has run cannot be read"):
        look()
