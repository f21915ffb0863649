"""What people do about promotions: propose, promote, approve, reject, withdraw, report a check.

Commands, and later API and console, call the same. Whoever calls says who acts; what they may is looked at here, or by
the rules when the promotion is looked at. Each act is one change of one promotion, made under its rung's lock.

Not here: how it goes on afterwards (moving.py), the way back (reverting.py), what is shown (commands/). Failure modes:
`ToolkitError`; nothing is half done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

from enc.settings import Settings
from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import ConfigurationError, Conflict, NotAllowed, NotFound, UsageError, bounded
from enc.terms.filters import folded
from enc.terms.names import BranchName
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.promotion import rules
from git_hooks.promotion.effect import SHOWN, Catalogs
from git_hooks.promotion.history import Landing, landings
from git_hooks.promotion.kept import HERE, NEW, SUBJECT, Approval, Check, Promotion, Promotions, ended
from git_hooks.promotion.looking import Looked, Looking
from git_hooks.promotion.moving import OF_ITS_OWN, Moving, Remark
from git_hooks.promotion.people import People
from git_hooks.promotion.reverting import Reverting
from git_hooks.promotion.reviews.asking import Reviews
from git_hooks.promotion.rungs import Rung, named
from git_hooks.push.membership import Membership
from git_hooks.push.patch_holds import PatchHolds
from git_hooks.push.policy import project_of
from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import MOST, difference
from git_hooks.repository.refs import ObjectId
from git_hooks.store.steps import DiskStep, nothing

_PROPOSALS = 50
"""Promotions of one person that are not over: every look at a queue reads the files of all."""


class Wish(NamedTuple):
    """What is to be promoted."""

    source: BranchName
    rung: str
    who: str
    reason: str
    pick: bool = False
    commits: tuple[ObjectId, ...] = ()
    """Chosen ones; they are picked."""
    emergency: bool = False


class Desk:
    """Takes what people want. Not for several threads at once."""

    def __init__(
        self,
        settings: Settings,
        deployer: Deployer,
        membership: Membership,
        usage: Usage,
        *,
        entered_by: str = "",
        catalogs: Catalogs | None = None,
        clock: Callable[[], float] = time.time,
        at: DiskStep = nothing,
    ) -> None:
        """Do nothing yet. `entered_by`: who runs the program, which may name somebody else as who decides."""
        self._entered_by = entered_by
        self._at = at
        self._settings = settings
        self._deployer = deployer
        self._membership = membership
        self._clock = clock
        self._path = str(settings.branches.repository)
        self._rules = Rules(settings.branches.rules)
        self._reviews = Reviews(settings.promotion.review)
        self.looking = Looking(settings, deployer, membership, usage, catalogs)
        self.moving = Moving(settings, deployer, self._looked, self.looking.runs, clock=clock, at=at)
        self.kept = Promotions(self._path)
        self.holds = PatchHolds(self._path)
        self.reverting = Reverting(
            settings, deployer, self.looking, self.moving, self._people, self._entered, clock=clock, at=at
        )
        """Down again."""

    # To and up the rungs

    def preview(self, wish: Wish) -> Looked:
        """Return what `propose` and `promote` would find at this moment; nothing is kept."""
        rung = named(wish.rung, self._settings)
        return self._looked(self._wished(wish, rung), rung)

    def propose(self, wish: Wish) -> Looked:
        """Keep a proposal, and return it as it was looked at; raise `UsageError` or `NotAllowed` if it cannot be one.

        What is proposed already, by whomever, is not proposed twice.
        """
        rung = named(wish.rung, self._settings)
        wished = self._wished(wish, rung)
        with self.kept.rung(rung.name):
            for one in self.kept.all():
                same = _what(one) == _what(wished)
                if same and one.state in ("proposed", "queued"):
                    return self._looked(one, rung)
            looked = self._looked(wished, rung)
            self._not_too_many(wish.who)
            final = [one for one in looked.verdicts if one.why and rules.named(one.rule).end == "refuse"]
            if final:
                return looked
            comes = looked.made.result.comes
            subject = next((told.subject for told in comes if not told.is_merge), comes[0].subject)
            kept = self.kept.new(replace(looked.promotion, subject=bounded(subject, SUBJECT)))
            return looked._replace(promotion=kept)

    def promote(self, id: str, who: str, *, emergency: bool = False, reason: str = "") -> Iterator[Remark]:
        """Let a proposal go as soon as its rules do; yield what happens now.

        It gets into the queue when all that people must decide is there. With `emergency` it passes the queue and the
        soak, and needs a reason and a second person.
        """
        with self._open(id) as (promotion, rung):
            self._may_promote(promotion, who)
            promotion = replace(promotion, wanted=True, by=who, entered=self._entered(who) or promotion.entered)
            if emergency:
                promotion = replace(promotion, emergency=True, reason=reason)
            if promotion.state == "proposed":
                promotion = self._considered(promotion, rung)
            else:
                self.kept.keep(promotion)
            yield from self._on(promotion, rung)

    def approve(self, id: str, who: str, effect: str) -> Iterator[Remark]:
        """Approve the effect whose digest was shown; raise `Conflict` if it is another now."""
        with self._open(id) as (promotion, rung):
            looked = self._looked(promotion, rung)
            seen = looked.promotion.effect
            assert seen is not None
            if len(effect) < SHOWN:
                raise UsageError(f"give at least {SHOWN} characters of the digest that `show` prints", where="--effect")
            if not seen.digest.startswith(effect):
                raise Conflict(
                    f"its effect is {seen.digest[:SHOWN]} now and no longer {effect[:SHOWN]}; look again: "
                    f"branch-manager promotion show {id}",
                    where=id,
                )
            others = tuple(one for one in promotion.approvals if (one.who, one.effect.digest) != (who, seen.digest))
            entered = self._entered(who)
            given = Approval(who, seen, self._clock(), f"{HERE}, entered by {entered}" if entered else HERE)
            promotion = replace(looked.promotion, approvals=(*others, given))
            looked = self._looked(promotion, rung)
            mine = next((one for one in looked.facts.approvals if (one.who, one.effect) == (who, seen.digest)), None)
            if mine is None or looked.facts.effect != seen.digest:
                raise Conflict(f"its effect has just changed; look again: branch-manager promotion show {id}", where=id)
            roles = self._settings.promotion.emergency if promotion.emergency else rung.says.approvers
            if mine.own:
                raise NotAllowed(f"{who} {mine.own}; somebody else must approve it", where=id)
            if not set(mine.roles) & set(roles):
                raise NotAllowed(f"{who} may not approve for {rung.name}; {' or '.join(roles)} may", where=id)
            promotion = self._considered(promotion, rung) if promotion.state == "proposed" else self._kept(promotion)
            yield Remark(promotion, f"{promotion.id}: approved by {who}, effect {seen.digest[:SHOWN]}")
            yield from self._on(promotion, rung)

    def reject(self, id: str, who: str, reason: str) -> Promotion:
        """End a proposal, as somebody who could approve it; raise `NotAllowed`."""
        with self._open(id) as (promotion, rung):
            roles = {*rung.says.approvers, *self._settings.promotion.emergency}
            if not set(self._people().roles(who, None)) & roles:
                raise NotAllowed(f"{who} may not reject what is proposed for {rung.name}", where=id)
            return self._over(promotion, "rejected", f"rejected by {who}: {reason}")

    def withdraw(self, id: str, who: str, reason: str) -> Promotion:
        """End a proposal, as who proposed it or as an operator; raise `NotAllowed`."""
        with self._open(id) as (promotion, _):
            if who not in (promotion.who, promotion.by) and "operator" not in self._people().roles(who, None):
                raise NotAllowed(f"{who} did not propose it; {promotion.who} or an operator may withdraw it", where=id)
            return self._over(promotion, "withdrawn", f"withdrawn by {who}: {reason}")

    def report(self, id: str, name: str, state: str, who: str, url: str = "") -> Iterator[Remark]:
        """Keep what a check found about the commit that is promoted."""
        with self._open(id) as (promotion, rung):
            self._may_report(who, id)
            if name not in rung.says.checks or name == "complete":
                asked = ", ".join(one for one in rung.says.checks if one != "complete") or "none"
                raise UsageError(f"is no check that {rung.name} asks for ({asked})", where=name)
            check = Check(state, self.looking.source(promotion), who, self._clock(), url)
            promotion = self._kept(replace(promotion, checks={**promotion.checks, name: check}))
            yield Remark(promotion, f"{promotion.id}: {name} is {state}")
            yield from self._on(promotion, rung)

    def go_on(self, rung: str) -> Iterator[Remark]:
        """Carry on all that waits for a rung; take in what the forge has approved meanwhile."""
        with self.kept.rung(rung):
            for one in self.kept.all() if self._reviews.elsewhere else ():
                if one.rung == rung and one.state == "proposed" and one.wanted:
                    with suppress(*OF_ITS_OWN):
                        self._considered(one, named(rung, self._settings))
            yield from self.moving.go_on(rung)

    def looked(self, id: str) -> Looked:
        """Return a promotion as it is now; raise `NotFound`, or `Conflict` for one that is over."""
        promotion = self.kept.get(id)
        ended(promotion)
        return self._looked(promotion, named(promotion.rung, self._settings))

    # What is shown

    def commit(self, text: str) -> ObjectId:
        """Return the commit that `text` names; raise `NotFound`."""
        return self._deployer.repository.commit_of(text)

    def difference(self, looked: Looked) -> str:
        """Return the patch that a promotion is to its rung's branch."""
        with GitApart(self._path) as git:
            return difference(git, looked.made.base, looked.made.trial) if looked.made.sound else ""

    def difference_of(self, promotion: Promotion) -> str:
        """Return the patch that a promotion was; empty: it did not get there."""
        if promotion.new is None or promotion.old is None or promotion.old.absent:
            return ""
        with GitApart(self._path) as git:
            return difference(git, promotion.old, promotion.new)

    def landings(self, rung: Rung, most: int) -> list[Landing]:
        """Return what promotions made of a rung's branch, from its commits alone, the newest first."""
        with GitApart(self._path) as git:
            return list(landings(git, self.looking.base(rung), MOST))[:most]

    # What these have in common

    def _wished(self, wish: Wish, rung: Rung) -> Promotion:
        if self._settings.branches.mirror.forge is not None:
            raise ConfigurationError(
                "the branches are the forge's, which would move them back; promote there", where="branches.mirror.forge"
            )
        repository = self._deployer.repository
        tip = repository.tip(wish.source)
        if tip is None:
            raise NotFound("there is no such branch", where=wish.source)
        for commit in wish.commits:
            if not repository.contains(tip, commit):
                raise UsageError(f"is not on {wish.source}", where=commit)
        return Promotion(
            id=NEW,
            rung=rung.name,
            branch=rung.branch,
            source=wish.source,
            way="pick" if wish.pick or wish.commits else "merge",
            who=wish.who,
            reason=wish.reason,
            at=self._clock(),
            commits=wish.commits,
            emergency=wish.emergency,
            entered=self._entered(wish.who),
        )

    def _entered(self, who: str) -> str:
        """Return who runs the program, if that is not `who`."""
        return "" if self._entered_by in ("", who) else self._entered_by

    @contextmanager
    def _open(self, id: str) -> Iterator[tuple[Promotion, Rung]]:
        """Give a promotion that is not over, under its rung's lock."""
        rung = named(self.kept.get(id).rung, self._settings)
        with self.kept.rung(rung.name):
            promotion = self.kept.get(id)
            ended(promotion)
            yield promotion, rung

    def _looked(self, promotion: Promotion, rung: Rung, *, fresh: bool = False) -> Looked:
        return self.looking.look(self._with_reviews(promotion), rung, fresh=fresh)

    def _considered(self, promotion: Promotion, rung: Rung) -> Promotion:
        """Keep a proposal as it is now: in the queue if somebody wants that and people have decided all they must."""
        looked = self._looked(promotion, rung)
        promotion, why = looked.promotion, rules.reasons(looked.verdicts)
        if looked.outcome == "refuse":
            return self._kept(promotion.become("refused", why=why, ended=self._clock(), facts=looked.facts))
        if looked.outcome == "propose" or not promotion.wanted:
            return self._kept(replace(promotion, why=why))
        self._at("queue")
        promotion = self._kept(promotion.become("queued", why=(), queued=self._clock()))
        self._at("queued")
        return promotion

    def _on(self, promotion: Promotion, rung: Rung) -> Iterator[Remark]:
        """Carry the queue on, and say at the end where the promotion is."""
        said = {promotion.id}
        for remark in self.moving.go_on(rung.name):
            said.add(f"{remark.promotion.id} {remark.promotion.state}")
            yield remark
        now = self.kept.get(promotion.id)
        if f"{now.id} {now.state}" not in said:
            why = f": {'; '.join(now.why)}" if now.why else ""
            yield Remark(now, f"{now.id} is {now.state}{why}", now.state != "done")

    def _with_reviews(self, promotion: Promotion) -> Promotion:
        """Return it with who approves it at the forge now, each approval with the effect that it was first seen with.

        In an emergency the forge is not asked: it may be what is down.
        """
        if not self._reviews.elsewhere or promotion.way == "revert" or promotion.emergency:
            return promotion
        found = self._reviews.approvals(promotion.source, self.looking.source(promotion), promotion.branch)
        known = {one.via: one for one in promotion.approvals}
        here = tuple(one for one in promotion.approvals if one.via.startswith(HERE))
        there = [known[one.via] for one in found if one.via in known]
        new = [one for one in found if one.via not in known]
        if new:
            seen = self.looking.look(promotion, named(promotion.rung, self._settings)).promotion.effect
            assert seen is not None
            there += [Approval(one.who, seen, self._clock(), one.via) for one in new]
        return replace(promotion, approvals=(*here, *there))

    def _may_promote(self, promotion: Promotion, who: str) -> None:
        people = self._people()
        roles = {*people.roles(who, project_of(promotion.source, self._rules)), *people.roles(who, None)}
        rung = named(promotion.rung, self._settings)
        if not roles & {*rung.says.propose, *rung.says.approvers}:
            raise NotAllowed(f"{who} may not promote to {rung.name}; {' or '.join(rung.says.propose)} may")

    def _not_too_many(self, who: str) -> None:
        """Raise `Conflict` if somebody has proposed so much that is not over that lists and looks get slow."""
        mine = [one for one in self.kept.all() if one.open and folded(one.who) == folded(who)]
        if len(mine) >= _PROPOSALS:
            number = counted(len(mine), "proposal")
            raise Conflict(f"{who} has {number} that are not over; withdraw some: branch-manager promotion list")

    def _may_report(self, who: str, id: str) -> None:
        people = self._people()
        if people.person(who) is None:
            raise NotAllowed(f"{who} has no entry in LDAP; --as names who reports", where=id)
        named = {folded(one) for one in self._settings.promotion.reporters}
        if folded(who) not in named and "operator" not in people.roles(who, None):
            raise NotAllowed(
                f"{who} may not report what a check found; operators may, and whom promotion.reporters names", where=id
            )

    def _over(self, promotion: Promotion, state: str, why: str) -> Promotion:
        return self._kept(promotion.become(state, why=(why,), ended=self._clock()))  # type: ignore[arg-type]

    def _kept(self, promotion: Promotion) -> Promotion:
        return self.kept.keep(promotion)

    def _people(self) -> People:
        return People(self._settings, self._membership)


def _what(promotion: Promotion) -> tuple[object, ...]:
    return promotion.rung, promotion.source, promotion.way, promotion.commits
