"""One look at the forge: what differs is fetched, and what was fetched is deployed.

Owns the order of what a difference (differences.py) leads to. Each
branch stands for itself: one that fails stops no other. A branch that is gone
at the forge is kept here while nodes use its environment, or while that cannot
be told; and nothing is forgotten if the forge suddenly shows no branch at all.
A second branch of an environment that has one is not taken.

What was fetched passes the same checks as a push (examine.py) before its
branch moves here. If it does not, branch and environment stay as they are; the
record, the log and the commit's status say why.

What fails, a fetch, a check, a deploy or a removal, is tried again after pauses
that grow (tries.py), for as long as the forge has it: a disk has room again,
LDAP answers, a rival branch is gone. It is tried at once if somebody asks for
that branch, if the branch moves, and by a new process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from itertools import chain

from enc.programs import log
from enc.programs.machine_trouble import told
from enc.settings import Settings
from enc.terms.environments import Place, Rules, site_first
from enc.terms.errors import ToolkitError, bounded
from enc.terms.names import BranchName
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.effects.running import Effects
from git_hooks.mirror.differences import Differences, plan
from git_hooks.mirror.forges.forge import CommitState
from git_hooks.mirror.gauges import write
from git_hooks.mirror.report import Reports
from git_hooks.mirror.tries import FORGE, Tries
from git_hooks.mirror.upstream import Upstream
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.push.policy import must_compile, some
from git_hooks.push.verdict import clean, not_checked
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.store.mounted import StoreAway
from git_hooks.store.versions import ForeignEnvironment

_FETCHES_FAILED = 3
"""After so many branches in a row that cannot be fetched, the others wait: each may take the whole time limit."""
_WAITS = "not fetched, because several others before it could not be"


WHO = "mirror"
"""Who stands in the records of deploys; the forge knows the person."""


class CatchUp:
    """Brings one repository up to its forge. For one thread."""

    def __init__(self, settings: Settings, deployer: Deployer) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._mirror = settings.branches.mirror
        self._deployer = deployer
        self._rules = Rules(settings.branches.rules)
        self._upstream = Upstream(settings.branches)
        self._usage = Usage(settings)
        self._effects = Effects()
        self._log = log.get("mirror")
        self._refs = RefStore(str(settings.branches.repository))
        self._reports = Reports(self._mirror)
        self.tries = Tries(settings.branches.store, self._mirror.retry)

    def look(self, wanted: Iterable[BranchName] | None = None, urgent: Iterable[BranchName] = ()) -> list[Record]:
        """Look at the forge and do what differs, only about `wanted` if given; return the deploys.

        Branches that are `wanted` or `urgent` are tried whatever their pause, and deployed also if they do not
        differ. Raise `UpstreamFailed` if the forge cannot be asked.
        """
        chosen = None if wanted is None else frozenset(wanted)
        try:
            return self._look(chosen, frozenset(urgent) | (chosen or frozenset()))
        except (ToolkitError, OSError) as error:
            self.tries.failed(FORGE, "", told(error), most=self._mirror.poll)
            raise
        finally:
            self._save()

    def _look(self, chosen: frozenset[BranchName] | None, asked: frozenset[BranchName]) -> list[Record]:
        there = self._upstream.branches()
        here = self._deployer.repository.branches()
        self._answered(here, there)
        todo = plan(here, there, self._rules)
        if chosen is None:
            self._tell_what_others_did(here, there)
            self._forget(here, there, todo)
            self._reports.make_up()
        for branch, why in todo.refused:
            self._not_taken(branch, there[branch], why)

        def now(branch: BranchName) -> bool:
            of_interest = chosen is None or branch in chosen
            return of_interest and (branch in asked or self.tries.due(branch, there.get(branch, "")))

        moved = [branch for branch in todo.fetch if now(branch)]
        # Fetched and not live: somebody was killed, a disk was full.
        same = [branch for branch in here if here[branch] == there.get(branch) and now(branch)]
        behind = [branch for branch in same if branch in asked or self._is_wanted(branch, here[branch])]
        # Begun by this process or the one before it, which was killed or could not finish.
        going = [branch for branch in self._going(here, there) if now(branch) and self._may_go(branch, going=True)]
        gone = [branch for branch in todo.gone if (chosen is None or branch in chosen) and self._may_go(branch)]
        # First: `a` must be gone before git can have `a/b`.
        gone = [branch for branch in gone if self._archive(branch, here)]
        came, records = self._fetch(moved, there)
        records += self._take(came, here, there)
        return [*records, *(record for branch in (*behind, *gone, *going) for record in self._deploy(branch))]

    def _answered(self, here: Mapping[BranchName, ObjectId], there: Mapping[BranchName, ObjectId]) -> None:
        self.tries.answered = time.time()
        if there or all(self._rules.place_or_none(branch) is None for branch in here):
            self.tries.succeeded(FORGE)
            return
        text = "it lists no branches at all, which counts as a fault: nothing changes here"
        if self.tries.failed(FORGE, "", text, most=self._mirror.poll)[1]:
            self._log.warning("the forge: %s", text)

    def _tell_what_others_did(self, here: Mapping[BranchName, ObjectId], there: Mapping[BranchName, ObjectId]) -> None:
        """Report what failed or was held, and was made live since: by an operator's command, by the upkeep."""
        for branch in {*(one.subject for one in self.tries.all()), *self._reports.open()} & here.keys():
            name = BranchName(branch)
            place, commit = self._rules.place_or_none(name), here[name]
            if place is not None and there.get(name) == commit and self._shows(place, commit):
                self._reports.tell(name, commit, "success", f"{place.environment}: live")

    def _forget(
        self, here: Mapping[BranchName, ObjectId], there: Mapping[BranchName, ObjectId], todo: Differences
    ) -> None:
        """Forget what failed and is not wanted any more: another process made it live, the forge has it no more."""
        refused = {branch for branch, _ in todo.refused}
        differing = {*refused, *todo.fetch, *todo.gone, *self._going(here, there)}
        same = {branch for branch in here if here[branch] == there.get(branch)}
        self.tries.keep_only(differing | {branch for branch in same if self._is_wanted(branch, here[branch])})

    def _going(self, here: Mapping[BranchName, ObjectId], there: Mapping[BranchName, ObjectId]) -> list[BranchName]:
        """Return branches that are gone here and there, whose environment has still to go."""
        branches = [BranchName(one.subject) for one in self.tries.all() if one.going]
        return [branch for branch in branches if branch not in here and branch not in there]

    def _not_taken(self, branch: BranchName, commit: ObjectId, why: str) -> None:
        text = f"not taken: {why}"
        if self.tries.failed(branch, commit, text, most=self._mirror.poll)[1]:
            self._log.warning("%s: %s", branch, text)
            self._reports.tell(branch, commit, "failure", f"{branch}: {text}")

    def _take(
        self, fetched: list[BranchName], here: dict[BranchName, ObjectId], there: Mapping[BranchName, ObjectId]
    ) -> list[Record]:
        """Check what was fetched; let each branch whose tree is sound move and go live."""
        records: list[Record] = []
        if not fetched:
            return records
        with Incoming(str(self._settings.branches.repository), os.environ) as objects:
            # Those that others are compared with, and share files with, come first.
            places = [place for branch in fetched if (place := self._rules.place(branch)) is not None]
            for place in chain(*site_first(places, self._rules)):
                try:
                    records += self._take_one(objects, place, there[place.branch], here)
                except (ToolkitError, OSError) as error:
                    records.append(self._stopped(place, there[place.branch], "not taken: ", told(error)))
        return records

    def _take_one(
        self, objects: Incoming, place: Place, commit: ObjectId, here: dict[BranchName, ObjectId]
    ) -> list[Record]:
        branch, old = place.branch, here.get(place.branch)
        if not objects.has(commit):
            self._failed(branch, commit, "it moved again while it was fetched")
            return []
        examination = Examination(objects, self._settings, usage=self._usage)
        problems = examination.problems(commit, old, place, here)
        if problems:
            reason = "; ".join(clean(one) for one in problems)
            return [self._stopped(place, commit, "refused, nothing was changed: ", reason)]
        if must_compile(self._settings, branch):
            from git_hooks.push.compiles import compiled  # few branches ask for it

            found = compiled(self._settings, self._usage, objects, place, commit)
            if found.problems:
                reason = "; ".join(clean(one) for one in found.problems)
                return [self._stopped(place, commit, "refused, nothing was changed: ", reason)]
            for note in found.notes:
                self._log.warning("%s at %s: %s", branch, commit[:10], clean(note))
        for why, files in examination.unchecked.items():
            self._log.warning("%s at %s: %s", branch, commit[:10], clean(not_checked(why, files)))
        for line in examination.advice:
            self._log.info("%s at %s: %s", branch, commit[:10], clean(line))
        forgets = old is not None and not objects.contains(commit, old)
        self._refs.move(branch, commit, old, keep_at=int(time.time()) if forgets else None)
        here[branch] = commit
        return self._deploy(branch)

    def _stopped(self, place: Place, commit: ObjectId, what: str, reason: str) -> Record:
        """Note, record and report that a branch stays as it is; the last two once for each commit and reason."""
        if self._failed(place.branch, commit, what + reason):
            # A status has room for little: what is wrong comes first.
            self._reports.tell(place.branch, commit, "failure", f"{place.environment}: {reason}")
            try:
                return self._deployer.refuse(place.environment, commit, WHO, "mirror", what + reason)
            except (OSError, StoreAway) as error:
                self._log.warning("%s: this cannot be recorded: %s", place.branch, error)
        return Record(place.environment, "failed", None, commit, WHO, "mirror", time.time(), {}, what + reason)

    def _failed(self, branch: BranchName, commit: str, reason: str, *, going: bool = False) -> bool:
        """Note and log that something will be tried again; tell whether the reason is a new one."""
        made, new = self.tries.failed(branch, commit, reason, going=going)
        at = f" at {commit[:10]}" if commit else ""
        text = reason if new else f"{bounded(reason, 1000)} (as before; try {made.failures})"
        self._log.warning("%s%s: %s; tried again in %.0f s", branch, at, text, made.next - made.last)
        return new

    def _is_wanted(self, branch: BranchName, commit: ObjectId) -> bool:
        """Tell whether a branch is here, and its environment does not show it and may."""
        place = self._rules.place_or_none(branch)
        if place is None or self._deployer.records.held(place.environment) is not None:
            return False  # who releases an environment deploys it
        return not self._shows(place, commit)

    def _shows(self, place: Place, commit: ObjectId) -> bool:
        try:
            live = self._deployer.versions.live(place.environment)
        except ForeignEnvironment:
            return False  # somebody may move away what is there
        if not self._deployer.shows(place.environment):
            return live is None
        whole = live == commit and not self._deployer.inspection.missing(place.environment)
        return whole and not self._deployer.records.owes_flush(place.environment)

    def _fetch(
        self, branches: list[BranchName], there: Mapping[BranchName, ObjectId]
    ) -> tuple[list[BranchName], list[Record]]:
        """Fetch all at once, or each by itself if that fails; return those that came, and what became of others."""
        if not branches:
            return [], []
        try:
            self._upstream.fetch(branches)
        except ToolkitError as error:
            if len(branches) == 1:
                place = self._rules.place(branches[0])
                assert place is not None  # what becomes no environment is not fetched
                return [], [self._stopped(place, there[branches[0]], "not fetched: ", error.message)]
        else:
            return branches, []
        came: list[BranchName] = []
        records: list[Record] = []
        in_a_row = 0
        for branch in sorted(branches, key=self._fetches_failed):
            if in_a_row >= _FETCHES_FAILED:
                self._failed(branch, there[branch], _WAITS)
                continue
            got, told = self._fetch([branch], there)
            in_a_row = 0 if got else in_a_row + 1
            came += got
            records += told
        return came, records

    def _fetches_failed(self, branch: BranchName) -> int:
        """Return how often a branch failed itself: who only had to wait for such ones comes first."""
        known = self.tries.get(branch)
        return 0 if known is None or known.reason == _WAITS else known.failures

    def _may_go(self, branch: BranchName, *, going: bool = False) -> bool:
        place = self._rules.place_or_none(branch)
        if place is None:
            self.tries.succeeded(branch)
            return False
        try:
            users = self._usage.nodes_for_certain(place.environment)
            why = f"{some(users)} use it" if users else ""
        except UsageUnknown as error:
            why = str(error)
        text = f"deleted at the forge, but kept: {why}"
        if why and self.tries.failed(branch, "", text, most=self._mirror.poll, going=going)[1]:
            self._log.warning("%s: %s", branch, text)
        return not why

    def _archive(self, branch: BranchName, here: dict[BranchName, ObjectId]) -> bool:
        """Let a branch go; tell whether it went. Noted before: killed in between, its environment is not forgotten."""
        self.tries.failed(branch, "", "deleted at the forge, but its environment has yet to be removed", going=True)
        self._save()
        try:
            self._refs.archive(branch, here[branch], int(time.time()))
        except (ToolkitError, OSError) as error:
            self._failed(branch, "", told(error))
            return False
        del here[branch]
        return True

    def _deploy(self, branch: BranchName) -> list[Record]:
        place = self._rules.place_or_none(branch)
        if place is None:
            return []
        try:
            record = self._deployer.deploy(place.environment, Tip(branch), WHO, "mirror")
        except (OSError, StoreAway) as error:  # the store cannot be written or locked at all
            self._failed(branch, self._deployer.repository.tip(branch) or "", told(error))
            return []
        self._effects.begin(self._settings, self._usage, self._deployer, place, record)
        said = " ".join(filter(None, (record.detail, *record.note.splitlines(), record.remedy)))
        self._log.info("%s: %s at %s %s", place.environment, record.outcome, record.new or "-", said)
        tip = record.new or self._deployer.repository.tip(branch)
        if record.good or record.outcome == "held":
            self.tries.succeeded(branch)
        else:
            self._failed(branch, tip or "", record.detail, going=tip is None)
        if tip is not None:
            outcome = "live" if record.outcome == "unchanged" else record.outcome
            self._reports.tell(branch, tip, _state(record), f"{place.environment}: {outcome} {said}".strip())
        return [record]

    def _save(self) -> None:
        try:
            self.tries.save()
        except OSError as error:
            self._log.warning("the list of retries cannot be saved and is known only to this process: %s", error)
        try:
            if self._mirror.metrics_file is not None:
                write(self._mirror.metrics_file, self.tries.answered, self.tries.all())
        except OSError as error:
            self._log.warning("branches.mirror.metrics_file cannot be written: %s", error)


def _state(record: Record) -> CommitState:
    return "success" if record.good else "pending" if record.outcome == "held" else "failure"
