"""What is too large for a push; the sizes that a site sets are tried in tests/cases/pushes/sizes.yaml."""

from __future__ import annotations

from enc.settings import Settings
from git_hooks.checks.look import Look
from git_hooks.checks.sizes import WIDEST, check
from git_hooks.repository.trees import FILE, Entry


def look(number: int, new: int) -> Look:
    entries = tuple(Entry(FILE, f"f{index}", "0" * 40) for index in range(number))
    return Look("many", entries, entries[:new], lambda _: 0, Settings())


def test_a_directory_with_more_entries_than_the_limit_takes_no_more() -> None:
    assert [problem.text for problem in check(look(WIDEST, 1))] == []
    assert [problem.text for problem in check(look(WIDEST + 1, 1))] == [
        f"many: the directory has {WIDEST + 1} entries, the limit is {WIDEST}"
    ]
    assert [problem.text for problem in check(look(WIDEST + 1, 0))] == [], "it was there before"
