"""What a rung's branch would be: a merge, cherry-picks or reverts on it, and who stands on which side of a conflict.

Nothing moves here: what git writes are objects, which the caller lets into the repository or throws away (apart.py).
What is there already is told by patch-id, unless it was undone since.

Not here: whether it may be (rules.py), what commits say of it (provenance.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from enc.terms.errors import UsageError, bounded
from git_hooks.repository.apart import GitApart
from git_hooks.repository.merges import Conflict, Identity, commit, shows, three_trees, two_commits
from git_hooks.repository.patches import (
    Told,
    difference,
    empty_tree,
    history,
    last_on,
    one,
    patch_id,
    patch_ids,
    tree_of,
    trees_of_change,
)
from git_hooks.repository.refs import ObjectId

_PATCH = 4_000
"""Characters of one side's patch of a file in conflict."""
MACHINE = ("puppetmaster", "puppetmaster@localhost")


class Side(NamedTuple):
    """What one side of a conflict did to a file."""

    commit: ObjectId | None
    """The last one that changed it; None: this side did not."""
    author: str
    subject: str
    patch: str


class Clash(NamedTuple):
    """A file on which the rung's branch and what is promoted do not agree."""

    path: str
    what: str
    ours: Side
    """The rung's branch."""
    theirs: Side


class Step(NamedTuple):
    """One commit of the result, as it is to be made."""

    tree: str
    of: Told | None = None
    """The commit that is picked; None: a merge, or a revert of all at once."""


class Result(NamedTuple):
    """What would be."""

    tree: str
    """Of the whole result; of the branch as it is if there is nothing to do."""
    comes: tuple[Told, ...] = ()
    """The commits that come, the newest first; of a revert those that go."""
    already: tuple[tuple[Told, ObjectId], ...] = ()
    """What is there already: the commit, and as which one it is there."""
    steps: tuple[Step, ...] = ()
    clashes: tuple[Clash, ...] = ()


def merge(git: GitApart, base: ObjectId, source: ObjectId) -> Result:
    """Return what `base` is with all that `source` has."""
    comes = history(git, [source], [base])
    if not comes:
        return Result(tree_of(git, base))
    merged = two_commits(git, base, source)
    clashes = _clashes(git, merged.conflicts, base, source)
    steps = () if clashes else (Step(merged.tree),)
    return Result(merged.tree, comes, _already(git, comes, base, source), steps, clashes)


def pick(git: GitApart, base: ObjectId, source: ObjectId, chosen: Sequence[ObjectId]) -> Result:
    """Return what `base` is with `chosen` commits of `source` (none: all that it lacks), the oldest first.

    Raise `UsageError` for a merge among them.
    """
    comes = history(git, [source], [base])
    wanted = {*chosen}
    if wanted:
        new = tuple(told for told in comes if told.commit in wanted)
        # What the branch has already, and may have been undone there; it comes first.
        old = [one(git, name) for name in chosen if all(told.commit != name for told in new)]
        comes = (*new, *reversed(old))
    else:
        comes = tuple(told for told in comes if not told.is_merge)
    already = dict(_already(git, comes, base, source))
    tree, steps = tree_of(git, base), list[Step]()
    for told in reversed(comes):
        if told.is_merge:
            raise UsageError("is a merge, which cannot be picked; name the commits that it brought", where=told.commit)
        if told in already:
            continue
        before, after = trees_of_change(git, told.commit)
        merged = three_trees(git, before, tree, after)
        if merged.conflicts:
            start = told.parents[0] if told.parents else None
            clashes = _clashes(git, merged.conflicts, base, told.commit, start)
            return Result(merged.tree, comes, tuple(already.items()), (), clashes)
        if merged.tree != tree:
            steps.append(Step(merged.tree, told))
            tree = merged.tree
    kept = tuple(told for told in comes if told not in already)
    return Result(tree, kept, tuple(already.items()), tuple(steps))


