"""Carries promotions on: from the queue to the rung's branch, to its environment, and through the time of watching.

| state | what is owed to the repository | how it goes on |
|---|---|---|
| `moving` | the branch moves from `old` to `new`, if it is at `old` | `moved`; `queued` if somebody else moved it |
| `moved` | the environment shows its branch | `watching`, or `done` |
| `watching` | nothing: the runs of canary nodes are looked at | `done`, `moving` (to the rung itself), `stopping` |
| `stopping` | the environment goes back to `old`, and is held | `stopped` |

Each state is on disk before what it owes is done, and what it owes may be done twice. So after a kill at any point the
next `go_on` of anybody (a command, the service's upkeep) does the rest. Who goes on has the rung's lock.

Not here: the decision whether one may go (looking.py, rules.py), what people say about one (desk.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, Protocol

from enc.programs import log
from enc.programs.machine_trouble import told as trouble
from enc.settings import Settings
from enc.terms.environments import Place
from enc.terms.errors import Conflict, ToolkitError, UsageError, bounded
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record, told
from git_hooks.deploy.targets import Tip
from git_hooks.promotion import result as results
from git_hooks.promotion.evidence import evidence
from git_hooks.promotion.kept import Promotion, Promotions
from git_hooks.promotion.looking import Looked
from git_hooks.promotion.provenance import Provenance, message
from git_hooks.promotion.rules import counting, reasons
from git_hooks.promotion.rungs import Rung, named
from git_hooks.promotion.runs import Runs
from git_hooks.promotion.states import OWED
from git_hooks.push import pushed
from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import Told
from git_hooks.repository.reading import RepositoryError
from git_hooks.repository.refs import ObjectId, RefUpdate
from git_hooks.repository.refstore import RefStore
from git_hooks.store.steps import DiskStep, nothing

_SUBJECT = 100
"""Characters of a commit's first line in the list of what comes."""


OF_ITS_OWN = (RepositoryError, UsageError)
"""What is wrong with one promotion and not with its rung: a history that has nothing in common with the rung's branch,
a commit that git has collected. It leaves the queue; the others go on."""


class Remark(NamedTuple):
    """What happened to a promotion."""

    promotion: Promotion
    text: str
    wrong: bool = False


class CanaryRuns(Protocol):
    """How the runs of a rung's canary nodes went."""

    def __call__(self, rung: Rung, since: float, *, canary: bool = False) -> Runs:
        """Return it; `canary`: of those that use the canary branch."""


class Look(Protocol):
    """Looks at a promotion."""

    def __call__(self, promotion: Promotion, rung: Rung, *, fresh: bool = False) -> Looked:
        """Return what it is; `fresh`: at this very moment, what it does to nodes too."""


