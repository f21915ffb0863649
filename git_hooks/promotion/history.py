"""What went where, when, by whom and on which evidence: as it is kept, and as the commits alone tell it. Reads only.

The two are independent: what is kept knows refusals, checks and facts; the commits are still there when that is lost,
and go with every clone.

Not here: the form of the words in commits (provenance.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from enc.settings import Settings
from enc.terms.errors import ConfigurationError
from git_hooks.promotion.kept import Promotion
from git_hooks.promotion.provenance import Provenance, read
from git_hooks.promotion.result import landed_as
from git_hooks.promotion.rungs import Rung, rungs
from git_hooks.promotion.states import LANDED
from git_hooks.repository.apart import GitApart
from git_hooks.repository.objects import Repository
from git_hooks.repository.patches import Told, history
from git_hooks.repository.refs import ObjectId


class Landing(NamedTuple):
    """One commit on a rung's branch that a promotion made."""

    commit: Told
    said: Provenance

    @property
    def at(self) -> float:
        """When it was made, seconds since 1970."""
        return float(self.commit.committed) if self.commit.committed.isdigit() else 0.0


def landings(git: GitApart, tip: ObjectId, most: int) -> Iterator[Landing]:
    """Yield what promotions and reverts made of a branch, the newest first, from its commits alone."""
    for told in history(git, [tip], first_parent=True, most=most):
        said = read(told.message)
        if said is not None:
            yield Landing(told, said)


class Standing(NamedTuple):
    """How one rung has a commit."""

    rung: Rung
    landed: tuple[ObjectId, ...]
    """As which commits; empty: it does not have it, or not any more."""
    by: Landing | None = None
    """What brought it, if a promotion did."""


def standings(
    git: GitApart,
    found: tuple[Rung, ...],
    commit: ObjectId,
    tip: Callable[[Rung], ObjectId | None],
    contains: Callable[[ObjectId, ObjectId], bool],
) -> Iterator[Standing]:
    """Yield how each rung has `commit`."""
    for rung in found:
        at = tip(rung)
        landed = landed_as(git, commit, at, contains) if at is not None else ()
        by = None
        if landed and at is not None:
            # The oldest commit of the branch itself that has it.
            having = [one for one in landings(git, at, 1000) if contains(one.commit.commit, landed[0])]
            parents = having[-1].commit.parents if having else ()
            if parents and not contains(parents[0], landed[0]):
                by = having[-1]
        yield Standing(rung, landed, by)


def on_rungs(settings: Settings, repository: Repository, commit: ObjectId) -> list[Standing]:
    """Return how each rung has `commit`; none where there are no rungs, or the configuration of rungs is wrong."""
    try:
        found = rungs(settings)
    except ConfigurationError:  # doctor says it
        return []

    def tip(rung: Rung) -> ObjectId | None:
        return repository.tip(rung.branch)

    with GitApart(repository.path) as git:
        return list(standings(git, found, commit, tip, repository.contains))


def landed(promotions: tuple[Promotion, ...], rung: str) -> tuple[Promotion, ...]:
    """Return what got to a rung, the newest first."""
    found = [one for one in promotions if one.rung == rung and one.state in LANDED]
    return tuple(sorted(found, key=lambda one: (one.moved or one.at, int(one.id[1:])), reverse=True))
