"""The queue carried over, patch by patch, in git's object store only: nothing is visible, no ref is moved.

Owns: the order in which patches are tried, and what a conflict does to those
behind it. Not here: a merge (merging.py), what it means that a patch fared so
(upstream.py), making it the local branch (sync.py).

Failure modes: git's, as `GitFailed`. A patch that does not fit is a `Fate`, or
for one that is to go alone `Conflict`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from enc.terms.counted import counted
from enc.terms.errors import Conflict, NotFound, ToolkitError
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.sync.patch_repository import PatchRepository
from puppetmaster_self.sync.upstream import Clash, Commit, Fate, Patch, Queue, Replayed, blames


def replay(
    repository: PatchRepository,
    queue: Queue,
    patches: Iterable[Patch],
    on_conflict: Literal["stop", "park"],
    unparked: Collection[Patch] = (),
) -> Replayed:
    """Carry `patches` onto upstream; one of `unparked` that still does not fit stays parked, and stops nothing."""
    commits, merging = repository.commits, repository.merging
    taken = repository.queueing.taken(queue)
    tip, fates = queue.upstream, list[Fate]()
    parked: list[tuple[Commit, frozenset[str]]] = []
    for number, patch in enumerate(patches, 1):
        if fates and fates[-1].fortune in ("conflict", "waiting"):
            fates.append(Fate(number, patch, "waiting"))
        elif patch.commit in taken:
            fates.append(Fate(number, patch, "taken", taken_as=taken[patch.commit]))
        elif patch.parent == tip and commits.tree(tip) != commits.tree(patch.commit):
            tip = patch.commit
            fates.append(Fate(number, patch, "kept", tip))
        else:
            merged = merging.merge(patch, tip)
            if merged.conflicts:
                builds_on = blames(parked, merged.conflicts)
                cause = None if builds_on else merging.cause(patch, queue.upstream, merged.conflicts)
                clash = Clash(merged.kind, merged.conflicts, cause, builds_on)
                parked.append((patch.told, commits.touched(patch)))
                aside = on_conflict == "park" or patch in unparked
                fates.append(Fate(number, patch, "parked" if aside else "conflict", clash=clash))
            elif merged.tree == commits.tree(tip):
                fates.append(Fate(number, patch, "empty"))
            else:
                tip = merging.write(patch, merged.tree, tip)
                fates.append(Fate(number, patch, "moved", tip))
    return Replayed(tip, tuple(fates))


def alone(repository: PatchRepository, queue: Queue, number: int) -> tuple[Patch, ObjectId]:
    """Carry patch `number` (from 1) onto upstream without those before it; return it and its commit there.

    Raise `NotFound` if there is none, `Conflict` if it does not fit alone, `ToolkitError` if nothing of it is left.
    """
    if not 1 <= number <= len(queue.patches):
        there = counted(len(queue.patches), "patch", "patches")
        raise NotFound(f"the queue has {there}; `puppetmaster-self sync --dry-run` numbers them")
    patch = queue.patches[number - 1]
    if patch.parent == queue.upstream:
        return patch, patch.commit
    commits, merging = repository.commits, repository.merging
    merged = merging.merge(patch, queue.upstream)
    if merged.conflicts:
        earlier = [(one.told, commits.touched(one)) for one in queue.patches[: number - 1]]
        needed = blames(earlier, merged.conflicts)
        hint = f"it builds on {needed}; send that first" if needed else "sync first"
        where = ", ".join(merged.conflicts)
        raise Conflict(f"patch {number}, {patch.told}, cannot be sent alone, because it conflicts in {where}: {hint}")
    if merged.tree == commits.tree(queue.upstream):
        raise ToolkitError(f"patch {number}, {patch.told}: upstream has it already")
    return patch, merging.write(patch, merged.tree, queue.upstream)
