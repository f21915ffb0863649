"""The rungs of a site, and what a rung takes. Pure.

Not here: the rules of a rung (rules.py), and whether its branch is there.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from enc.settings import RungSettings, Settings
from enc.terms.environments import Place, Rules
from enc.terms.errors import ConfigurationError, UsageError
from enc.terms.names import BranchName, EnvironmentName
from enc.terms.nearest import meant


class Rung(NamedTuple):
    """One rung."""

    says: RungSettings
    place: Place
    """What its branch is for."""
    below: Rung | None
    """The rung below; None: it is the first."""
    canary: Place | None = None
    """What its canary branch is for, if it has one."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.says.name

    @property
    def branch(self) -> BranchName:
        """The branch that a promotion moves."""
        return self.place.branch

    @property
    def environment(self) -> EnvironmentName:
        """What its nodes use."""
        return self.place.environment

    def takes(self, source: BranchName, rules: Rules) -> bool:
        """Tell whether `source` may be promoted to it."""
        if source == self.branch:
            return False
        if self.says.sources:
            return any(fnmatchcase(source, pattern) for pattern in self.says.sources)
        if self.below is not None:
            return source == self.below.branch
        return rules.place_or_none(source) is not None or rules.proposal(source) is not None

    def sources(self) -> str:
        """Return in words what may be promoted to it."""
        if self.says.sources:
            return ", ".join(self.says.sources)
        return self.below.branch if self.below is not None else "every branch that becomes an environment"


def rungs(settings: Settings) -> tuple[Rung, ...]:
    """Return the rungs, the lowest first; raise `ConfigurationError` for one whose branch is no site's own."""
    rules = Rules(settings.branches.rules)
    says = settings.promotion.rungs or tuple(RungSettings(place.branch, place.branch) for place in rules.site)
    found: list[Rung] = []
    for one in says:
        canary = _own(one.canary_branch, one, rules) if one.canary_branch is not None else None
        found.append(Rung(one, _own(one.branch, one, rules), found[-1] if found else None, canary))
    return tuple(found)


def named(name: str, settings: Settings) -> Rung:
    """Return the rung that is called so; raise `UsageError` with those that there are."""
    found = rungs(settings)
    for rung in found:
        if rung.name == name:
            return rung
    names = [rung.name for rung in found]
    known = f"known: {', '.join(names)}" if names else "none is configured (promotion.rungs)"
    raise UsageError(f"is no rung{meant(name, names)} ({known})", where=name)


def _own(branch: BranchName, rung: RungSettings, rules: Rules) -> Place:
    place = rules.place_or_none(branch)
    if place is None or place.project is not None:
        raise ConfigurationError(
            f"rung {rung.name}: {branch} is not a branch of the site by branches.rules", where="promotion.rungs"
        )
    return place