def undo(git: GitApart, base: ObjectId, landed: Sequence[ObjectId]) -> Result:
    """Return what `base` is without what the commits `landed` did, the newest first; a merge goes as a whole."""
    tree, comes = tree_of(git, base), list[Told]()
    for name in landed:
        told = one(git, name)
        before, after = trees_of_change(git, name)
        merged = three_trees(git, after, tree, before)
        if merged.conflicts:
            clashes = _clashes(git, merged.conflicts, base, name, told.parents[0] if told.parents else None)
            return Result(merged.tree, (told,), (), (), clashes)
        tree = merged.tree
        comes.append(told)
    same = tree == tree_of(git, base)
    return Result(tree, tuple(comes), (), () if same else (Step(tree),))


def landed_as(
    git: GitApart, change: ObjectId, tip: ObjectId, contains: Callable[[ObjectId, ObjectId], bool]
) -> tuple[ObjectId, ...]:
    """Return as which commits a branch at `tip` has `change`: itself, or cherry-picks of it; none if it was undone.

    A merge is there as itself only.
    """
    tree = tree_of(git, tip)
    if contains(tip, change):
        return () if shows(git, tree, change) is False else (change,)
    told = one(git, change)
    if told.is_merge:
        return ()
    own = patch_id(git, *trees_of_change(git, change))
    base = git.answer("merge-base", tip, change)[1].decode("ascii").split()
    there = patch_ids(git, [tip], base[:1])
    return tuple(name for name, patch in there.items() if patch == own and shows(git, tree, name) is not False)


def make(
    git: GitApart, way: str, base: ObjectId, source: ObjectId, result: Result, who: str, now: float,
    message: Callable[[Told | None], str],
) -> ObjectId:
    """Make the commits of a result, and return the last; `message` returns the whole message of each."""
    date = f"@{int(now)} +0000"
    machine, person = Identity(*MACHINE, date), Identity(who, f"{who}@localhost", date)
    tip = base
    for step in result.steps:
        if step.of is None:
            parents = (base, source) if way == "merge" else (base,)
            tip = commit(git, step.tree, parents, message(None), person, machine)
        else:
            wrote = Identity(step.of.author or "?", step.of.author_email, f"@{step.of.authored} +0000")
            tip = commit(git, step.tree, (tip,), message(step.of), wrote, machine)
    return tip


def _already(
    git: GitApart, comes: Sequence[Told], base: ObjectId, source: ObjectId
) -> tuple[tuple[Told, ObjectId], ...]:
    """Return which of these commits `base` has as another one, with the same patch, that nobody has undone."""
    there = {patch: name for name, patch in patch_ids(git, [base], [source]).items()}
    own = patch_ids(git, [source], [base])
    found = [(told, there[own[told.commit]]) for told in comes if own.get(told.commit) in there]
    tree = tree_of(git, base) if found else ""
    return tuple((told, name) for told, name in found if shows(git, tree, name) is not False)


def _clashes(
    git: GitApart,
    conflicts: Sequence[Conflict],
    base: ObjectId,
    source: ObjectId,
    start: ObjectId | None = None,
) -> tuple[Clash, ...]:
    """Return the conflicts with who stands on each side; `start`: where their side begins (None: where they part)."""
    parted = git.answer("merge-base", base, source)[1].decode("ascii").split()[:1]
    begin = parted[0] if parted else empty_tree(git)
    found = []
    for conflict in conflicts:
        path = conflict.path
        mine = Side(None, "", "", "")
        if parted and base != source:
            mine = _side(git, last_on(git, path, base, begin), begin, base, path)
        their_begin = start or begin
        theirs_last = one(git, source) if start is not None else (last_on(git, path, source, base) if parted else None)
        found.append(Clash(path, conflict.what, mine, _side(git, theirs_last, their_begin, source, path)))
    return tuple(found)


def _side(git: GitApart, told: Told | None, begin: str, end: str, path: str) -> Side:
    patch = bounded(difference(git, begin, end, path), _PATCH)
    if told is None:
        return Side(None, "", "", patch)
    return Side(told.commit, f"{told.author} <{told.author_email}>", told.subject, patch)
