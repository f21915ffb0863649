"""Which commit an environment is to show, at this moment. Reads git and the environments' links, changes nothing.

Owns what a branch maps to when a deploy has the environment's lock: its tip,
and if it is gone, what takes its place. A deploy asks once, and does not look
at the branch again.

Failure modes: `NotFound` for a commit that git does not have,
`ForeignEnvironment` where what stands there is none of ours.

Not here: whether that is to be done (decision.py), who may push what
(git_hooks/push), which branch is which environment (enc/terms/environments.py).
"""

from __future__ import annotations

from typing import NamedTuple

from enc.rights.domains import shows
from enc.settings import DomainSettings
from enc.terms.environments import Rules
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.versions import Versions


class Tip(NamedTuple):
    """What a branch shows at the time of the deploy.

    A branch that is gone takes its environment with it, unless another branch becomes that environment.
    """

    branch: BranchName


class Exact(NamedTuple):
    """One commit, whatever the branches show."""

    commit: ObjectId


class Gone(NamedTuple):
    """Nothing, unless by the time of the deploy a branch becomes that environment."""


Target = Tip | Exact | Gone


class Targets:
    """What targets mean in one repository."""

    def __init__(self, repository: Repository, versions: Versions, rules: Rules, domains: DomainSettings) -> None:
        self._repository = repository
        self._versions = versions
        self._rules = rules
        self._domains = domains

    def commit(self, environment: EnvironmentName, target: Target) -> ObjectId | None:
        """Return the commit that `environment` is to show now; None: none, so what is live goes."""
        if not shows(environment, self._rules, self._domains):
            return None
        if isinstance(target, Exact):
            return self._repository.commit_of(target.commit)
        tip = self._repository.tip(target.branch) if isinstance(target, Tip) else None
        return tip if tip is not None else self._inherited(environment)

    def _inherited(self, environment: EnvironmentName) -> ObjectId | None:
        """Return what an environment shows whose branch is gone: another branch that has its name now, or nothing.

        One push may rename a branch so (`a-b`, `a.b`), and two pushes of one moment.
        """
        tips = []
        for branch, tip in self._repository.branches().items():
            place = self._rules.place_or_none(branch)
            if place is not None and place.environment == environment:
                tips.append(tip)
        if len(tips) > 1:
            return self._versions.live(environment)  # who of several has it cannot be told
        return tips[0] if tips else None
