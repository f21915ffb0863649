"""Looks at a promotion: makes the result, examines it, and finds the facts that its rules decide on.

The result is made where git's objects are apart from the repository's, and examined there as a push is in its
quarantine, by the same checks. Who looks says afterwards whether the objects come in.

Not here: the decision (rules.py), anything that moves (moving.py). Failure modes: `ToolkitError` if a fact cannot be
found: LDAP is away, the repository or a file of ours is damaged; then nothing is decided.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from enc.settings import Settings
from enc.terms.environments import Rules
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.filters import folded
from enc.terms.names import Certname
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.deploy.deployer import Deployer
from git_hooks.mirror.arriving import arriving
from git_hooks.promotion import result as results
from git_hooks.promotion import rules
from git_hooks.promotion.effect import Catalogs, OnNodes, differs, effect
from git_hooks.promotion.kept import Effect, Promotion, Promotions
from git_hooks.promotion.people import People, pushers
from git_hooks.promotion.result import Result
from git_hooks.promotion.rules import Facts, Given, Verdict
from git_hooks.promotion.rungs import Rung
from git_hooks.promotion.runs import Runs, runs
from git_hooks.promotion.states import LANDED
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.push.membership import Membership
from git_hooks.push.patch_holds import PatchHolds, brought_back
from git_hooks.push.policy import project_of
from git_hooks.push.pushed import Pushed, pushes
from git_hooks.push.verdict import not_checked
from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import Told, commits, patch_ids
from git_hooks.repository.refs import ObjectId

_OWN_PUSHES, _OTHER_PUSHES = 500, 200
"""So many of the last pushes to the source, and to other branches, are looked at for who pushed what."""


class Made(NamedTuple):
    """What a rung's branch would be, and what its examination found."""

    base: ObjectId
    """The rung's branch."""
    source: ObjectId
    result: Result
    trial: ObjectId
    """A commit with the result's tree; the branch's own if there is nothing to do."""
    problems: tuple[str, ...] = ()
    """What a push of it would be refused for, but for holds."""
    unchecked: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    """Holds that it would break, a sentence each."""
    nodes: OnNodes = OnNodes()
    """What it does to the rung's nodes."""

    @property
    def sound(self) -> bool:
        """Whether the objects may come into the repository."""
        return bool(self.result.steps) and not self.problems


class Looked(NamedTuple):
    """What a promotion is at this moment."""

    promotion: Promotion
    """With the effect as it is now."""
    made: Made
    facts: Facts
    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> rules.Outcome:
        """What becomes of it."""
        return rules.outcome(self.verdicts)


