"""After git has taken a push: makes it live, and tells what that means for whom.

The deploys and their words are receive.py's; here is added which nodes they
reach. It cannot refuse any more, so it tells the truth: a branch that is
stored but not live is said to be so. Refs that become no environment (tags)
need no word. Environments are deployed one after the other: the work is done by
one processor, and most pushes move one branch.

Failure modes: who pushed cannot be told: the push is deployed all the same,
as `unknown`; git has taken it, and leaving it undeployed would help nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from enc.errors import InvalidName, ToolkitError
from enc.names import BranchName
from git_hooks.environments import Place, Rules
from git_hooks.policy import obstacles, read, some
from git_hooks.pusher import identify
from git_hooks.receive import received
from git_hooks.refs import RefUpdate, parse_updates
from git_hooks.usage import Usage, UsageUnknown
from git_hooks.verdict import clean, shown

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.deploy import Deployer

UNKNOWN = "unknown"
"""Who pushed, in the record of a deploy, if nobody says so."""

_MOST_TOLD = 20
"""Of a push that moves more environments, nodes are not told one by one."""


class Report(Iterator[str]):
    """The lines for the person who pushed, as the work goes on; `good` tells at the end whether all is well."""

    def __init__(
        self,
        settings: Settings,
        deployer: Deployer,
        usage: Usage,
        updates: bytes,
        environ: Mapping[str, str],
        user: int,
    ) -> None:
        """Do nothing yet: each line is preceded by the work that it tells of."""
        self._settings = settings
        self._deployer = deployer
        self._usage = usage
        self._rules = Rules(settings.branches.rules)
        self._lines = self._all(parse_updates(updates), environ, user)
        self.good = True

    def __next__(self) -> str:
        """Do the next piece of work, and return what there is to say about it."""
        return clean(next(self._lines))

    def _all(self, updates: tuple[RefUpdate, ...], environ: Mapping[str, str], user: int) -> Iterator[str]:
        who: str = UNKNOWN
        try:
            repository = str(self._settings.branches.repository)
            who = identify(self._settings.pushes.identity, repository, environ, time.time(), user).name
        except ToolkitError as error:
            yield f"this push is recorded without a name: {error}"
        for update in updates:
            rival = self._rival(update)
            if rival:
                self.good = False
                yield f"{shown(update.ref)}: stored, but NOT live: {rival}"
                continue
            for good, line in received(self._deployer, self._rules, [update], who):
                self.good = self.good and good
                yield line
                if good and not update.deletes and len(updates) <= _MOST_TOLD:
                    yield from self._reached(update)

    def _rival(self, update: RefUpdate) -> str:
        """Return why a new branch must not go live. Of two that are pushed at one moment, pre-receive sees neither."""
        if not update.creates or update.deletes:
            return ""
        found = obstacles([read(update, self._rules)], self._deployer.repository.branches(), self._rules)
        return found.get(update.ref, "")

    def _reached(self, update: RefUpdate) -> Iterator[str]:
        place = self._place(update)
        if place is None:
            return
        try:
            nodes = self._usage.nodes(place.environment)
        except UsageUnknown:
            return  # it is no part of the deploy; doctor and status tell about the follower
        if nodes:
            count = "1 node gets it at its" if len(nodes) == 1 else f"{len(nodes)} nodes get it at their"
            yield f"{place.environment}: {count} next run: {some(nodes)}"
        else:
            yield f"{place.environment}: no node uses it"

    def _place(self, update: RefUpdate) -> Place | None:
        try:
            branch = BranchName.of_ref(update.ref)
            return self._rules.place(branch) if branch is not None else None
        except InvalidName:
            return None
