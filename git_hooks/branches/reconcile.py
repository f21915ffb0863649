"""Brings all environments in line with the branches: after a crash, a restore, a first installation.

Owns the decision which environments are due, and in which order. The deploys
are deployer.py's. An environment without a branch is only named, never removed
here: that a rule changed, or a repository was restored, must not take hundreds
of environments away. Branches that want one environment are named too, and
what the environment shows stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from enc.rights.domains import shows
from enc.settings import DomainSettings
from enc.terms.environments import Place, Rules, collisions, site_first
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.deployer import ALL, Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.repository.refs import ObjectId
from git_hooks.store.versions import ForeignEnvironment


class Due(NamedTuple):
    """What is not as the branches say."""

    deploy: tuple[Place, ...]
    """In this order: those that others share files with come first."""
    orphans: tuple[EnvironmentName, ...]
    """Environments that no branch wants."""
    collisions: Mapping[EnvironmentName, tuple[BranchName, ...]]
    """Environments that several branches want."""
    lost: frozenset[EnvironmentName] = frozenset()
    """Environments that are not whole."""


def due(
    branches: Mapping[BranchName, ObjectId],
    live: Mapping[EnvironmentName, ObjectId],
    owing: Iterable[EnvironmentName],
    rules: Rules,
    lost: Iterable[EnvironmentName] = (),
    domains: DomainSettings = ALL,
) -> Due:
    """Return what is to be done. Pure.

    `live` is what environments show, `owing` are those whose flush is owed, `lost` those that are not whole. Those that
    another domain's server shows (`domains`) are due to go.
    """
    places = [place for branch in sorted(branches) if (place := rules.place_or_none(branch)) is not None]
    rivals = collisions(places)
    contested = {branch for group in rivals.values() for branch in group}
    damaged = frozenset(lost)
    owed = {*owing, *damaged}

    def wanted(place: Place) -> ObjectId | None:
        return branches[place.branch] if shows(place.environment, rules, domains) else None

    wanting = [
        place
        for place in places
        if place.branch not in contested
        and (live.get(place.environment) != wanted(place) or place.environment in owed)
    ]
    wanting.sort(key=lambda place: place.environment)
    first, rest = site_first(wanting, rules)
    named = {place.environment.lower() for place in places}
    orphans = tuple(sorted(environment for environment in live if environment.lower() not in named))
    return Due((*first, *rest), orphans, rivals, damaged)


def look(deployer: Deployer, rules: Rules) -> Due:
    """Return what is due now; raise OSError if that cannot be looked at."""
    live, lost, presence = {}, [], deployer.inspection.look()
    for environment in deployer.versions.environments():
        with suppress(ForeignEnvironment):
            commit = deployer.versions.live(environment)
            if commit is not None:
                live[environment] = commit
                if deployer.inspection.missing(environment, presence):
                    lost.append(environment)
    return due(deployer.repository.branches(), live, deployer.records.owing(), rules, lost, deployer.domains)


def reconcile(deployer: Deployer, found: Due, who: str, why: str = "reconcile") -> Iterator[Record]:
    """Deploy everything that is due, and yield what happened."""
    for group in site_first(found.deploy, deployer.rules):
        deployer.build_ahead((place.environment, Tip(place.branch)) for place in group)
        for place in group:
            yield deployer.deploy(place.environment, Tip(place.branch), who, why)
