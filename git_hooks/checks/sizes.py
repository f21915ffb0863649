"""Files and directories that are too large. What one push brings as a whole is bounded by the walk (incoming.py)."""

from __future__ import annotations

from collections.abc import Iterator

from git_hooks.checks.look import Look, Problem
from git_hooks.repository.trees import FILE, PROGRAM

WIDEST = 20_000
"""Entries of one directory: reading and writing it takes time with each of them, at every push that changes one."""
DEEPEST = 40
"""Directories inside one another."""


def check(look: Look) -> Iterator[Problem]:
    """Yield what is larger than its bound."""
    limits = look.settings.pushes
    # Two known directories together may be too large, too, and have nothing new.
    if len(look.entries) > WIDEST and (look.new or all(len(names) < len(look.entries) for names in look.before)):
        yield Problem(look.path, f"the directory has {len(look.entries)} entries, the limit is {WIDEST}")
    if look.depth() > DEEPEST:
        yield Problem(look.path, f"is more than {DEEPEST} directories deep")
    for entry in look.new:
        if entry.mode in (FILE, PROGRAM):
            size = look.size(entry)
            if size > limits.file_bytes:
                what = f"is {size} bytes large, the limit (pushes.file_bytes) is {limits.file_bytes}"
                yield Problem(look.where(entry), what)
