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

from git_hooks.checks.look import File, Problem
from git_hooks.repository.trees import LINK, LONGEST_TARGET, depth, leaving


def reads(file: File) -> int | None:
    """Return how much of links is read."""
    return LONGEST_TARGET if file.entry.mode == LINK else None


def check(link: File) -> Iterator[Problem]:
    """Yield why a new link is refused."""
    what = leaving(link.content, depth(link.directory))
    if not what:
        return
    where = link.path
    if not any(fnmatchcase(where, pattern) for pattern in link.settings.pushes.links):
        yield Problem(
            where,
            f"{what}; an operator can allow its path, and it is then left out of the environment "
            "(setting pushes.links)",
        )
    elif not link.site.own and link.entry not in link.site.at(where):
        yield Problem(
            where, f"{what}; pushes.links allows it only if an operators' branch has the same link, and none has"
        )
