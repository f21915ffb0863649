"""Who pushed which commits: what git itself forgets, and what "nobody approves their own" hangs on.

A commit names its author in words that its author chose; who pushed it was vouched for (pusher.py). Each moved branch
is one line, appended after git took the push.

Owns REPOSITORY/puppetmaster/pushed.jsonl and .1, its older half. Not here: what is made of it (git_hooks/promotion).
Failure modes: a line that cannot be written or read is passed over by whoever writes (the push stands), and by readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import Strength
from git_hooks.repository.refs import ObjectId, RefUpdate

_LONGEST = 8 << 20
"""Octets after which a file begins anew: some 40,000 pushes."""


class Pushed(NamedTuple):
    """One moved branch."""

    ref: str
    old: str
    new: str
    who: str
    at: float


def note(repository: str, updates: Iterable[RefUpdate], who: str, now: float) -> None:
    """Note who moved these branches; raise OSError."""
    moved = [Pushed(one.ref, one.old, one.new, who, now)._asdict() for one in updates if not one.deletes]
    if moved:
        _file(repository).append(*moved)


def pushes(repository: str) -> tuple[Pushed, ...]:
    """Return all that are kept, the oldest first; raise OSError."""
    file = _file(repository)
    lines = [*JsonLines(file.older, mode=None, survives=Strength.KILL).read(), *file.read()]
    found = []
    for line in lines:
        record = line.record or {}
        if set(record) == set(Pushed._fields) and all(ObjectId.accepts(str(record[name])) for name in ("old", "new")):
            found.append(Pushed(**record))
    return tuple(found)


def _file(repository: str) -> JsonLines:
    path = f"{repository}/puppetmaster/pushed.jsonl"
    return JsonLines(path, mode=0o644, survives=Strength.KILL, longest=_LONGEST)
