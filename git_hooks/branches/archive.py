"""How long, and how much, the archive keeps of each branch (refs/archive/, refstore.py).

What was archived longer ago than `branches.archive_kept` is forgotten. So is,
where a branch has more than `branches.archive_most` entries, what is most
crowded: that whose neighbours in time are nearest to each other. The first and
the last stay. So who rewrites a branch a thousand times in an hour crowds out
what that hour made, and not what the branch had the days before.

Nothing is forgotten that an environment needs: what it shows (a hold may keep
it there), what of it is on disk, and what `rollback` would go back to; as long
as no branch has it, the last entry that has it stays.

Failure modes: those of refstore.py; nothing is forgotten then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from enc.settings import BranchSettings
from git_hooks.deploy.deployer import Deployer
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.programs.elapsed import Count
    from git_hooks.repository.refstore import Archived, RefStore


def forget(deployer: Deployer, refs: RefStore, settings: BranchSettings, count: Count) -> tuple[Archived, ...]:
    """Forget what is too old or too much now, and return it; git collects commits later."""
    kept = refs.archived()
    going = set(over(kept, settings.archive_kept, settings.archive_most, count))
    if going:
        names = {one.ref: one for one in kept}
        for commit in _needed(deployer, refs):
            having = [one for ref in refs.archived_with(commit) if (one := names.get(ref)) is not None]
            if having and going.issuperset(having):
                going.remove(max(having, key=lambda one: one.at))
    found = tuple(one for one in kept if one in going)
    refs.forget(found)
    return found


def over(kept: Sequence[Archived], longest: float, most: int, count: Count) -> list[Archived]:
    """Return what is older than `longest` seconds, and of each branch what is more than `most`. Pure."""
    dated = [(one, count.of(one.at)) for one in kept]
    found = [one for one, at in dated if at < count.now - longest]
    young = [(one.branch, at, one) for one, at in dated if at >= count.now - longest]
    for _, group in groupby(sorted(young, key=itemgetter(0, 1)), key=itemgetter(0)):
        entries = list(group)
        found += (entries[place][2] for place in crowded([at for _, at, _ in entries], most))
    return found


def crowded(times: Sequence[float], most: int) -> list[int]:
    """Return the places of those of `times`, which ascend, that go until `most` are left. Pure.

    Next is always the one between the two that are then nearest to each other; the first and the last stay, of one
    only the last.
    """
    if most < 2:
        return list(range(len(times) - most))
    before, after = list(range(-1, len(times) - 1)), list(range(1, len(times) + 1))
    heap = [(times[place + 1] - times[place - 1], place) for place in range(1, len(times) - 1)]
    heapq.heapify(heap)
    gone: set[int] = set()
    while len(times) - len(gone) > most:
        width, place = heapq.heappop(heap)
        left, right = before[place], after[place]
        if place in gone or width != times[right] - times[left]:
            continue  # its neighbour went meanwhile, and it stands here once more
        gone.add(place)
        after[left], before[right] = right, left
        for other in (left, right):
            if 0 < other < len(times) - 1:
                heapq.heappush(heap, (times[after[other]] - times[before[other]], other))
    return sorted(gone)


def _needed(deployer: Deployer, refs: RefStore) -> Iterable[ObjectId]:
    """Return the commits that environments need and that are in no branch."""
    tips = frozenset(deployer.repository.branches().values())
    wanted: set[ObjectId] = set()
    for environment in deployer.versions.environments():
        wanted.update(version.commit for version in deployer.versions.of(environment))
        earlier = deployer.earlier(environment)
        wanted.update([earlier] if earlier is not None else [])
    return [one for one in sorted(wanted - tips) if deployer.repository.has(one) and not refs.containing(one)]
