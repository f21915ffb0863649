"""How branches relate: who is ahead of whom by how many commits. Pure.

git counts that for one pair of commits in a process of its own; a list of a
thousand branches would need thousands. So the commits and their parents are
read once (refstore.py), and walked here. A walk looks only at what lies between
the two commits and where they meet.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

_LEFT, _RIGHT = 1, 2


class Divergence(NamedTuple):
    """How many commits only the first has, and only the second."""

    ahead: int
    behind: int


class History:
    """Commits with their parents."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Take `git rev-list --topo-order --parents`: a commit before its parents."""
        self._parents: dict[str, list[str]] = {}
        self._order: dict[str, int] = {}
        for number, line in enumerate(lines):
            commit, *parents = line.split(" ")
            self._parents[commit] = parents
            self._order[commit] = number

    def divergence(self, first: str, second: str) -> Divergence | None:
        """Return how far two commits are from each other, None if one is not in the history."""
        if first not in self._order or second not in self._order:
            return None
        sides = {first: _LEFT}
        sides[second] = sides.get(second, 0) | _RIGHT
        waiting = [(self._order[commit], commit) for commit in sides]
        heapq.heapify(waiting)
        counts = {_LEFT: 0, _RIGHT: 0}
        # Parents come after their commits, so a commit's sides are complete when it is taken. What both sides
        # reach leads to nothing else, so it is over when only that waits.
        open_ends = sum(side != _LEFT | _RIGHT for side in sides.values())
        while open_ends:
            _, commit = heapq.heappop(waiting)
            side = sides[commit]
            if side in counts:
                counts[side] += 1
                open_ends -= 1
            for parent in self._parents[commit]:
                if parent not in self._order:
                    continue
                before = sides.get(parent, 0)
                sides[parent] = after = before | side
                if not before:
                    heapq.heappush(waiting, (self._order[parent], parent))
                open_ends += (after in counts) - (before in counts)
        return Divergence(counts[_LEFT], counts[_RIGHT])
