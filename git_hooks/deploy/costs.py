"""What makes a tree expensive to deploy: named, so that its people can change it. Reads git, touches no file.

A push makes anew each unit that it touches, with a link for each of its files
(arrange.py). So large units cost, and what keeps them from being split:

- a directory whose links leave it costs once more for each change of what they lead to;
- many of these make the directory around them one unit;
- a directory with thousands of files in it, and none below, cannot be split;
- a module is never split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from git_hooks.repository.trees import join
from git_hooks.store.arrange import MOST_PARTS, Arranger, Objects, Unit
from git_hooks.store.layout import is_part
from git_hooks.store.parts import Surveyor, WithParts
from git_hooks.store.splitting import LARGE, Splitting, splitting

VERY_MANY = 100_000
"""Files and directories of one tree from which that alone is told: a first deploy takes half a minute."""
_SHOWN = 3


class Cost(NamedTuple):
    """One thing that makes pushes slow or the store large."""

    path: str
    what: str


def costs(objects: Objects, tree: str, *, large: bool, surveyor: Surveyor) -> Iterator[Cost]:
    """Yield what is expensive about the tree of an environment; raise `UnsoundTree`, `NotFound`.

    `large`: see splitting.py. A `surveyor` that is used again spares reading what trees have in common.
    """
    parts = WithParts(objects)

    def splits(tree: str) -> Splitting:
        return splitting(parts, tree, large=large)

    top = Arranger(parts, surveyor, splits, _nothing_known, lambda path: None).version(tree)
    decided = splits(tree)
    if not top.split:
        yield Cost("", f"links lead out of more than {MOST_PARTS} directories at the top, so nothing is shared")
    for unit in top.children:
        yield from _of(unit, parts, surveyor, decided)
    names = surveyor.facts(parts, tree, "").names
    if names >= VERY_MANY:
        yield Cost("", f"the tree holds {names} files and directories")


def _of(unit: Unit, objects: WithParts, surveyor: Surveyor, decided: Splitting) -> Iterator[Cost]:
    facts = surveyor.facts(objects, unit.tree, unit.path)
    if unit.part is not None and is_part(unit.name):
        shown = ", ".join(join(unit.path, one.path) for one in facts.leaving[:_SHOWN])
        more = f" and {len(facts.leaving) - _SHOWN} more" if len(facts.leaving) > _SHOWN else ""
        what = f"links lead out of it ({shown}{more}), so its {facts.names} files and directories are linked again"
        yield Cost(unit.path, f"{what} even when only their targets change")
    if unit.split and unit.part is None:
        direct = sum(not entry.is_directory for entry in objects.tree(unit.tree, unit.path))
        if direct >= LARGE:
            yield Cost(unit.path, f"{direct} files are in this one directory, and all are linked again at each change")
        for child in unit.children:
            yield from _of(child, objects, surveyor, decided)
    elif decided.always(unit.path):
        what = f"links lead out of more than {MOST_PARTS} of its directories, so it is not split"
        yield Cost(unit.path, f"{what}: its {facts.names} files and directories are linked again at each change")
    elif facts.names >= LARGE:
        what = "files and directories are linked again at each change: it is not split"
        yield Cost(unit.path, f"its {facts.names} {what}")


def _nothing_known(unit: str, inside: str = "") -> bool:
    return False
