"""When chores are due, and which there are."""

from __future__ import annotations

from enc.settings.config import parse
from git_hooks.upkeep.chores import CHORES, intervals
from git_hooks.upkeep.loop import Turn, after, earliest


def test_what_succeeded_is_due_after_its_interval_and_forgets_its_failures() -> None:
    assert after(Turn(0, 4), 3600, 100, failed=False) == Turn(3700)


def test_what_fails_is_tried_soon_and_then_ever_more_rarely() -> None:
    turn, pauses = Turn(0), []
    for _ in range(9):
        turn, now = after(turn, 3600, turn.due, failed=True), turn.due
        pauses.append(turn.due - now)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert after(Turn(0, 1000), 3, 0, failed=True) == Turn(30, 1001), "a new project waits half a minute at most"


def test_the_first_that_is_due_comes_first_and_a_new_process_does_all() -> None:
    turns = {"projects": Turn(13), "collect": Turn(12)}
    assert earliest(turns, ["projects", "collect"], 10) == ("collect", Turn(12))
    assert earliest(turns, ["projects", "collect", "expire"], 10) == ("expire", Turn(10))
    assert earliest({}, CHORES, 10) == ("projects", Turn(10))
    assert earliest(turns, [], 10) is None


def test_at_a_forge_branches_are_left_alone() -> None:
    assert list(intervals(parse("").branches)) == list(CHORES), "each has its time"
    there = parse("branches: {mirror: {forge: gerrit, url: 'https://g/x'}}").branches
    assert set(intervals(there)) == set(CHORES) - {"projects", "expire", "promotions"}
