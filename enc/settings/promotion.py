"""The way to production: rungs, their rules, and where changes are reviewed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from enc.settings.forges import REVIEWS
from enc.settings.values import Duration, OneOf, Section
from enc.terms.names import BranchName, PersonName


@dataclass(frozen=True)
class RungSettings(Section):
    """A rung on the way to production: its branch, and what a change must have to get there."""

    name: str
    """What it is called on the command line: letters, digits, `-` and `_`."""
    branch: BranchName
    """The branch that a promotion moves."""
    sources: tuple[str, ...] = ()
    """Branches that may be promoted to it, such as project/* (`*` matches anything). None: any branch that becomes an
    environment for the first rung, and for the others the branch of the rung below."""
    propose: tuple[str, ...] = ("operator", "projectadmin")
    """Roles that may propose a change for it. A role in a project counts for the branches of that project."""
    approvals: int | None = 1
    """How many other people must approve a change. null: none."""
    approvers: tuple[str, ...] = ("operator",)
    """Roles that may approve. Nobody approves a change that they proposed, wrote or pushed."""
    checks: tuple[str, ...] = ()
    """Checks that must be green: `complete` (no file was left unchecked), and names that a CI system reports with
    `branch-manager promotion check`."""
    soak_runs: int | None = None
    """So many good runs of canary nodes the change must have had on the rung below. null: none."""
    soak_time: Duration = Duration(0)
    """How long the change must have been live on the rung below."""
    canaries: tuple[str, ...] = ()
    """Names of canary nodes, such as canary*.example.org (`*` matches anything), among those that use the environment.
    None: all of them."""
    canary_branch: BranchName | None = None
    """A branch whose environment the canary nodes use. It gets a change first, and this rung gets it when the canary
    nodes have had their runs."""
    watch_runs: int | None = None
    """So many good runs of canary nodes since it is live for them complete a promotion, or with `canary_branch` let the
    rung's own branch follow. null: none are waited for."""
    watch_time: Duration = Duration(0)
    """How long runs are watched after a promotion at most; then it is complete, or with `canary_branch` stopped."""
    failures: int | None = None
    """If the runs of more nodes than this fail while they are watched, the promotion is stopped: the environment goes
    back, and is held. null: 0."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", self.name, re.ASCII):
            yield "name", f"{self.name!r} is not a rung's name: letters, digits, - and _, at most 40"
        if self.canary_branch == self.branch:
            yield "canary_branch", "is the rung's own branch"
        if self.watch_runs is not None and not self.watch_time:
            yield "watch_time", "say how long watch_runs may take"
        if self.canary_branch is not None and self.watch_runs is None:
            yield "watch_runs", "say how many good runs of canary nodes let the rung's own branch follow"


@dataclass(frozen=True)
class ReviewSettings(Section):
    """A forge at which changes are reviewed: its approvals count as approvals here."""

    forge: Annotated[str, OneOf(REVIEWS)] | None = None
    """Its kind (`gitea`: also Forgejo). null: changes are approved here, with `branch-manager promotion approve`."""
    api: str | None = None
    """The address of its API: https://api.github.com, https://HOST/api/v4, https://HOST/api/v1, https://GERRIT."""
    project: str | None = None
    """The repository in the forge's API: OWNER/NAME."""
    token_file: Path | None = None
    """Holds the token for the API (for gerrit: USER:PASSWORD); must not be readable by others."""
    people: tuple[str, ...] = ()
    """Whose accounts at the forge have other names than their entries in LDAP: `ACCOUNT = UID`. An approval of an
    account that is nobody's in LDAP does not count."""
    timeout: Duration = Duration(10)
    """How long one answer of the forge may take."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the forge's address; without a forge nobody uses it."""
        if self.forge is None:
            return
        if not re.fullmatch(r"https?://[^\s@?#]+[^\s@?#/]", self.api or ""):
            yield "api", "needs the address of the forge's API, https://HOST/…, without / at its end"
        elif not (self.api or "").startswith(("https://", "http://127.0.0.1:", "http://[::1]:", "http://localhost:")):
            yield "api", "must be https://: the token goes there"
        if not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*", self.project or "", re.ASCII):
            yield "project", "needs the repository's name at the forge: OWNER/NAME"
        for line in self.people:
            account, equals, uid = (part.strip() for part in line.partition("="))
            if not (account and equals and PersonName.accepts(uid)):
                yield "people", f"{line!r} is not ACCOUNT = UID"


@dataclass(frozen=True)
class PromotionSettings(Section):
    """The way of a change to production (`branch-manager promote`)."""

    rungs: tuple[RungSettings, ...] = ()
    """The rungs, the lowest first. None: the branches that `branches.rules` name in full, the last rule first: `test`,
    then `production`; each takes one approval of an operator."""
    hold_time: Duration = Duration(2_592_000)
    """After so long, `doctor` asks the owner of a hold that a revert set whether it is still needed. The hold lasts
    until somebody lifts it."""
    stuck_after: Duration = Duration(86_400)
    """After so long, `doctor` reports a promotion that still waits in its queue."""
    emergency: tuple[str, ...] = ("operator",)
    """Roles that may approve a promotion with `--emergency`, which passes the queue, the soak and the rung below. It
    always takes a reason and the approval of a second person."""
    reporters: tuple[str, ...] = ()
    """Uids of people and services in LDAP who may report what a check found (`branch-manager promotion check`), beside
    operators."""
    metrics_file: Path | None = None
    """Prometheus text file about promotions, for the node exporter's textfile collector."""
    review: ReviewSettings = field(default_factory=ReviewSettings)
    """Where changes are reviewed, if not here."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield rungs that cannot be told apart."""
        for what in ("name", "branch"):
            found = [getattr(rung, what) for rung in self.rungs]
            if twice := sorted({one for one in found if found.count(one) > 1}):
                yield "rungs", f"two rungs have the {what} {twice[0]}"
