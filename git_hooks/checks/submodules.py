"""Submodules, which are not laid out, and entries of a kind that git does not know."""

from __future__ import annotations

from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.trees import DIRECTORY, FILE, LINK, PROGRAM, SUBMODULE

_KNOWN = frozenset({DIRECTORY, FILE, PROGRAM, LINK, SUBMODULE})


def check(look: Look) -> Iterator[Problem]:
    """Yield new submodules and .gitmodules unless they are allowed, and unknown kinds always."""
    for entry in look.new:
        if entry.mode not in _KNOWN:
            yield Problem(look.where(entry), f"has the unknown mode {entry.mode:o}")
        elif look.limits.submodules:
            continue
        elif entry.mode == SUBMODULE:
            yield Problem(look.where(entry), "is a submodule; put the files themselves into the repository")
        elif entry.name.lower() == ".gitmodules":
            yield Problem(look.where(entry), "submodules are not allowed here (setting pushes.submodules)")