class Looking:
    """Looks at promotions of one site; not for several threads at once."""

    def __init__(
        self,
        settings: Settings,
        deployer: Deployer,
        membership: Membership,
        usage: Usage,
        catalogs: Catalogs | None = None,
    ) -> None:
        """Look at nothing yet. `catalogs` tells what a result does to nodes; None: nobody can."""
        self._settings = settings
        self._deployer = deployer
        self._membership = membership
        self._usage = usage
        self._catalogs = catalogs
        self._rules = Rules(settings.branches.rules)
        self._path = str(settings.branches.repository)
        self._kept = Promotions(self._path)

    def look(self, promotion: Promotion, rung: Rung, *, fresh: bool = False) -> Looked:
        """Look at one. The objects of a sound result are in the repository afterwards, where nothing leads to them.

        `fresh`: what it does to nodes is that of this moment; else it may be remembered for some minutes.
        """
        made: list[Made] = []
        with suppress(_Unsound), arriving(self._path) as objects:
            made.append(self._made(promotion, rung, objects, fresh=fresh))
            if not made[0].sound:
                raise _Unsound
        return self._judged(promotion, rung, made[0])

    def base(self, rung: Rung) -> ObjectId:
        """Return where the branch of a rung is; raise `NotFound`."""
        tip = self._deployer.repository.tip(rung.branch)
        if tip is None:
            raise NotFound("the rung's branch is not there; create it first", where=rung.branch)
        return tip

    def source(self, promotion: Promotion) -> ObjectId:
        """Return the commit that is promoted: where its branch is now, or was when it was looked at last."""
        tip = self._deployer.repository.tip(promotion.source)
        if tip is not None:
            return tip
        if promotion.effect is None:
            raise NotFound("there is no such branch", where=promotion.source)
        return promotion.effect.source

    def _made(self, promotion: Promotion, rung: Rung, objects: Path, *, fresh: bool) -> Made:
        """Make the result, examine it, and compile what passed; what git writes goes to `objects`."""
        base = self.base(rung)
        source = base if promotion.way == "revert" else self.source(promotion)
        environ = {
            **os.environ,
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{self._path}/objects",
            "GIT_QUARANTINE_PATH": str(objects),
        }
        with GitApart(self._path, objects=objects) as git, Incoming(self._path, environ) as incoming:
            result = self._result(git, promotion, base, source)
            if not result.steps:
                return Made(base, source, result, base)
            trial = results.make(git, promotion.way, base, source, result, "trial", 0, lambda _: "trial")
            back: tuple[str, ...] = ()
            if promotion.way != "revert":
                holds = PatchHolds(self._path).of(rung.branch)
                back = tuple(one.told() for one in brought_back(self._path, holds, base, trial, environ))
            ours = tuple(_made_here(incoming, base, trial))
            examination = Examination(incoming, self._settings, who=promotion.who, usage=self._usage, made=ours)
            found = examination.problems(trial, base, rung.place, {})
            unchecked = tuple(not_checked(why, number) for why, number in examination.unchecked.items())
            problems, nodes = tuple(one for one in found if one not in back), OnNodes()
            if self._catalogs is not None and not problems:
                nodes = self._catalogs(incoming, rung, trial, fresh=fresh)
                problems += nodes.problems
            return Made(base, source, result, trial, problems, unchecked, back, nodes)

    def _judged(self, promotion: Promotion, rung: Rung, made: Made) -> Looked:
        seen = effect(made.base, made.source, made.result.tree, made.nodes)
        with GitApart(self._path) as git:
            facts = self._facts(git, promotion, rung, made, seen)
        verdicts = rules.judge(facts, rung.says, reverts=promotion.way == "revert")
        return Looked(replace(promotion, effect=seen), made, facts, verdicts)

    def _result(self, git: GitApart, promotion: Promotion, base: ObjectId, source: ObjectId) -> Result:
        if promotion.way == "revert":
            return results.undo(git, base, promotion.commits)
        if promotion.way == "pick":
            return results.pick(git, base, source, promotion.commits)
        return results.merge(git, base, source)

    def _facts(self, git: GitApart, promotion: Promotion, rung: Rung, made: Made, seen: Effect) -> Facts:
        people, base = People(self._settings, self._membership), made.base
        ours = self._ours()
        authors = tuple(told for told in made.result.comes if told.commit not in ours)
        who_pushed = self._pushers(git, promotion, base, authors)
        project = project_of(promotion.source, self._rules)
        approvals, differs, unknown = [], "", made.nodes.unknown if made.nodes.required else ""
        for one in promotion.approvals:
            own = people.own(one.who, promotion.who, authors, who_pushed)
            if not own and promotion.emergency and folded(one.who) == folded(promotion.by):
                own = "promotes it"
            given = Given(one.who, one.effect.digest, people.roles(one.who, None), own)
            if made.nodes.unknown and not promotion.emergency and _may_be(one.effect, seen):
                # Whether it is the same will be known again: no reason to ask people once more, but to wait.
                given, unknown = given._replace(effect=seen.digest), made.nodes.unknown
            approvals.append(given)
            differs = _differs(git, one.effect, seen, promotion.source, rung.branch) or differs
        acting = dict.fromkeys((promotion.who, promotion.by, *(one.who for one in approvals)))
        count = self._deployer.counted()
        facts = Facts(
            now=count.now,
            source=promotion.source,
            fits=rung.takes(promotion.source, self._rules),
            sources=rung.sources(),
            proposer=promotion.who,
            promoter=promotion.by,
            proposer_roles=(*people.roles(promotion.who, project), *people.roles(promotion.who, None)),
            may_move=tuple(one for one in acting if one and not people.why_not(one, rung, base, made.trial)),
            why_not=people.why_not(promotion.by or promotion.who, rung, base, made.trial),
            empty=not made.result.steps,
            conflicts=tuple(clash.path for clash in made.result.clashes),
            held=made.back,
            problems=made.problems,
            unchecked=made.unchecked,
            checks={name: one.state for name, one in promotion.checks.items() if one.source == made.source},
            approvals=tuple(approvals),
            effect=seen.digest,
            differs=differs,
            ahead=self._ahead(promotion),
            emergency=promotion.emergency,
            emergency_roles=self._settings.promotion.emergency,
            stopped=self._stopped(rung),
            on_nodes=seen.summary.partition("\n")[0],
            unknown=unknown,
        )
        if rung.below is None or promotion.way == "revert" or not made.result.comes:
            return facts
        missing, landed = self._on(git, rung.below, promotion, made)
        since = self._live_since(rung.below, landed) if not missing else None
        counted = Runs(0, ())
        if since is not None and (rung.says.soak_runs or rung.says.soak_time):
            counted = self.runs(rung.below, since)
        return facts._replace(
            below=rung.below.branch,
            absent_below=missing,
            live_since=count.of(since) if since is not None else None,
            good_runs=counted.good,
            failed_nodes=counted.failed,
            unread=counted.unread,
        )

    def canaries(self, rung: Rung, *, canary: bool = False) -> tuple[Certname, ...]:
        """Return the canary nodes of a rung; raise `UsageUnknown`."""
        place = rung.canary if canary and rung.canary is not None else rung.place
        nodes = self._usage.nodes_for_certain(place.environment)
        patterns = rung.says.canaries
        return tuple(node for node in nodes if not patterns or any(fnmatchcase(node, one) for one in patterns))

    def runs(self, rung: Rung, since: float, *, canary: bool = False) -> Runs:
        """Return how the runs of a rung's canary nodes went since then."""
        place = rung.canary if canary and rung.canary is not None else rung.place
        try:
            nodes = self.canaries(rung, canary=canary)
        except UsageUnknown as error:
            return Runs(0, (), str(error))
        return runs(self._settings, nodes, place.environment, since)

    def _ours(self) -> frozenset[ObjectId]:
        """Return the commits that promotions made: who promoted has not written what they bring."""
        return frozenset(one.new for one in self._kept.all() if one.new is not None and one.state in LANDED)

    def _pushers(
        self, git: GitApart, promotion: Promotion, base: ObjectId, authors: Sequence[Told]
    ) -> frozenset[str]:
        try:
            every = pushes(self._path)
        except OSError as error:
            raise ToolkitError(f"who pushed what cannot be read: {error.strerror}", where=error.filename) from error
        wanted = frozenset(told.commit for told in authors)
        own = [one for one in every if one.ref == promotion.source.ref][-_OWN_PUSHES:]
        direct = [one for one in every if one.new in wanted]
        others: list[Pushed] = [one for one in every if one.ref != promotion.source.ref][-_OTHER_PUSHES:]

        def brought(old: str, new: str) -> Iterable[ObjectId]:
            with suppress(ToolkitError):  # collected since
                return commits(git, [new], [base if not old.strip("0") else old, base])
            return ()

        return pushers([*direct, *own, *others], wanted, brought)

    def _ahead(self, promotion: Promotion) -> tuple[str, ...]:
        found = []
        for one in self._kept.queue(promotion.rung):
            if one.id == promotion.id:
                break
            found.append(one.id)
        return tuple(found)

    def _stopped(self, rung: Rung) -> str:
        for place in filter(None, (rung.canary, rung.place)):
            held = self._deployer.records.held(place.environment)
            if held is not None:
                how = f"branch-manager release {place.environment}"
                return f"environment {place.environment} is held by {held.who}: {held.reason}; end it with: {how}"
        return ""

    def _on(
        self, git: GitApart, below: Rung, promotion: Promotion, made: Made
    ) -> tuple[tuple[str, ...], tuple[ObjectId, ...]]:
        """Return what of it a rung's branch lacks, and as which commits it has the rest."""
        repository = self._deployer.repository
        tip = self.base(below)
        if promotion.way == "merge" and repository.contains(tip, made.source):
            return (), (made.source,)
        own = patch_ids(git, [made.source], [made.base])
        there = {patch: name for name, patch in patch_ids(git, [tip], [made.base]).items()}
        missing, landed = [], []
        for told in made.result.comes:
            if repository.contains(tip, told.commit):
                landed.append(told.commit)
            elif own.get(told.commit) in there:
                landed.append(there[own[told.commit]])
            elif not told.is_merge:
                missing.append(told.commit.abbreviated)
        return tuple(missing), tuple(landed)

    def _live_since(self, rung: Rung, landed: Sequence[ObjectId]) -> float | None:
        """Return since when the environment of a rung shows all these commits without a break."""
        repository, since = self._deployer.repository, None
        live = self._deployer.versions.live(rung.environment)
        if live is None or not all(repository.contains(live, one) for one in landed):
            return None
        for record in self._deployer.records.of(rung.environment, limit=None):
            if record.new is None or record.outcome not in ("live", "not flushed", "begun") or not record.switched:
                continue
            with suppress(ToolkitError):
                if all(repository.contains(record.new, one) for one in landed):
                    since = record.at
                    continue
            break
        return since


class _Unsound(Exception):
    """The objects go."""


def _may_be(seen: Effect, now: Effect) -> bool:
    """Tell whether what was seen, with its nodes, may be what is now, where the nodes are not known."""
    return bool(seen.catalogs) and (seen.base, seen.source, seen.tree) == (now.base, now.source, now.tree)


def _differs(git: GitApart, seen: Effect, now: Effect, source: str, branch: str) -> str:
    try:
        return differs(git, seen, now, source, branch)
    except ToolkitError:  # what was seen has been collected by git since
        return "it was seen long ago"


def _made_here(objects: Incoming, base: ObjectId, trial: ObjectId) -> Iterator[ObjectId]:
    """Yield the commits that were put on the branch's own: the first parents of each other."""
    while trial != base:
        yield trial
        trial = ObjectId(objects.commit(trial)[1][0])
