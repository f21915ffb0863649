"""Whether a commit is live everywhere it belongs, comes there yet, or does not. Reads only.

It belongs where a branch that has it becomes an environment of this machine;
an environment that shows a later commit has it, too. It does not arrive

- if it was refused, and no branch has it;
- if no branch has it any more: superseded by a push that takes commits back;
- where the environment is held, or cannot be ours;
- where its branch's deploy was the last thing that was tried, and failed. That
  may be tried again by itself (a forge's branch, an owed flush); whoever waits
  is told the reason at once, and can wait again.

Anything else may still come, also a commit that the repository does not have.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from enc.settings import BranchSettings
from enc.terms.errors import NotFound
from enc.terms.names import EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import told
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.store.versions import ForeignEnvironment


class Arrival(NamedTuple):
    """How far a commit has come."""

    commit: ObjectId | None
    """None: the repository does not have it."""
    live: tuple[EnvironmentName, ...] = ()
    waits: str = ""
    """What is still to come; empty with `over` empty: nothing."""
    over: str = ""
    """Why it does not go live; empty: it may."""


def look(
    revision: str,
    only: EnvironmentName | None,
    deployer: Deployer,
    refs: RefStore,
    refused: Callable[[str], str],
) -> Arrival:
    """Return how far the commit `revision` (its id, or how that begins) has come; `only`: in this environment alone.

    `refused` tells why a commit was refused that no branch has; an empty text if it was not.
    """
    commit = None
    with suppress(NotFound):
        commit = ObjectId(deployer.repository.commit_of(revision))
    having = refs.containing(commit) if commit is not None else ()
    if not having:
        if why := refused(commit or revision):
            return Arrival(commit, over=f"refused: {why}")
        if commit is not None and (kept := refs.archived_with(commit)):
            return Arrival(commit, over=f"superseded: no branch has it any more; it is kept as {kept[0]}")
        return Arrival(commit, waits="no branch has it yet" if commit else "the repository does not have it yet")
    assert commit is not None
    rules = deployer.rules
    places = {place.environment: place for branch in having if (place := rules.place_or_none(branch)) is not None}
    here = sorted(name for name in places if deployer.shows(name) and only in (None, name))
    if not here:
        if only is not None:
            return Arrival(commit, waits=f"the branch of {only} does not have it yet")
        return Arrival(commit, waits="no branch has it yet that becomes an environment here")
    tips = deployer.repository.branches()
    seen = [_in(deployer, name, tips.get(places[name].branch), commit) for name in here]
    live = tuple(name for name, one in zip(here, seen, strict=True) if not one.waits and not one.over)
    return Arrival(
        commit,
        live,
        "; ".join(filter(None, (one.waits for one in seen))),
        "; ".join(one.over for one in seen if one.over),
    )


def _in(deployer: Deployer, name: EnvironmentName, tip: ObjectId | None, commit: ObjectId) -> Arrival:
    try:
        shown = deployer.versions.live(name)
        if shown is not None and deployer.repository.contains(shown, commit):
            if missing := deployer.inspection.missing(name):
                return Arrival(commit, over=f"{name} is damaged, {missing}; run branch-manager deploy")
            owed = deployer.records.owes_flush(name)
            return Arrival(commit, waits=f"{name}: a puppetserver may still serve the version before" if owed else "")
    except ForeignEnvironment as error:
        return Arrival(commit, over=str(error))
    if (hold := deployer.records.held(name)) is not None:
        return Arrival(commit, over=f"{name} is held by {hold.who}: {hold.reason}")
    last = next(iter(deployer.records.of(name, limit=1)), None)
    if last is not None and last.outcome == "failed" and last.new == tip:
        return Arrival(commit, over=told(last))
    return Arrival(commit, waits=f"{name} shows {shown.abbreviated if shown else 'nothing'} so far")


def mark(settings: BranchSettings) -> tuple[object, ...]:
    """Return something that changes with whatever `look` looks at: some calls of stat(2), and nothing of git."""
    repository, store = str(settings.repository), str(settings.store)
    places = [f"{repository}/packed-refs", f"{repository}/puppetmaster/refused", f"{store}/mirror/tries.json"]
    places += [f"{store}/holds", f"{store}/pending", str(settings.environments)]
    places += [place for place, _, _ in os.walk(f"{repository}/refs/heads")]
    with suppress(FileNotFoundError):
        places += sorted(entry.path for entry in os.scandir(f"{store}/records"))
    return tuple(_stat(places))


def _stat(places: list[str]) -> Iterator[tuple[str, int, int]]:
    for place in places:
        with suppress(OSError):
            found = Path(place).stat()
            yield place, found.st_mtime_ns, found.st_ino
