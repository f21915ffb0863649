"""Ahead and behind: the same as git counts, on any history."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from git_hooks.history import Divergence, History


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """Parents of each commit; commit 0 is the oldest."""
    count = draw(st.integers(1, 25))
    return [draw(st.lists(st.integers(0, n - 1), max_size=3, unique=True)) if n else [] for n in range(count)]


def _reached(graph: list[list[int]], commit: int) -> set[int]:
    found, waiting = set(), [commit]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += graph[one]
    return found


@given(graphs(), st.data())
def test_it_is_what_only_one_of_both_reaches(graph: list[list[int]], data: st.DataObject) -> None:
    names = [f"c{number}" for number in range(len(graph))]
    lines = [" ".join([names[n], *(names[p] for p in graph[n])]) for n in reversed(range(len(graph)))]
    one, other = (data.draw(st.integers(0, len(graph) - 1)) for _ in range(2))
    first, second = _reached(graph, one), _reached(graph, other)
    expected = Divergence(len(first - second), len(second - first))
    assert History(lines).divergence(names[one], names[other]) == expected


def test_a_commit_that_is_not_there() -> None:
    assert History(["a b", "b"]).divergence("a", "x") is None
