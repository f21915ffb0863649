"""Symbolic links that lead out of the tree.

What counts is what a link says, not what stands there: its target must be a
relative path that climbs no higher than the root, with '..' only at its
beginning. Then links to directories cannot be chained to get out either.
"""

from __future__ import annotations

from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.trees import LINK, UnsoundTree, climb

LONGEST_TARGET = 1000
"""Bytes of a link's target; systems take 4095."""


def check(look: Look) -> Iterator[Problem]:
    """Yield the new links that are refused."""
    for entry in look.new:
        if entry.mode != LINK:
            continue
        where = look.where(entry)
        target = look.blobs(entry.id).content
        if target is None or len(target) > LONGEST_TARGET:
            yield Problem(where, f"is a link whose target is longer than {LONGEST_TARGET} bytes")
            continue
        try:
            if climb(target, look.depth(), where):
                yield Problem(where, "is a link that leaves the tree")
        except UnsoundTree as error:
            yield Problem(where, error.message)
