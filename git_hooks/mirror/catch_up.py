"""One look at the forge: what differs is fetched, and what was fetched is deployed.

Owns the decision what a difference means (pure, `plan`) and its order. Each
branch stands for itself: one that fails stops no other. A branch that is gone
at the forge is kept here while nodes use its environment, or while that cannot
be told; and nothing is forgotten if the forge suddenly shows no branch at all.
A second branch of an environment that has one is not taken.

What was fetched passes the same checks as a push (examine.py) before its
branch moves here. If it does not, branch and environment stay as they are; the
record, the log and the commit's status say why. It is looked at again if the
forge sends a webhook about that branch, and by the next process.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from enc import log
from enc.errors import ConfigurationError, Conflict, InvalidName, ToolkitError
from enc.names import BranchName
from enc.settings import Settings
from git_hooks.deploy import Deployer, Tip
from git_hooks.environments import Place, Rules, collisions, site_first
from git_hooks.examine import Examination
from git_hooks.incoming import Incoming
from git_hooks.mirror.report import ReportFailed, State, report
from git_hooks.mirror.upstream import Upstream
from git_hooks.records import Record
from git_hooks.refs import ObjectId
from git_hooks.refstore import RefStore
from git_hooks.usage import Usage, UsageUnknown
from git_hooks.verdict import SHOWN, clean
from git_hooks.versions import ForeignEnvironment

_TRIES = 3
"""How often a commit that does not go live is tried without anybody asking."""

WHO = "mirror"
"""Who stands in the records of deploys; the forge knows the person."""


class Differences(NamedTuple):
    """What has to be done about branches."""

    fetch: tuple[BranchName, ...] = ()
    gone: tuple[BranchName, ...] = ()
    refused: tuple[tuple[BranchName, str], ...] = ()


def plan(here: Mapping[BranchName, ObjectId], there: Mapping[BranchName, ObjectId], rules: Rules) -> Differences:
    """Return what makes `here` like `there`. Pure. Branches that become no environment are left alone."""
    places: dict[BranchName, Place] = {}
    refused: list[tuple[BranchName, str]] = []
    for branch in sorted({*here, *there}):
        try:
            place = rules.place(branch)
        except InvalidName as refusal:
            if branch in there and branch not in here:
                refused.append((branch, str(refusal)))
            continue
        if place is not None:
            places[branch] = place
    for environment, rivals in collisions(place for place in places.values() if place.branch in there).items():
        # Who was here first stays; of several new ones, none is taken for the right one.
        for branch in rivals:
            if branch not in here:
                others = ", ".join(rival for rival in rivals if rival != branch)
                refused.append((branch, f"wants the environment {environment}, and so does {others}"))
    bad = {branch for branch, _ in refused}
    return Differences(
        tuple(b for b in places if b in there and b not in bad and here.get(b) != there[b]),
        tuple(b for b in places if b in here and b not in there) if there else (),
        tuple(refused),
    )


class CatchUp:
    """Brings one repository up to its forge. For one thread."""

    def __init__(self, settings: Settings, deployer: Deployer) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._deployer = deployer
        self._rules = Rules(settings.branches.rules)
        self._upstream = Upstream(settings.branches)
        self._usage = Usage(settings)
        self._log = log.get("mirror")
        self._tries: Counter[tuple[BranchName, ObjectId]] = Counter()
        self._told: set[tuple[BranchName, str]] = set()
        self._refs = RefStore(str(settings.branches.repository))
        self._unsound: dict[BranchName, ObjectId] = {}

    def look(self, wanted: Iterable[BranchName] | None = None) -> list[Record]:
        """Look at the forge and do what differs, only about `wanted` if given; return the deploys.

        Branches that are `wanted` are deployed also if they do not differ: a
        deploy may have failed. Raise `UpstreamFailed` if the forge cannot be asked.
        """
        there = self._upstream.branches()
        here = self._deployer.repository.branches()
        todo = plan(here, there, self._rules)
        chosen = None if wanted is None else set(wanted)
        for branch, why in todo.refused:
            if (branch, why) not in self._told:
                self._told.add((branch, why))
                self._log.warning("%s: not taken: %s", branch, why)
                self._report(there[branch], "failure", f"{branch}: not taken: {why}")
        moved = [b for b in todo.fetch if (b in chosen if chosen is not None else self._unsound.get(b) != there[b])]
        behind = self._behind(here) if chosen is None else chosen
        again = [b for b in behind if b in here and b in there and b not in todo.fetch]
        gone = [b for b in todo.gone if (chosen is None or b in chosen) and self._may_go(b)]
        # First: `a` must be gone before git can have `a/b`.
        for branch in gone:
            self._refs.archive(branch, here.pop(branch), int(time.time()))
        records = self._take(self._fetch(moved), here, there)
        return [*records, *(record for b in (*again, *gone) for record in self._deploy(b))]

    def _take(
        self, fetched: list[BranchName], here: dict[BranchName, ObjectId], there: Mapping[BranchName, ObjectId]
    ) -> list[Record]:
        """Check what was fetched; let each branch whose tree is sound move and go live."""
        records = []
        with Incoming(str(self._settings.branches.repository), os.environ) as objects:
            # Those that others are compared with, and share files with, come first.
            places = [place for branch in fetched if (place := self._rules.place(branch)) is not None]
            for place in chain(*site_first(places, self._rules)):
                branch = place.branch
                commit, old = there[branch], here.get(branch)
                if not objects.has(commit):
                    continue  # the branch moved once more before it was fetched; the next look finds that
                problems = Examination(objects, self._settings).problems(commit, old, place, here)
                if problems:
                    records.append(self._refuse(place, commit, problems))
                    continue
                forgets = old is not None and not objects.contains(commit, old)
                try:
                    self._refs.move(branch, commit, old, keep_at=int(time.time()) if forgets else None)
                except Conflict as conflict:
                    self._log.warning("%s", conflict)
                    continue
                here[branch] = commit
                self._unsound.pop(branch, None)
                records += self._deploy(branch)
        return records

    def _refuse(self, place: Place, commit: ObjectId, problems: tuple[str, ...]) -> Record:
        self._unsound[place.branch] = commit
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        detail = f"refused, nothing was changed: {'; '.join(clean(one) for one in problems[:SHOWN])}{more}"
        self._log.warning("%s at %s: %s", place.branch, commit, detail)
        self._report(commit, "failure", f"{place.environment}: {detail}")
        return self._deployer.refuse(place.environment, commit, WHO, "mirror", detail)

    def _behind(self, here: Mapping[BranchName, ObjectId]) -> list[BranchName]:
        """Return branches that were fetched but did not go live: somebody was killed, a disk was full.

        Some tries later the reason is taken to be in the commit.
        """
        found = []
        for branch, commit in here.items():
            with suppress(InvalidName):
                place = self._rules.place(branch)
                if place is not None and not self._shows(place, commit) and self._tries[branch, commit] < _TRIES:
                    self._tries[branch, commit] += 1
                    found.append(branch)
        return found

    def _shows(self, place: Place, commit: ObjectId) -> bool:
        try:
            live = self._deployer.versions.live(place.environment)
        except ForeignEnvironment:
            return True  # the deploy has said so once
        return live == commit and not self._deployer.records.owes_flush(place.environment)

    def _fetch(self, branches: list[BranchName]) -> list[BranchName]:
        """Fetch all at once, or each by itself if that fails; return those that came."""
        if not branches:
            return []
        try:
            self._upstream.fetch(branches)
        except ToolkitError as error:
            if len(branches) > 1:
                return [b for branch in branches for b in self._fetch([branch])]
            self._log.warning("%s: %s", branches[0], error)
            return []
        return branches

    def _may_go(self, branch: BranchName) -> bool:
        place = self._rules.place(branch)
        assert place is not None
        try:
            users = self._usage.nodes_for_certain(place.environment)
        except UsageUnknown as error:
            self._log.warning("%s: gone at the forge, but kept: %s", branch, error)
            return False
        if users:
            self._log.warning("%s: gone at the forge, but kept: %s use it", branch, ", ".join(users[:5]))
        return not users

    def _deploy(self, branch: BranchName) -> list[Record]:
        place = self._rules.place(branch)
        if place is None:
            return []
        record = self._deployer.deploy(place.environment, Tip(branch), WHO, "mirror")
        said = " ".join([record.detail, *record.note.splitlines(), record.remedy]).strip()
        self._log.info("%s: %s at %s %s", place.environment, record.outcome, record.new or "-", said)
        if record.new is not None:
            self._report(record.new, _state(record), f"{place.environment}: {record.outcome} {said}".strip())
        return [record]

    def _report(self, commit: ObjectId, state: State, text: str) -> None:
        try:
            report(self._settings.branches.mirror, commit, state, text)
        except (ReportFailed, ConfigurationError) as error:
            self._log.warning("%s", error)


def _state(record: Record) -> State:
    return "success" if record.good else "pending" if record.outcome == "held" else "failure"
