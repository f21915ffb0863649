"""Down again: a promotion or a commit is undone on every rung that has it, and held off every rung.

The holds come first: killed in between, nothing brings the change back, and the same call does the rest.

Not here: how a revert goes on (moving.py), what a hold keeps out (push/patch_holds.py). Failure modes: `ToolkitError`;
nothing is half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from enc.settings import Settings
from enc.terms.errors import Conflict, NotAllowed, NotFound, bounded
from git_hooks.deploy.deployer import Deployer
from git_hooks.promotion.kept import NEW, SUBJECT, Promotion, Promotions
from git_hooks.promotion.looking import Looking
from git_hooks.promotion.moving import Moving, Remark
from git_hooks.promotion.people import People
from git_hooks.promotion.result import landed_as
from git_hooks.promotion.rungs import Rung, rungs
from git_hooks.promotion.states import LANDED
from git_hooks.push.patch_holds import PatchHold, PatchHolds
from git_hooks.repository.apart import GitApart
from git_hooks.repository.patches import one as one_commit
from git_hooks.repository.patches import patch_id, patch_ids, trees_of_change
from git_hooks.repository.refs import ObjectId
from git_hooks.store.steps import DiskStep


class Reverting:
    """Reverts, and ends holds. Not for several threads at once."""

    def __init__(
        self,
        settings: Settings,
        deployer: Deployer,
        looking: Looking,
        moving: Moving,
        people: Callable[[], People],
        entered: Callable[[str], str],
        *,
        clock: Callable[[], float],
        at: DiskStep,
    ) -> None:
        """Do nothing yet. `entered` returns who runs the program, if that is not who decides."""
        self._settings = settings
        self._deployer = deployer
        self._looking = looking
        self._moving = moving
        self._people = people
        self._entered = entered
        self._clock = clock
        self._at = at
        self._path = str(settings.branches.repository)
        self._kept = Promotions(self._path)
        self._holds = PatchHolds(self._path)

    def revert(self, what: str, who: str, reason: str, until: float | None) -> Iterator[Remark]:
        """Undo a promotion (its id) or a commit; yield what happens.

        Raise `NotAllowed`, `NotFound` or `Conflict`. `until`: when the holds end, seconds since 1970; None: as
        `promotion.hold_time` says.
        """
        commit, subject = self._reverted(what)
        subject = bounded(subject, SUBJECT)
        found = tuple(reversed(rungs(self._settings)))
        for rung in found:
            self._may_move(who, rung)
        with GitApart(self._path) as git:
            patches = self._patches(git, commit)
        now = self._clock()
        end = until if until is not None else now + self._settings.promotion.hold_time
        contains, landed = self._deployer.repository.contains, dict[str, tuple[ObjectId, ...]]()
        with GitApart(self._path) as git:
            for rung in found:
                tip = self._deployer.repository.tip(rung.branch)
                landed[rung.name] = landed_as(git, commit, tip, contains) if tip is not None else ()
        if not any(landed.values()):
            raise NotFound("no rung has it, or it was reverted everywhere already", where=what)
        self._at("hold off")
        holds = self._holds.add(
            PatchHold("", rung.branch, patches, landed[rung.name] or (commit,), subject, who, reason, now, end)
            for rung in found
        )
        for rung, hold in zip(found, holds, strict=True):
            if not landed[rung.name]:
                continue
            with self._kept.rung(rung.name):
                promotion = Promotion(
                    id=NEW,
                    rung=rung.name,
                    branch=rung.branch,
                    source=rung.branch,
                    way="revert",
                    who=who,
                    by=who,
                    wanted=True,
                    reason=reason,
                    at=now,
                    state="queued",
                    queued=now,
                    commits=landed[rung.name],
                    subject=subject,
                    entered=self._entered(who),
                    holds=(hold.id,),
                )
                self._at("revert")
                promotion = self._kept.new(promotion)
                self._at("reverting")
                yield from self._moving.carry(promotion, rung)

    def lift(self, id: str, who: str, reason: str) -> PatchHold:
        """End a hold, as somebody who may move the branch; raise `NotAllowed` or `NotFound`."""
        hold = next((one for one in self._holds.all() if one.id == id), None)
        if hold is None:
            raise NotFound("no such hold; branch-manager promotion holds lists them", where=id)
        rung = next((one for one in rungs(self._settings) if one.branch == hold.branch), None)
        if rung is not None:
            self._may_move(who, rung)
        return self._holds.lift(id, who, reason, self._clock())

    def _may_move(self, who: str, rung: Rung) -> None:
        tip = self._looking.base(rung)
        why = self._people().why_not(who, rung, tip, tip)
        if why:
            raise NotAllowed(why, where=rung.branch)

    def _reverted(self, what: str) -> tuple[ObjectId, str]:
        """Return the commit that a promotion's id or a commit means, and what it is about."""
        if not what.startswith("P"):
            commit = self._deployer.repository.commit_of(what)
            with GitApart(self._path) as git:
                return commit, one_commit(git, commit).subject
        promotion = self._kept.get(what)
        if promotion.state not in LANDED or promotion.new is None or promotion.way == "revert":
            raise Conflict("brought nothing that could be reverted", where=what)
        return promotion.new, promotion.subject

    def _patches(self, git: GitApart, commit: ObjectId) -> tuple[str, ...]:
        """Return the patch-ids of what a commit brings: of a merge those of all its commits, too."""
        told = one_commit(git, commit)
        before, after = trees_of_change(git, commit)
        found = [patch_id(git, before, after)]
        if told.is_merge:
            found += patch_ids(git, [commit], [told.parents[0]]).values()
        return tuple(dict.fromkeys(one for one in found if one))
