"""Submodules, which are not fetched, and entries of a kind that git does not know.

What makes a submodule is its entry in the tree, a commit's name. A .gitmodules
only says where to fetch it from; without such an entry it is a file like others.
"""

from __future__ import annotations

from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, SUBMODULE

_KNOWN = frozenset({DIRECTORY, FILE, PROGRAM, LINK, SUBMODULE})


def check(look: Look) -> Iterator[Problem]:
    """Yield new submodules unless they are allowed, and unknown kinds always."""
    for entry in look.new:
        if entry.mode not in _KNOWN:
            yield Problem(look.where(entry), f"has the unknown mode {entry.mode:o}")
        elif entry.mode == SUBMODULE and not look.settings.pushes.submodules:
            yield Problem(
                look.where(entry),
                "is a submodule; put the files themselves into the repository, or let an operator allow submodules, "
                "which become empty directories (setting pushes.submodules)",
            )
