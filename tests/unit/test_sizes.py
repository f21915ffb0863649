"""What is too large for a push; the sizes that a site sets are tried in tests/cases/pushes/sizes.yaml."""

from __future__ import annotations

from enc.settings import Settings
from git_hooks.checks import names
from git_hooks.checks.look import Look
from git_hooks.checks.sizes import WIDEST, check
from git_hooks.repository.trees import FILE, Entry


def look(number: int, new: int, *before: range) -> Look:
    entries = tuple(Entry(FILE, f"f{index}", "0" * 40) for index in range(number))
    known = tuple({f"f{index}" for index in one} for one in before)
    return Look("many", entries, entries[:new], lambda _: 0, Settings(), known)


def test_a_directory_with_more_entries_than_the_limit_takes_no_more() -> None:
    assert [problem.text for problem in check(look(WIDEST, 1))] == []
    assert [problem.text for problem in check(look(WIDEST + 1, 1))] == [
        f"many: the directory has {WIDEST + 1} entries, the limit is {WIDEST}"
    ]
    assert [problem.text for problem in check(look(WIDEST + 1, 0, range(WIDEST + 2)))] == [], (
        "it was there before"
    )


def test_two_known_directories_together_may_be_too_large() -> None:
    half = WIDEST // 2 + 1
    together = look(2 * half, 0, range(half), range(half, 2 * half))
    assert [problem.text for problem in check(together)] == [
        f"many: the directory has {2 * half} entries, the limit is {WIDEST}"
    ]


def test_names_of_two_known_directories_may_be_rivals_together() -> None:
    entries = tuple(Entry(FILE, name, "0" * 40) for name in ("A", "a", "b"))

    def problems(*before: set[str]) -> list[str]:
        merged = Look("x", entries, (), lambda _: 0, Settings(), before)
        return [problem.text for problem in names.check(merged)]

    assert problems({"A", "b"}, {"a"}) == ["x/a: differs from A only in upper/lower case or accents"]
    assert problems({"A", "b"}, {"a", "A"}) == [], "they stand together already"