class Moving:
    """Carries on what is on its way to the rungs of one site. Not for several threads at once."""

    def __init__(
        self,
        settings: Settings,
        deployer: Deployer,
        look: Look,
        runs: CanaryRuns,
        *,
        clock: Callable[[], float] = time.time,
        at: DiskStep = nothing,
    ) -> None:
        """Do nothing yet. `look` looks at one, `runs` at how the canary nodes' runs went (Looking.runs).

        `at` is called before each step that changes something.
        """
        self._settings = settings
        self._deployer = deployer
        self._look = look
        self._runs = runs
        self._clock = clock
        self._at = at
        self._path = str(settings.branches.repository)
        self._refs = RefStore(self._path)
        self.kept = Promotions(self._path)

    def go_on(self, name: str) -> Iterator[Remark]:
        """Carry on all that can be on the rung `name`, first in, first out; yield what happened.

        For who has the rung's lock (`kept.rung`). Raise `ToolkitError` if a fact cannot be found: nothing is lost.
        """
        rung = named(name, self._settings)
        behind: Promotion | None = None
        queue = sorted(self.kept.queue(name), key=lambda one: one.state == "queued" and not one.passes)
        for waiting in queue:
            promotion = waiting
            if promotion.state != "queued":
                promotion = yield from self._under_way(promotion, rung)
            if promotion.state == "queued" and (behind is None or promotion.passes):
                promotion = yield from self._first(promotion, rung)
            elif promotion.state == "queued" and behind is not None:
                self._waits(promotion, (f"queue: it stands behind {behind.id}",))
            if behind is None and promotion.open and promotion.state != "proposed":
                behind = promotion

    def carry(self, promotion: Promotion, rung: Rung) -> Iterator[Remark]:
        """Let one go that has its own way (a revert), whatever stands in the queue. For who has the rung's lock."""
        for waiting in self.kept.queue(rung.name):
            if waiting.state in OWED:
                yield from self._under_way(waiting, rung)
        if promotion.state == "queued":
            yield from self._first(promotion, rung)

    def _first(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        """Look at one that nothing stands before, and let it go if its rules do."""
        try:
            looked = self._look(promotion, rung)
            if looked.outcome != "wait":  # what is remembered is good enough for waiting only
                looked = self._look(promotion, rung, fresh=True)
        except OF_ITS_OWN as error:
            unseen = f"it cannot be looked at: {error}"
            promotion = self.kept.keep(promotion.become("proposed", why=(unseen,), queued=None))
            yield Remark(promotion, f"{promotion.id} left the queue: {unseen}", wrong=True)
            return promotion
        promotion, why = looked.promotion, reasons(looked.verdicts)
        match looked.outcome:
            case "refuse":
                over = promotion.become("refused", why=why, ended=self._clock(), facts=looked.facts)
                promotion = self.kept.keep(over)
                yield Remark(promotion, f"{promotion.id} is refused: {'; '.join(why)}", wrong=True)
            case "propose":
                promotion = self.kept.keep(promotion.become("proposed", why=why, queued=None))
                yield Remark(promotion, f"{promotion.id} left the queue: {'; '.join(why)}", wrong=True)
            case "wait":
                promotion = self._waits(promotion, why)
            case "go":
                promotion = yield from self._go(looked, rung)
        return promotion

    def _waits(self, promotion: Promotion, why: tuple[str, ...]) -> Promotion:
        return promotion if promotion.why == why else self.kept.keep(replace(promotion, why=why))

    def _go(self, looked: Looked, rung: Rung) -> Generator[Remark, None, Promotion]:
        """Make the commits, write down what will be done, and do it."""
        promotion, made = looked.promotion, looked.made
        said = self._provenance(looked, rung)
        with GitApart(self._path) as git:
            who, now = promotion.by or promotion.who, self._clock()

            def words(picked: Told | None) -> str:
                subject = picked.message if picked is not None else _subject(promotion, rung, made.result.comes)
                return message(subject, said._replace(picked=picked.commit if picked is not None else ""))

            self._at("make")
            new = results.make(git, promotion.way, made.base, made.source, made.result, who, now, words)
        old, stage = made.base, "rung"
        if rung.canary is not None and promotion.way != "revert":
            stage, tip = "canary", self._deployer.repository.tip(rung.canary.branch)
            old = tip or ObjectId("0" * len(new))
        self._at("moving")
        promotion = self.kept.keep(
            promotion.become("moving", old=old, new=new, stage=stage, why=(), facts=looked.facts)
        )
        return (yield from self._under_way(promotion, rung))

    def _provenance(self, looked: Looked, rung: Rung) -> Provenance:
        promotion = looked.promotion
        reverts = tuple(str(one) for one in promotion.commits) if promotion.way == "revert" else ()
        return Provenance(
            id=promotion.id,
            source="" if reverts else f"{promotion.source}@{looked.made.source}",
            rung=rung.name,
            by=promotion.by or promotion.who,
            proposed_by=promotion.who,
            approved_by=tuple(one.who for one in counting(looked.facts, rung.says)) if not reverts else (),
            effect=looked.facts.effect,
            evidence=evidence(looked.facts, rung.says) if not reverts else (),
            reason=promotion.reason,
            reverts=reverts,
            emergency=promotion.emergency,
        )

    def _under_way(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        """Do what its state owes, and what follows at once."""
        if promotion.state == "moving":
            promotion = yield from self._move(promotion, rung)
        if promotion.state == "moved":
            promotion = yield from self._deploy(promotion, rung)
        if promotion.state == "watching":
            promotion = yield from self._watch(promotion, rung)
        if promotion.state == "stopping":
            promotion = yield from self._stop(promotion, rung)
        return promotion

    def _move(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        place, old, new = self._place(promotion, rung), promotion.old, promotion.new
        assert old is not None
        assert new is not None
        repository = self._deployer.repository
        tip = repository.tip(place.branch)
        there = tip is not None and repository.contains(tip, new)
        if not there:
            expected = None if old.absent else old
            self._at("move")
            try:
                self._check(place, tip, expected)
                forgets = expected is not None and not repository.contains(new, expected)
                self._refs.move(place.branch, new, expected, keep_at=int(self._clock()) if forgets else None)
            except Conflict as conflict:
                promotion = self.kept.keep(promotion.become("queued", why=(f"queue: {conflict}",), old=None, new=None))
                yield Remark(promotion, f"{promotion.id} is looked at again: {conflict}", wrong=True)
                return promotion
            self._note(place, old, new, promotion)
        self._at("moved")
        return self.kept.keep(promotion.become("moved", moved=self._clock()))

    def _check(self, place: Place, tip: ObjectId | None, expected: ObjectId | None) -> None:
        if tip != expected:
            raise Conflict("somebody moved it meanwhile", where=place.branch)

    def _note(self, place: Place, old: ObjectId, new: ObjectId, promotion: Promotion) -> None:
        try:
            update = RefUpdate(old, new, place.branch.ref)
            pushed.note(self._path, [update], promotion.by or promotion.who, self._clock())
        except OSError as error:
            log.get("promotion").error("who moved %s cannot be noted: %s", place.branch, error)

    def _deploy(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        place = self._place(promotion, rung)
        self._at("deploy")
        record = self._deployed(place, promotion)
        if not (record.good or record.outcome == "held"):
            promotion = self._waits(promotion, (f"deploy: {told(record)}",))
            yield Remark(promotion, f"{promotion.id} is on {place.branch}, but {told(record)}", wrong=True)
            return promotion
        watched = promotion.stage == "canary" or (rung.canary is None and rung.says.watch_time > 0)
        watched = watched and promotion.way != "revert"
        text = f"{promotion.id}: {place.branch} is at {promotion.new and promotion.new.abbreviated}; {told(record)}"
        self._at("deployed")
        if watched:
            promotion = self.kept.keep(promotion.become("watching", why=("watch: no runs of canary nodes yet",)))
        else:
            why = () if record.good else (f"deploy: {told(record)}",)
            promotion = self.kept.keep(promotion.become("done", why=why, ended=self._clock()))
        yield Remark(promotion, text)
        return promotion

    def _deployed(self, place: Place, promotion: Promotion) -> Record:
        who = promotion.by or promotion.who
        why = f"{'revert' if promotion.way == 'revert' else 'promotion'} {promotion.id}: {promotion.reason}"
        try:
            return self._deployer.deploy(place.environment, Tip(place.branch), who, why)
        except OSError as error:  # the store cannot be written or locked at all
            return Record(place.environment, "failed", None, None, who, why, self._clock(), {}, trouble(error))

    def _watch(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        canary, says = promotion.stage == "canary", rung.says
        since = promotion.moved or 0.0
        counted = self._runs(rung, since, canary=canary)
        good = f"{counted.good} of {says.watch_runs or 0} good runs of canary nodes"
        count = self._deployer.counted()
        late = count.now >= count.of(since) + says.watch_time
        if len(counted.failed) > (says.failures or 0):
            failed = f"the runs of {', '.join(counted.failed)} fail since then"
            promotion = self.kept.keep(promotion.become("stopping", why=(f"watch: {failed}",)))
        elif says.watch_runs is not None and counted.good < says.watch_runs and late and canary:
            why = f"watch: {good} within watch_time{'; ' + counted.unread if counted.unread else ''}"
            promotion = self.kept.keep(promotion.become("stopping", why=(why,)))
        elif late or (says.watch_runs is not None and counted.good >= says.watch_runs):
            if canary:
                return (yield from self._from_canaries(promotion, rung))
            seen = (f"watch: {good}",) if says.watch_runs else ()
            promotion = self.kept.keep(promotion.become("done", why=seen, ended=self._clock()))
            yield Remark(promotion, f"{promotion.id} is complete on {rung.name}")
        else:
            why = f"watch: {good}{'; ' + counted.unread if counted.unread else ''}"
            promotion = self._waits(promotion, (why,))
        return promotion

    def _from_canaries(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        """Let the rung's own branch follow its canary branch."""
        assert promotion.effect is not None
        self._at("follow")
        promotion = self.kept.keep(promotion.become("moving", stage="rung", old=promotion.effect.base, why=()))
        yield Remark(promotion, f"{promotion.id}: the canary nodes of {rung.name} have it; the others follow")
        return (yield from self._under_way(promotion, rung))

    def _stop(self, promotion: Promotion, rung: Rung) -> Generator[Remark, None, Promotion]:
        """Let the environment go back to what it was, and hold it there."""
        place, reason = self._place(promotion, rung), f"{promotion.id} was stopped: {'; '.join(promotion.why)}"
        who = "promotion"
        done = f"environment {place.environment} is held"
        with suppress(ToolkitError, OSError):
            live = self._deployer.versions.live(place.environment)
            old = promotion.old
            self._at("hold")
            if live == promotion.new and old is not None and not old.absent:
                record = self._deployer.rollback(place.environment, old, who, reason)
                done = f"{told(record)}, and held there"
        if self._deployer.records.held(place.environment) is None:
            self._deployer.hold(place.environment, who, reason)
        self._at("stopped")
        advice = f"then: branch-manager release {place.environment}"
        if promotion.stage == "rung":
            advice = f"branch-manager revert {promotion.id} takes it off the branch; {advice}"
        promotion = self.kept.keep(promotion.become("stopped", why=(*promotion.why, done, advice), ended=self._clock()))
        yield Remark(promotion, f"{promotion.id} is stopped: {'; '.join(promotion.why)}", wrong=True)
        return promotion

    def _place(self, promotion: Promotion, rung: Rung) -> Place:
        return rung.canary if promotion.stage == "canary" and rung.canary is not None else rung.place


def _subject(promotion: Promotion, rung: Rung, comes: tuple[Told, ...]) -> str:
    """Return what the commit is called, and what comes with it."""
    if promotion.way == "revert":
        about = "\n".join(f"This reverts commit {one}." for one in promotion.commits)
        return f'Revert "{promotion.subject}"\n\n{about}'
    listed = "\n".join(f"* {told.commit.abbreviated} {bounded(told.subject, _SUBJECT)}" for told in comes[:20])
    more = f"\n* … and {len(comes) - 20} more" if len(comes) > 20 else ""
    return f"Promote {promotion.source} to {rung.name}\n\n{listed}{more}"
