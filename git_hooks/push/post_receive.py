"""After git has taken a push: makes it live, and tells what that means for whom.

The deploys and their words are receive.py's; here is added which nodes they
reach, when a short-lived branch ends, and how commits that left a branch come
back. It cannot refuse any more, so it tells the truth: a branch that is stored
but not live is said to be so. Of a proposal is told who reads it; tags need no word.

Several environments are built together first, with one sync for all their
files, and then switched one after the other. Several deployers at once would
gain a little more, and cost a git and connections each (docs/pushing.md has
the figures).

Failure modes: who pushed cannot be told: the push is deployed all the same,
as `unknown`; git has taken it, and leaving it undeployed would help nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from enc.programs import log
from enc.programs.times import day
from enc.terms.environments import Place, Proposal, Rules, site_first
from enc.terms.errors import InvalidName, ToolkitError
from enc.terms.names import HEADS, BranchName
from git_hooks.branches.expiry import ends_at
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.deploy.targets import Tip
from git_hooks.push import pushed
from git_hooks.push.leaving import settle
from git_hooks.push.policy import Move, obstacles, read, some
from git_hooks.push.pusher import identify
from git_hooks.push.receive import UNDER, Told, received
from git_hooks.push.verdict import clean, shown
from git_hooks.repository.refs import ObjectId, RefUpdate, parse_updates

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.deploy.deployer import Deployer
    from git_hooks.deploy.records import Record
    from git_hooks.effects.running import Effects, Waiting
    from git_hooks.repository.refstore import Archived

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
        *,
        who: str | None = None,
        effects: Effects | None = None,
    ) -> None:
        """Do nothing yet: each line is preceded by the work that it tells of; `who` if who pushed is known already.

        `effects` finds out what the push does to nodes; None: nobody does.
        """
        self._settings = settings
        self._deployer = deployer
        self._usage = usage
        self._effects = effects
        self._rules = Rules(settings.branches.rules)
        self._began = time.perf_counter()
        self._lines = self._all(parse_updates(updates), environ, user, who)
        self.good = True

    def __next__(self) -> str:
        """Do the next piece of work, and return what there is to say about it."""
        return clean(next(self._lines))

    def _all(
        self, updates: tuple[RefUpdate, ...], environ: Mapping[str, str], user: int, who: str | None
    ) -> Iterator[str]:
        try:
            if who is None:
                repository = str(self._settings.branches.repository)
                who = identify(self._settings.pushes.identity, repository, environ, time.time(), user).name
        except ToolkitError as error:
            who = UNKNOWN
            yield f"this push is recorded without a name: {error}"
        self._note(updates, who)
        found: list[tuple[RefUpdate, Place]] = []
        proposed: list[tuple[RefUpdate, Proposal]] = []
        why = self._refused(updates)
        for update in updates:
            refused = why.get(update.ref, "")
            place = None if refused else self._place(update)
            if refused:
                self.good = False
                yield f"{shown(update.ref)}: stored, but NOT deployed: {refused}"
            elif place is not None:
                found.append((update, place))
            elif (proposal := self._proposal(update)) is not None:
                proposed.append((update, proposal))
        few = len(found) <= _MOST_TOLD
        bad = 0
        kept = self._kept()
        waiting: list[Waiting] = []
        for told, update, place in self._deployed(found, who):
            yield from told.lines
            bad += not told.good
            if (place.branch, update.old) in kept:
                yield self._way_back(kept.pop((place.branch, update.old)), update)
            if told.good and not update.deletes and few:
                waiting += self._compiling(place, told.record)
                yield from self._reached(place)
                yield from self._ends(place)
        until = time.monotonic() + self._settings.pushes.effect_seconds
        for one in waiting:
            several = f"{one.place.environment}: " if len(waiting) > 1 else ""
            yield from (f"{several}{line}" for line in one.lines(until - time.monotonic()))
        for update, proposal in proposed:
            yield from self._read_by(update, proposal)
            if (proposal.branch, update.old) in kept:
                yield self._way_back(kept.pop((proposal.branch, update.old)), update)
        for left in kept.values():
            yield f"{left.branch}: the commits that an interrupted push removed are kept as {left.name}"
        if bad and len(found) > 1:
            yield (
                f"{bad} of {len(found)} environments {'is' if bad == 1 else 'are'} not as this push requires, see above"
            )
        self.good = self.good and not bad

    def _note(self, updates: tuple[RefUpdate, ...], who: str) -> None:
        try:
            pushed.note(str(self._settings.branches.repository), updates, who, time.time())
        except OSError as error:
            log.get("hooks").error("who pushed cannot be noted: %s", error)

    def _deployed(self, found: list[tuple[RefUpdate, Place]], who: str) -> Iterator[tuple[Told, RefUpdate, Place]]:
        # Those that others share files with come first, as in reconcile.py.
        updates = {place: update for update, place in found}
        for group in site_first(updates, self._rules):
            if len(group) > 1:
                self._deployer.build_ahead((place.environment, Tip(place.branch)) for place in group)
            for place in group:
                update = updates[place]
                yield received(self._deployer, place, update, who, self._began), update, place

    def _kept(self) -> dict[tuple[BranchName, ObjectId], Archived]:
        """Keep what left its branch by this push, or by one that was killed, and return it."""
        try:
            found = settle(self._deployer.repository, self._deployer.counted)
        except (ToolkitError, OSError) as error:
            # The notes stay, and the next push, expire or gc tries again; what was pushed goes live all the same.
            log.get("hooks").error("the commits that pushes removed are recorded, but not kept yet: %s", error)
            return {}
        return {(one.branch, one.commit): one for one in found}

    def _way_back(self, kept: Archived, update: RefUpdate) -> str:
        until = day(kept.at + self._settings.branches.archive_kept)
        command = f"branch-manager restore {kept.branch}"
        if not update.deletes:
            command = f"branch-manager restore {kept.name} --as BRANCH"
        what = "it is" if update.deletes else f"what it had before ({kept.commit.abbreviated}) is"
        return f"{UNDER}{what} kept until {until}; an operator can restore it with: {command}"

    def _refused(self, updates: tuple[RefUpdate, ...]) -> dict[str, str]:
        """Return ref → why what was stored must not go live."""
        moves = [read(update, self._rules) for update in updates if not update.deletes]
        refused = {move.update.ref: move.refused for move in moves if move.refused}
        # Of two branches that are pushed at one moment, pre-receive sees neither. What did not go live for that when it
        # came is looked at again with each push: until the other is gone, the environment is not its own.
        moved = [move for move in moves if move.place is not None and not move.update.creates]
        waiting = {move.update.ref for move in moved if self._waits(move).exists()}
        made = [move for move in moves if move.update.creates]
        made += [_as_new(move) for move in moved if move.update.ref in waiting]
        if not made:
            return refused
        found = obstacles(made, self._deployer.repository.branches(), self._rules)
        for move in made:
            with suppress(OSError):
                if move.update.ref in found:
                    self._waits(move).parent.mkdir(mode=0o700, exist_ok=True)
                    self._waits(move).touch(mode=0o600)
                elif move.update.ref in waiting:
                    self._waits(move).unlink()
        return refused | found

    def _waits(self, move: Move) -> Path:
        """Return the file that says that a branch is stored, and its environment another's."""
        name = move.update.ref.removeprefix(HEADS).replace("/", ":")  # which is in no branch's name
        return self._settings.branches.repository / "puppetmaster/waiting" / name

    def _compiling(self, place: Place, record: Record) -> Iterator[Waiting]:
        if self._effects is not None:
            begun = self._effects.begin(self._settings, self._usage, self._deployer, place, record)
            yield from [begun] if begun is not None else []

    def _reached(self, place: Place) -> Iterator[str]:
        try:
            nodes = self._usage.nodes(place.environment)
        except UsageUnknown:
            return  # it is no part of the deploy; doctor and status tell about the follower
        if nodes:
            count = "1 node gets it at its" if len(nodes) == 1 else f"{len(nodes)} nodes get it at their"
            yield f"{UNDER}{count} next run: {some(nodes)}"
        else:
            yield f"{UNDER}no node uses it"

    def _ends(self, place: Place) -> Iterator[str]:
        if place.topic is not None:
            ends = ends_at(time.time(), self._settings.branches.topics_unused)
            yield f"{UNDER}will be archived on {day(ends)} unless somebody pushes to it before then, or a node uses it"

    def _read_by(self, update: RefUpdate, proposal: Proposal) -> Iterator[str]:
        if update.deletes:
            yield f"{proposal.branch}: removed"
            return
        yield f"{proposal.branch}: stored at {update.new.abbreviated} for review; it does not become an environment"
        yield (
            f"{UNDER}an operator can list what of it runs on the master with: branch-manager audit-code "
            f"{proposal.branch}"
        )
        ends = ends_at(time.time(), self._settings.branches.topics_unused)
        yield f"{UNDER}will be archived on {day(ends)} unless somebody pushes to it before then"

    def _proposal(self, update: RefUpdate) -> Proposal | None:
        branch = BranchName.of_ref(update.ref) if update.ref.startswith(HEADS) else None
        return self._rules.proposal(branch) if branch is not None else None

    def _place(self, update: RefUpdate) -> Place | None:
        try:
            branch = BranchName.of_ref(update.ref)
            return self._rules.place(branch) if branch is not None else None
        except InvalidName:
            return None


def _as_new(move: Move) -> Move:
    return move._replace(update=move.update._replace(old=ObjectId("0" * len(move.update.old))))
