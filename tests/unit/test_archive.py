"""What the archive keeps of each branch: for so long, and so much, and not washed away."""

from __future__ import annotations

import random

import pytest

from enc.terms.names import BranchName
from git_hooks.branches.archive import crowded, over
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import Archived
from tests.support.clocks import even

COMMIT = ObjectId("a" * 40)


def kept(branch: str, *times: int) -> list[Archived]:
    return [Archived(BranchName(branch), COMMIT, at) for at in times]


@pytest.mark.parametrize(
    ("times", "most", "gone"),
    [
        ([], 1, []),
        ([5], 1, []),
        ([1, 2, 3], 3, []),
        ([1, 2, 3], 1, [0, 1]),
        ([1, 2, 3], 2, [1]),
        ([1, 100, 101, 102, 200], 4, [2]),
        ([1, 100, 101, 102, 200], 3, [2, 3]),
        ([7, 7, 7, 7], 2, [1, 2]),
    ],
)
def test_the_most_crowded_goes_first(times: list[int], most: int, gone: list[int]) -> None:
    assert crowded(times, most) == gone


def test_an_hour_of_rewriting_washes_no_day_away() -> None:
    days = [day * 86400 for day in range(50)]
    flood = [60 * 86400 + second for second in range(20_000)]
    times = days + flood
    gone = set(crowded(times, 100))
    left = [at for place, at in enumerate(times) if place not in gone]
    assert len(left) == 100 and set(days) < set(left) and left[-1] == times[-1]
    # Again and again: what is kept of a flood is all that the next one takes the place of.
    for again in range(61, 70):
        times = left + [again * 86400 + second for second in range(500)]
        gone = set(crowded(times, 100))
        left = [at for place, at in enumerate(times) if place not in gone]
    assert set(days) < set(left)


def test_it_is_as_if_each_was_looked_for_by_itself() -> None:
    rolled = random.Random(1)
    for _ in range(200):
        times = sorted(rolled.randrange(1000) for _ in range(rolled.randrange(2, 30)))
        most, left = rolled.randrange(2, 10), list(times)
        while len(left) > most:
            width = min(left[place + 1] - left[place - 1] for place in range(1, len(left) - 1))
            left.pop(next(p for p in range(1, len(left) - 1) if left[p + 1] - left[p - 1] == width))
        gone = crowded(times, most)
        assert [at for place, at in enumerate(times) if place not in gone] == left


def test_each_branch_has_its_own_bounds() -> None:
    red, blue, old = kept("red", 50, 51, 52, 53), kept("blue", 50, 60), kept("blue", 9)
    assert over([*red, *blue, *old], 50.0, 2, even(60.0)) == [*old, *red[1:3]]
    assert over([*red, *blue, *old], 50.0, 4, even(59.0)) == []
