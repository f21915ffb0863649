"""Makes an environment show a commit: look, decide, build, switch, flush, record.

Owns the order of these steps and who waits for whom. Only one deploy of an
environment runs at a time. It does not deploy what its push brought, but what
the branch shows once the deploy has the environment's lock: of many pushes
that wait, one brings the last state live, and the others find it done and can
say so. No queue is kept anywhere, so none can be lost.

A deploy that was killed is finished by the next one of its environment, or by
`reconcile`: what is live, what the branch shows and which flush is owed are all
read anew. Not here: who may push what (policy), words for people.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from enc.environments import Rules
from enc.errors import NotFound, ToolkitError
from enc.names import BranchName, EnvironmentName
from git_hooks import puppetfile
from git_hooks.deploy.decision import ROLLBACK, Decision, Plan, Situation, before, decide
from git_hooks.deploy.news import news
from git_hooks.deploy.puppetserver import FlushFailed, Puppetservers
from git_hooks.deploy.records import Hold, Outcome, Record, Records
from git_hooks.deploy.remedies import remedy
from git_hooks.puppetfile import JOINED
from git_hooks.repository.objects import RememberedTrees, Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.locks import locked
from git_hooks.store.mounted import StoreAway
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from git_hooks.store.store import Order, Step, Store, nothing
from git_hooks.store.survey import Remark
from git_hooks.store.surveys import Surveys
from git_hooks.store.versions import ForeignEnvironment, Versions

if TYPE_CHECKING:
    from enc.settings import BranchSettings
    from git_hooks.store.resource_types import ResourceTypes

_AT_ONCE = 50
"""So many versions are built with one sync."""

FLUSH_PAUSES = (0.2, 1.0)
"""Seconds to wait before a failed flush is tried again, each once; a push waits for it."""


class Tip(NamedTuple):
    """What a branch shows at the time of the deploy.

    A branch that is gone takes its environment with it, unless another branch becomes that environment.
    """

    branch: BranchName


class Exact(NamedTuple):
    """One commit, whatever the branches show."""

    commit: ObjectId


class Deployer:
    """Deploys to one store; keeps git and the TLS connections between deploys. Not for several threads at once."""

    def __init__(
        self,
        settings: BranchSettings,
        *,
        at: Step = nothing,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        trees: RememberedTrees | None = None,
    ) -> None:
        """Prepare the store's directories. Sets the process's umask: puppetserver must read what is made.

        `trees` are what the deployers of one repository in one process remember together.
        """
        os.umask(0o022)
        self.layout = Layout(str(settings.store), str(settings.environments))
        self.records = Records(self.layout.root)
        self.repository = Repository(str(settings.repository), trees=trees)
        self.versions = Versions(self.layout, at)
        self._store = Store(self.layout, str(settings.repository), settings.split, at, split_large=settings.split_large)
        with suppress(StoreAway):  # who only looks can do so, and a deploy says it
            self._store.ready()
        self.settings = settings
        self._servers = Puppetservers(settings.puppetserver)
        self.rules = Rules(settings.rules)
        self._at = at
        self._clock = clock
        self._sleep = sleep

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
        self._servers.close()

    def ready(self) -> None:
        """Make what directories of the store there are not; raise `StoreAway` if its file system is not mounted."""
        self._store.ready()

    def missing(self, environment: EnvironmentName, look: Presence | None = None) -> str:
        """Return what is missing of the version that `environment` shows; empty if it is whole, or shows none.

        Raise `ForeignEnvironment`; OSError if it cannot be looked at. With `look`, what that saw is not looked at anew.
        """
        live = self.versions.live(environment)
        if live is None:
            return ""
        found = (look or self.look()).version(environment, live)
        return found or self._missing_types(environment, live)

    def look(self) -> Presence:
        """Begin a look at what is there."""
        return Presence(self.layout, Sound(self.repository))

    def plan(self, environment: EnvironmentName, target: Tip | Exact) -> Plan:
        """Return what `deploy` would do at this moment."""
        situation = self._situation(environment, target)
        return Plan(environment, decide(situation), situation.live, situation.wanted)

    def deploy(self, environment: EnvironmentName, target: Tip | Exact, who: str, why: str = "push") -> Record:
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
            self._build(environment, commit, _Watch())
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

    def build_ahead(self, targets: Iterable[tuple[EnvironmentName, Tip | Exact]]) -> None:
        """Build what `deploy` of each target will need, many with one sync; switch nothing.

        Makes hundreds of environments a few times faster. What cannot be built
        is left out: its deploy will say why. The site's own environments
        (`site_first`) should be live before.
        """
        waiting: list[Order] = []
        try:
            self._store.ready()
        except StoreAway:
            return  # each deploy says it
        for environment, target in targets:
            with suppress(ToolkitError):
                wanted = self._wanted(environment, target)
                # What is live already and not whole is the deploy's, which flushes after it.
                if wanted is not None and wanted != self.versions.live(environment):
                    waiting.append(Order(environment, wanted, self._base(environment)))
            if len(waiting) >= _AT_ONCE:
                self._build_some(waiting)
                waiting = []
        self._build_some(waiting)

    def make_up_flush(self, environment: EnvironmentName) -> bool:
        """Flush if a flush is owed, and change nothing else; tell whether it was. Raise `FlushFailed`.

        It is tried once: whoever calls this comes again.
        """
        with self._locked(environment):
            owed = self.records.owes_flush(environment)
            if owed:
                self._servers.flush(environment)
                self.records.flushed(environment)
            return owed

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

    def hold(self, environment: EnvironmentName, who: str, reason: str) -> None:
        """Keep `environment` as it is until `release`; pushes go on and are told."""
        with self._locked(environment):
            self.records.hold(environment, Hold(who, reason, self._clock()))

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

    def _build_some(self, orders: list[Order]) -> None:
        # Without the environments' locks: a version gets its name only once, and nobody reads it before its switch.
        with locked(self.layout.store_lock, shared=True):
            try:
                self._store.build_all(self.repository, orders)
            except ToolkitError:
                for order in orders:
                    with suppress(ToolkitError, OSError):
                        self._store.build_all(self.repository, [order])
            except OSError:  # a full disk: each deploy finds that too, and has a record for it
                pass

    def _before(self, environment: EnvironmentName) -> ObjectId:
        found = before(self.versions.live(environment), self.records.of(environment, limit=None))
        if found is None:
            raise NotFound("no earlier version is recorded; name the commit", where=environment)
        return found

    def _situation(self, environment: EnvironmentName, target: Tip | Exact) -> Situation:
        live = self.versions.live(environment)
        wanted = self._wanted(environment, target)
        held = self.records.held(environment) is not None
        # What is replaced in a moment need not be looked at.
        missing = self.missing(environment) if live == wanted or held else ""
        return Situation(live, wanted, held, self.records.owes_flush(environment), missing)

    def _wanted(self, environment: EnvironmentName, target: Tip | Exact) -> ObjectId | None:
        if isinstance(target, Exact):
            return self.repository.commit_of(target.commit)
        tip = self.repository.tip(target.branch)
        return tip if tip is not None else self._inherited(environment)

    def _inherited(self, environment: EnvironmentName) -> ObjectId | None:
        """Return what an environment shows whose branch is gone: another branch that has its name now, or nothing.

        One push may rename a branch so (`a-b`, `a.b`), and two pushes of one moment.
        """
        tips = []
        for branch, tip in self.repository.branches().items():
            place = self.rules.place_or_none(branch)
            if place is not None and place.environment == environment:
                tips.append(tip)
        if len(tips) > 1:
            return self.versions.live(environment)  # who of several has it cannot be told
        return tips[0] if tips else None

    def _carry_out(
        self, environment: EnvironmentName, target: Tip | Exact, who: str, why: str, *, despite_hold: bool = False
    ) -> Record:
        """Do what is to be done. The caller holds the environment's lock."""
        watch = _Watch()
        situation = Situation(None, None, held=False, owes_flush=False)
        record = Record(environment, "failed", None, None, who, why, self._clock(), watch.milliseconds)
        try:
            with watch.step("look"):
                situation = self._situation(environment, target)
                if despite_hold:
                    situation = situation._replace(held=False)
                decision = decide(situation)
            record = record._replace(old=situation.live, new=situation.wanted)
            if decision in ("nothing", "stay"):
                return record._replace(outcome="unchanged" if decision == "nothing" else "held")
            self._at("begin record")
            self.records.add(record._replace(outcome="begun"))
            if decision == "mend":
                self._owe_others(environment)
            goal = situation.live if decision == "mend" else situation.wanted
            if decision in ("switch", "mend") and goal is not None:
                note = self._build(environment, goal, watch)
                record = record._replace(note="\n".join([*self._said(environment, situation, goal), note]).strip())
            outcome = self._do(decision, environment, goal, watch)
            if decision in ("flush", "mend") and situation.live != situation.wanted:
                outcome = "held"
            record = record._replace(outcome=outcome)
        except FlushFailed as failure:
            record = record._replace(outcome="not flushed", detail=str(failure))
        except (ToolkitError, OSError) as failure:
            # A full disk, a tree that is not sound, a broken repository: the environment stays as it was.
            detail = " ".join(str(failure).split())
            record = record._replace(outcome="failed", detail=detail, remedy=remedy(failure, environment))
        self._at("end record")
        try:
            self.records.add(record)
        except OSError as failure:
            # Whoever waits for this deploy must still be told how it ended.
            record = record._replace(note=f"{record.note} (not recorded: {failure.strerror})".strip())
        return record

    def _owe_others(self, environment: EnvironmentName) -> None:
        """Note that a flush must follow for all others that miss something: they may share what is now made again."""
        look = self.look()
        for other in self.versions.environments():
            if other != environment and self.missing(other, look):
                self.records.owe_flush(other)

    def _do(self, decision: Decision, environment: EnvironmentName, commit: ObjectId | None, watch: _Watch) -> Outcome:
        outcome: Outcome = "live"
        if decision in ("switch", "mend", "remove"):
            with watch.step("switch"):
                self._at("owe flush")
                self.records.owe_flush(environment)
                if commit is not None:
                    self._store.settle()
                    self.versions.switch(environment, commit)
                else:
                    self.versions.remove(environment)
                    outcome = "removed"
        with watch.step("flush"):
            self._at("flush")
            self._flush(environment)
        return outcome

    def _build(self, environment: EnvironmentName, commit: ObjectId, watch: _Watch) -> str:
        """Make the version, complete; return what people should know about it."""
        with locked(self.layout.store_lock, shared=True):
            with watch.step("build"):
                self._store.build(self.repository, environment, commit, self._base(environment))
            note = ""
            if os.path.lexists(f"{self.layout.version(environment, commit)}/{puppetfile.NAME}"):
                with watch.step("modules"):
                    note = self._add_modules(environment, commit)
            with watch.step("build"):
                self._describe_types(environment, commit)
        return note

    def _said(self, environment: EnvironmentName, situation: Situation, goal: ObjectId) -> Iterator[str]:
        if situation.missing:
            yield f"{situation.missing}: laid out again"
        if goal != situation.live:
            old = self.layout.version(environment, situation.live) if situation.live is not None else None
            follows = self.settings.puppetfile.program is not None
            new = self.layout.version(environment, goal)
            yield from news(Surveys(self.layout), self.repository, old, new, follows=follows)

    def remarks(self, environment: EnvironmentName, commit: ObjectId) -> tuple[Remark, ...]:
        """Return what a version has otherwise than a checkout of `commit`; nothing if that is not known."""
        return Surveys(self.layout).remarks(self.layout.version(environment, commit))

    def _add_modules(self, environment: EnvironmentName, commit: ObjectId) -> str:
        settings = self.settings.puppetfile
        if settings.program is None:
            return ""
        from git_hooks.deploy.module_sets import Sets  # most trees have no Puppetfile

        sets = Sets(self.layout, settings, self.repository, self._at, self._clock)
        return sets.show(environment, commit)

    def _describe_types(self, environment: EnvironmentName, commit: ObjectId) -> None:
        types = self._types()
        if types is not None:
            self._at("types")
            types.prepare(environment, self.layout.version(environment, commit))

    def _missing_types(self, environment: EnvironmentName, commit: ObjectId) -> str:
        types = self._types()
        return types.missing(self.layout.version(environment, commit)) if types is not None else ""

    def _types(self) -> ResourceTypes | None:
        if self.settings.types_program is None:
            return None
        from git_hooks.store.resource_types import ResourceTypes  # most sites pay nothing for it

        directories = (*self.settings.split, JOINED)  # there, in whatever directory they are shown
        return ResourceTypes(self.layout, directories, self.settings.types_program)

    def _flush(self, environment: EnvironmentName) -> None:
        for pause in (*FLUSH_PAUSES, None):
            try:
                self._servers.flush(environment)
                break
            except FlushFailed:
                if pause is None:
                    raise
                self._sleep(pause)
        self._at("flushed")
        self.records.flushed(environment)

    def _base(self, environment: EnvironmentName) -> str | None:
        """Return the version that the new one most likely shares most with."""
        for candidate in (environment, *(place.environment for place in self.rules.site)):
            with suppress(ForeignEnvironment):  # somebody's own test or production is no reason to fail here
                live = self.versions.live(candidate)
                if live is not None and os.path.isdir(version := self.layout.version(candidate, live)):
                    return version  # one that is lost shares nothing
        return None


class _Watch:
    """Measures steps."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            passed = (time.perf_counter() - began) * 1000
            self.milliseconds[name] = round(self.milliseconds.get(name, 0.0) + passed, 1)
