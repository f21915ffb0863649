"""Makes an environment show a commit: look, decide, build, switch, flush, record.

Owns the order of these steps and who waits for whom. Only one deploy of an
environment runs at a time. It does not deploy what its push brought, but what
the branch shows once the deploy has the environment's lock: of many pushes
that wait, one brings the last state live, and the others find it done and can
say so. No queue is kept anywhere, so none can be lost.

A deploy that was killed is finished by the next one of its environment, or by
`reconcile`: what is live, what the branch shows and which flush is owed are all
read anew.

Failure modes: whatever goes wrong with a deploy is in its record, and the
environment stays as it was; `StoreAway` where there is no store to lock in.

Not here: each step itself (targets.py, inspection.py, decision.py, building.py,
switching.py, records.py), who may push what (git_hooks/push), words for people.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from enc.programs.elapsed import Count, Elapsed, look
from enc.programs.machine_trouble import placed
from enc.rights.domains import shows
from enc.settings import DomainSettings
from enc.terms.environments import Rules
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks.deploy.building import Building
from git_hooks.deploy.decision import ROLLBACK, Decision, PlannedDeploy, Situation, before, decide, outcome
from git_hooks.deploy.inspection import Inspection, resource_types
from git_hooks.deploy.puppetserver import FlushFailed, Puppetservers
from git_hooks.deploy.records import Hold, Record, Records
from git_hooks.deploy.remedies import remedy
from git_hooks.deploy.stopwatch import Stopwatch
from git_hooks.deploy.switching import Switching
from git_hooks.deploy.targets import Exact, Target, Targets
from git_hooks.repository.objects import RememberedTrees, Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.locks import locked
from git_hooks.store.mounted import StoreAway
from git_hooks.store.steps import DiskStep, nothing
from git_hooks.store.store import Store
from git_hooks.store.versions import ForeignEnvironment, Versions

if TYPE_CHECKING:
    from enc.settings import BranchSettings

ALL = DomainSettings()
"""Every environment."""


class Deployer:
    """Deploys to one store; keeps git and the TLS connections between deploys. Not for several threads at once."""

    def __init__(
        self,
        settings: BranchSettings,
        *,
        domains: DomainSettings = ALL,
        at: DiskStep = nothing,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        trees: RememberedTrees | None = None,
        repository: Repository | None = None,
    ) -> None:
        """Prepare the store's directories.

        puppetserver must read what is made, which the process's umask decides: each program sees to its own.
        `domains` says which environments this machine shows (enc/rights/domains.py); of others, what is live goes.
        `trees` are what the deployers of one repository in one process remember together; `repository` is read instead
        of a new reader of the configured one (pre-receive has one that sees the objects of the push).
        """
        self.settings = settings
        self.rules = Rules(settings.rules)
        self.domains = domains
        self.layout = Layout(str(settings.store), str(settings.environments))
        self.records = Records(self.layout.root)
        self.repository = repository or Repository(str(settings.repository), trees=trees)
        self.versions = Versions(self.layout, at)
        self._store = Store(self.layout, str(settings.repository), at, split_large=settings.split_large)
        types = resource_types(self.layout, settings)
        self.inspection = Inspection(self.layout, self.repository, self.versions, types)
        self._targets = Targets(self.repository, self.versions, self.rules, domains)
        self._building = Building(settings, self._store, self.repository, self.versions, types, at, clock)
        servers = Puppetservers(settings.puppetserver)
        self._switching = Switching(self._store, self.versions, self.records, servers, at, sleep)
        self._at = at
        self._clock = clock
        self._elapsed = Elapsed(self.layout.elapsed, lambda: look(clock))
        with suppress(StoreAway):  # who only looks can do so, and a deploy says it
            self._store.ready()

    def __enter__(self) -> Deployer:
        """Start git early."""
        self.repository.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End git, close connections."""
        self.close()

    def close(self) -> None:
        """End git, close connections; the next deploy starts them anew."""
        self.repository.close()
        self._switching.close()

    def ready(self) -> None:
        """Make what directories of the store there are not; raise `StoreAway` if its file system is not mounted."""
        self._store.ready()

    def counted(self, *, remember: bool = True) -> Count:
        """Return how long things have been as they are, by which alone what is old goes; raise `ToolkitError`."""
        return self._elapsed.count(remember=remember)

    def shows(self, environment: EnvironmentName) -> bool:
        """Tell whether environments of this name are this machine's to show."""
        return shows(environment, self.rules, self.domains)

    def plan(self, environment: EnvironmentName, target: Target) -> PlannedDeploy:
        """Return what `deploy` would do at this moment."""
        situation = self._situation(environment, target)
        return PlannedDeploy(environment, decide(situation), situation.live, situation.wanted)

    def deploy(self, environment: EnvironmentName, target: Target, who: str, why: str = "push") -> Record:
        """Make `environment` show `target`; return what happened, failures too.

        Waits for other deploys of the environment.
        """
        with self._locked(environment):
            return self._carry_out(environment, target, who, why)

    def prepare(self, environment: EnvironmentName, commit: ObjectId) -> str:
        """Make the version of `environment` at `commit`, complete, and switch nothing; return its directory.

        Raise `ToolkitError` or OSError if that cannot be done. A version that never goes live is collected one day.
        """
        with self._locked(environment):
            self._building.complete(environment, commit, Stopwatch())
        return self.layout.version(environment, commit)

    def refuse(self, environment: EnvironmentName, commit: ObjectId, who: str, why: str, detail: str) -> Record:
        """Record that `commit` does not go live, and what is wrong with it; the environment stays as it is."""
        with self._locked(environment):
            live = None
            with suppress(ForeignEnvironment):
                live = self.versions.live(environment)
            record = Record(environment, "failed", live, commit, who, why, self._clock(), {}, detail)
            self.records.add(record)
            return record

    def build_ahead(self, targets: Iterable[tuple[EnvironmentName, Target]]) -> None:
        """Build what `deploy` of each target will need, many with one sync; switch nothing.

        Makes hundreds of environments a few times faster. What cannot be built
        is left out: its deploy will say why. The site's own environments
        (`site_first`) should be live before.
        """
        try:
            self._store.ready()
        except StoreAway:
            return  # each deploy says it
        self._building.ahead(self._not_live(targets))

    def make_up_flush(self, environment: EnvironmentName) -> bool:
        """Flush if a flush is owed, and change nothing else; tell whether it was. Raise `FlushFailed`.

        It is tried once: whoever calls this comes again.
        """
        with self._locked(environment):
            return self._switching.make_up(environment)

    def plan_rollback(self, environment: EnvironmentName, commit: ObjectId | None) -> PlannedDeploy:
        """Return what `rollback` would do at this moment; raise `NotFound` if there is nothing to go back to."""
        plan = self.plan(environment, Exact(commit or self._before(environment)))
        return plan._replace(decision="switch") if plan.decision == "stay" else plan

    def rollback(self, environment: EnvironmentName, commit: ObjectId | None, who: str, reason: str) -> Record:
        """Show an earlier commit (None: what was live before), and hold the environment there.

        Without the hold the next push, or one that waits already, would undo
        it. So the hold comes first: killed in between, the environment is held
        where it was. Raise `NotFound` if there is nothing to go back to.
        """
        with self._locked(environment):
            chosen = commit or self._before(environment)
            held = self.records.held(environment)
            self._at("hold")
            self.records.hold(environment, Hold(who, reason, self._clock()))
            record = self._carry_out(environment, Exact(chosen), who, ROLLBACK + reason, despite_hold=True)
            if record.outcome == "failed":
                if held is None:
                    self.records.release(environment)
                else:
                    self.records.hold(environment, held)
            return record

    def hold(self, environment: EnvironmentName, who: str, reason: str) -> Hold:
        """Keep `environment` as it is until `release`; pushes go on and are told."""
        held = Hold(who, reason, self._clock())
        with self._locked(environment):
            self.records.hold(environment, held)
        return held

    def release(self, environment: EnvironmentName) -> bool:
        """End a hold, tell whether there was one. Deploy afterwards."""
        with self._locked(environment):
            return self.records.release(environment)

    @contextmanager
    def _locked(self, environment: EnvironmentName) -> Iterator[None]:
        """Have the environment for oneself, in a store that is there; raise `StoreAway`."""
        self._store.ready()
        with locked(self.layout.lock(environment)):
            yield

    def _not_live(
        self, targets: Iterable[tuple[EnvironmentName, Target]]
    ) -> Iterator[tuple[EnvironmentName, ObjectId]]:
        """Yield what of `targets` is to be shown and is not; what is live and not whole is the deploy's to mend."""
        for environment, target in targets:
            wanted = None
            with suppress(ToolkitError):
                wanted = self._targets.commit(environment, target)
                if wanted == self.versions.live(environment):
                    continue
            if wanted is not None:
                yield environment, wanted

    def earlier(self, environment: EnvironmentName) -> ObjectId | None:
        """Return what a rollback that names no commit goes back to."""
        return before(self.versions.live(environment), self.records.of(environment, limit=None))

    def _before(self, environment: EnvironmentName) -> ObjectId:
        found = self.earlier(environment)
        if found is None:
            raise NotFound("no earlier version is recorded; name the commit", where=environment)
        return found

    def _situation(self, environment: EnvironmentName, target: Target) -> Situation:
        live = self.versions.live(environment)
        wanted = self._targets.commit(environment, target)
        held = self.records.held(environment) is not None
        # What is replaced in a moment need not be looked at.
        missing = self.inspection.missing(environment) if live == wanted or held else ""
        return Situation(live, wanted, held, self.records.owes_flush(environment), missing)

    def _carry_out(
        self, environment: EnvironmentName, target: Target, who: str, why: str, *, despite_hold: bool = False
    ) -> Record:
        """Do what is to be done. The caller holds the environment's lock."""
        watch = Stopwatch()
        with suppress(ToolkitError):  # then nothing gets older, and whoever asks how old something is says why
            self.counted()  # a look at least as often as something is given a time
        record = Record(environment, "failed", None, None, who, why, self._clock(), watch.milliseconds)
        try:
            with watch.step("look"):
                situation = self._situation(environment, target)
                if despite_hold:
                    situation = situation._replace(held=False)
                decision = decide(situation)
            record = record._replace(old=situation.live, new=situation.wanted)
            if decision in ("nothing", "stay"):
                return record._replace(outcome=outcome(decision, situation))
            self._at("begin record")
            self.records.add(record._replace(outcome="begun"))
            if decision == "mend":
                self._owe_others(environment)
            goal = situation.live if decision == "mend" else situation.wanted
            if decision in ("switch", "mend") and goal is not None:
                record = record._replace(note=self._build(environment, situation, goal, watch))
            self._show(decision, environment, goal, watch)
            record = record._replace(outcome=outcome(decision, situation))
        except FlushFailed as failure:
            record = record._replace(outcome="not flushed", detail=str(failure))
        except (ToolkitError, OSError) as failure:
            # A full disk, a tree that is not sound, a broken repository: the environment stays as it was.
            detail = " ".join(placed(failure).split())
            record = record._replace(outcome="failed", detail=detail, remedy=remedy(failure, environment))
        return self._recorded(record)

    def _owe_others(self, environment: EnvironmentName) -> None:
        """Note that a flush must follow for all others that miss something: they may share what is now made again."""
        look = self.inspection.look()
        for other in self.versions.environments():
            if other != environment and self.inspection.missing(other, look):
                self.records.owe_flush(other)

    def _build(self, environment: EnvironmentName, situation: Situation, goal: ObjectId, watch: Stopwatch) -> str:
        """Make the version, complete; return what people should know about it."""
        note = self._building.complete(environment, goal, watch)
        said = [f"{situation.missing}: restored"] if situation.missing else []
        if goal != situation.live:
            said += self._building.news(environment, situation.live, goal)
        return "\n".join([*said, note]).strip()

    def _show(self, decision: Decision, environment: EnvironmentName, goal: ObjectId | None, watch: Stopwatch) -> None:
        """Let the environment show what is decided, and puppetserver know of it."""
        if decision != "flush":
            with watch.step("switch"):
                self._switching.switch(environment, goal)
        with watch.step("flush"):
            self._switching.flush(environment)

    def _recorded(self, record: Record) -> Record:
        self._at("end record")
        try:
            self.records.add(record)
        except OSError as failure:
            # Whoever waits for this deploy must still be told how it ended.
            record = record._replace(note=f"{record.note} (not recorded: {failure.strerror})".strip())
        return record
