"""What a push takes away from a branch: noted before git moves the ref, kept below refs/archive/ after it.

A hook cannot move refs in the transaction of the push: before it, git lets
nobody write refs (quarantine), and after it, a process that is killed would
have forgotten which commits there were. So pre-receive writes a note for each
branch that will be deleted or will forget commits, and post-receive keeps the
noted commits and removes the notes. A note that nobody settled is settled by
the next push, `expire`, `gc`, `deploy` or `restore`. A note whose branch still
has its commit belongs to a push that is under way, or that git refused in the
end; it is dropped after a while.

Owns the notes, REPOSITORY/puppetmaster/leaving/. Not here: the names below
refs/archive/ (refstore.py), who may do that (policy.py), words for people.

Failure modes: a note cannot be written: `ToolkitError`, and the push is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import InvalidName, ToolkitError
from enc.terms.names import BranchName
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.locks import locked
from git_hooks.store.steps import DiskStep, nothing

if TYPE_CHECKING:
    from enc.programs.elapsed import Count
    from git_hooks.repository.refstore import Archived

UNDER_WAY = 86400.0
"""Seconds after which a push that moved nothing is over: longer than any push waits between its two hooks."""


class Leaving(NamedTuple):
    """A commit that a branch will not have any more."""

    branch: BranchName
    commit: ObjectId


def note(repository: str, leaving: Iterable[Leaving]) -> None:
    """Write down what a push will take away; it is on disk when this returns. Raise `ToolkitError`."""
    directory = _directory(repository)
    try:
        for one in leaving:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            text = f"{one.commit} {one.branch}\n".encode()
            name = hashlib.sha256(text).hexdigest()
            whole_file.write(f"{directory}/{name}", text, mode=0o600, survives=Strength.POWER_CUT)
    except OSError as error:
        raise ToolkitError(f"the commits it removes cannot be recorded: {reason(error)}", where=directory) from error


def settle(repository: Repository, counted: Callable[[], Count], at: DiskStep = nothing) -> tuple[Archived, ...]:
    """Keep what left its branch, and return it. Costs nothing if there are no notes: then nobody is `counted`."""
    directory = _directory(repository.path)
    if not _notes(directory):
        return ()
    with locked(f"{directory}/.lock"):
        return tuple(_settle(repository, directory, counted(), at))


def _settle(repository: Repository, directory: str, count: Count, at: DiskStep) -> Iterator[Archived]:
    from git_hooks.repository.refstore import (
        RefStore,  # most pushes take nothing away, and need not wait for its imports
    )

    refs = RefStore(repository.path)
    kept: dict[tuple[BranchName, ObjectId], float] = {}
    for one in refs.archived():
        kept[one.branch, one.commit] = max(kept.get((one.branch, one.commit), 0.0), count.of(one.at))
    for name in _notes(directory):
        path = f"{directory}/{name}"
        leaving = _read(path)
        noted = os.stat(path).st_mtime
        if leaving is not None and _is_there(repository, leaving):
            if count.now - count.of(noted) > UNDER_WAY:
                os.unlink(path)
            continue
        # What was kept since was kept for this note, by somebody who was killed then. What was kept before was for an
        # earlier push, and will be forgotten too early.
        if leaving is not None and kept.get(leaving, 0.0) < count.of(int(noted)) and repository.has(leaving.commit):
            at("keep")
            yield refs.keep(leaving.branch, leaving.commit, int(count.now))
        at("remove note")
        os.unlink(path)


def _is_there(repository: Repository, leaving: Leaving) -> bool:
    tip = repository.tip(leaving.branch)
    return tip is not None and repository.contains(tip, leaving.commit)


def _notes(directory: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except FileNotFoundError:
        return []


def _read(path: str) -> Leaving | None:
    """Return what a note says; None if it is none of ours."""
    with suppress(InvalidName, UnicodeDecodeError), open(path, encoding="utf-8") as stream:
        commit, _, branch = stream.read().rstrip("\n").partition(" ")
        return Leaving(BranchName(branch), ObjectId(commit))
    return None


def _directory(repository: str) -> str:
    return f"{repository}/puppetmaster/leaving"
