"""Symbolic links that lead out of the tree.

Which these are, one function says for the checks and for the deploy
(trees.leaving). The deploy leaves them out of every environment; here those
are refused that nobody decided about. Operators allow links by their paths
(`pushes.links`), on branches that only they push; a branch of a project may
have such a link as it stands on one of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from git_hooks.checks.look import Look, Problem
from git_hooks.repository.trees import LINK, leaving


def check(look: Look) -> Iterator[Problem]:
    """Yield the new links that are refused."""
    for entry in look.new:
        if entry.mode != LINK:
            continue
        where = look.where(entry)
        what = leaving(look.blobs(entry.id).content, look.depth())
        if not what:
            continue
        if not any(fnmatchcase(where, pattern) for pattern in look.limits.links):
            yield Problem(where, f"{what}; an operator can allow its path, then it is left out (setting pushes.links)")
        elif not look.site.own and entry not in look.site.at(where):
            yield Problem(where, f"{what}; pushes.links allows it only as a branch of operators has it, and none does")
