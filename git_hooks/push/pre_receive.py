"""Judges a push before git takes it: who pushes, may they, is what they bring sound?

Gathers the facts that policy.py decides on, in the order of what they cost,
and lets the checks look at trees only if the person may push at all. The
objects are read where git keeps them meanwhile (quarantine). Changes nothing
but what membership.py keeps, the list of what was refused, and the notes of
leaving.py about commits that an allowed push takes away.

Fails closed: an error is a refusal, told in one line.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from enc.rights.roles import Person
from enc.terms.environments import Proposal, Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, ProjectName
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.push import leaving, policy
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from git_hooks.push.leaving import Leaving
from git_hooks.push.policy import Counts, Facts, Move
from git_hooks.push.pusher import Pusher, identify
from git_hooks.push.refusals import Refusal, keep
from git_hooks.push.verdict import Checked, PushVerdict, RefVerdict, clean, refusal
from git_hooks.repository.refs import ObjectId, RefUpdate, parse_updates

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.push.membership import Membership


class _Judged(NamedTuple):
    """What was found out about one moved ref."""

    move: Move
    verdict: RefVerdict
    leaving: Leaving | None = None
    """The commit that the branch will not have any more."""


class Answer(NamedTuple):
    """What a hook says and does about a push."""

    allowed: bool
    lines: list[str]
    """For the person who pushes."""
    refused: tuple[Refusal, ...] = ()
    """For the log; they are kept already."""


class Judge:
    """Judges one push after the other with what it has open. Not for several threads at once."""

    def __init__(self, settings: Settings, membership: Membership, usage: Usage) -> None:
        self._settings = settings
        self._membership = membership
        self._usage = usage
        self._rules = Rules(settings.branches.rules)

    def answer(self, updates: bytes, environ: Mapping[str, str], user: int, pusher: Pusher | None = None) -> Answer:
        """Judge the moved refs in `updates` (pre-receive's standard input), and keep what is refused.

        `environ` and `user` are those of the hook; `pusher` if that is known
        already. What cannot be judged is refused.
        """
        moved: tuple[RefUpdate, ...] = ()
        try:
            moved = parse_updates(updates)
            repository = str(self._settings.branches.repository)
            if pusher is None:
                pusher = identify(self._settings.pushes.identity, repository, environ, time.time(), user)
            verdict = self.judge(moved, pusher, environ)
        except ToolkitError as error:
            reasons = dict.fromkeys((update.ref for update in moved), str(error)) or {"-": str(error)}
            return self._refuse([refusal(error)], moved, pusher, reasons)
        if verdict.allowed:
            return Answer(True, verdict.lines())
        reasons = {one.ref: "; ".join(one.problems) or "could be accepted without the others" for one in verdict.refs}
        denied = frozenset(one.ref for one in verdict.refs if verdict.checked is None and not one.allowed)
        return self._refuse(verdict.lines(), moved, pusher, reasons, denied)

    def _refuse(
        self,
        lines: list[str],
        moved: tuple[RefUpdate, ...],
        pusher: Pusher | None,
        reasons: Mapping[str, str],
        denied: frozenset[str] = frozenset(),
    ) -> Answer:
        number = secrets.token_hex(4)
        who, via = (pusher.name, pusher.via) if pusher is not None else ("-", "-")
        ends = {update.ref: (str(update.old), str(update.new)) for update in moved}
        refused = tuple(
            Refusal(time.time(), number, who, via, clean(ref), *ends.get(ref, ("-", "-")), clean(reason), ref in denied)
            for ref, reason in reasons.items()
        )
        with suppress(OSError):  # a full disk is no reason to let the hook die before the person knows why
            keep(str(self._settings.branches.repository), refused)
        return Answer(False, [*lines, f"(push {number} in the server's log)"], refused)

    def judge(self, updates: tuple[RefUpdate, ...], pusher: Pusher, environ: Mapping[str, str]) -> PushVerdict:
        """Return the verdict about a push of `pusher`; `environ` is that of the hook.

        Raise `ToolkitError` if it cannot be told what they may.
        """
        repository = str(self._settings.branches.repository)
        began = time.perf_counter()
        moves = [policy.read(update, self._rules) for update in updates]
        objects = Incoming(repository, environ)
        with objects:
            person = self._membership.person(pusher.name)
            making = any(move.update.creates for move in moves)
            existing = objects.branches() if making else {}
            obstacles = policy.obstacles(moves, existing, self._rules, self._counts(objects) if making else None)
            judged = [self._judge(person, move, objects, obstacles.get(move.update.ref, "")) for move in moves]
            verdicts = [one.verdict for one in judged]
            if not all(verdict.allowed for verdict in verdicts):
                return PushVerdict(tuple(verdicts))
            examination = Examination(objects, self._settings, who=str(pusher.name), usage=self._usage)
            coming = [move.update.new for move in moves if _is_operators(move)]
            verdicts = [_examined(move, existing, coming, examination) for move in moves]
            notes: list[str] = []
            if all(verdict.allowed for verdict in verdicts):
                verdicts = [
                    self._compiled(move, verdict, objects, notes) for move, verdict in zip(moves, verdicts, strict=True)
                ]
            if all(verdict.allowed for verdict in verdicts):
                leaving.note(repository, [one.leaving for one in judged if one.leaving is not None])
            checked = Checked(
                pusher.name,
                examination.files,
                deletes=any(one.move.update.deletes and one.leaving is not None for one in judged),
                brings=any(not move.update.deletes for move in moves),
                seconds=time.perf_counter() - began,
            )
            unchecked, advice = tuple(examination.unchecked.items()), (*examination.advice, *notes)
            return PushVerdict(tuple(verdicts), checked, unchecked, advice)

    def _compiled(self, move: Move, verdict: RefVerdict, objects: Incoming, notes: list[str]) -> RefVerdict:
        """Return the verdict after the branch's nodes were compiled, where that is asked for; add to `notes`."""
        if move.place is None or move.update.deletes or not policy.must_compile(self._settings, move.place.branch):
            return verdict
        from git_hooks.push import compiles  # a push that nobody compiles does not wait for it

        found = compiles.compiled(self._settings, self._usage, objects, move.place, move.update.new)
        notes += found.notes
        return verdict._replace(problems=found.problems)

    def _counts(self, objects: Incoming) -> Counts:
        """Return how many branches a project may have, and has in the archive."""
        archived: Counter[ProjectName] = Counter()
        for ref, _ in objects.refs(policy.ARCHIVE):
            name = ref.removeprefix(policy.ARCHIVE).rpartition("@")[0]
            project = policy.project_of(BranchName(name), self._rules) if BranchName.accepts(name) else None
            if project is not None:
                archived[project] += 1
        return Counts(self._settings.branches.project_branches, archived)

    def _judge(self, person: Person, move: Move, objects: Incoming, obstacle: str) -> _Judged:
        try:
            facts = self._facts(person, move, objects)
        except ToolkitError as error:
            return _Judged(move, RefVerdict(move.update.ref, (str(error),)))
        left = None
        if move.what is not None and (move.update.deletes or facts.rewrites):
            left = Leaving(move.what.branch, move.update.old)
        return _Judged(move, policy.judge(person, move, facts, obstacle), left)

    def _facts(self, person: Person, move: Move, objects: Incoming) -> Facts:
        """Find out what the verdict needs, and nothing that the person's role makes superfluous."""
        place, update = move.what, move.update
        if move.refused or place is None:
            return Facts()
        if update.deletes:
            if place.project is None or not policy.judge(person, move, Facts()).allowed:
                return Facts()
            if objects.tip(place.branch) != update.old:
                return Facts(moved=True)
            if isinstance(place, Proposal):
                return Facts()
            try:
                return Facts(used_by=self._usage.nodes_for_certain(place.environment))
            except UsageUnknown as unknown:
                return Facts(users_unknown=str(unknown))
        if update.creates:
            project = place.project
            if project is None or not policy.judge(person, move, Facts()).allowed:
                return Facts()
            if not person.belongs_to(project) and not self._membership.project_exists(project):
                return Facts(project_exists=False)
            return Facts(rival=None if isinstance(place, Proposal) else self._membership.rival(place, self._rules))
        return Facts(rewrites=objects.rewrites(update.old, update.new))


def _is_operators(move: Move) -> bool:
    """Tell whether a move lets a branch of no project show something."""
    return move.place is not None and move.place.project is None and not move.update.deletes


def _examined(
    move: Move, existing: Mapping[BranchName, ObjectId], coming: Sequence[ObjectId], examination: Examination
) -> RefVerdict:
    update = move.update
    if update.deletes:
        return RefVerdict(update.ref)
    old = None if update.creates else update.old
    return RefVerdict(update.ref, examination.problems(update.new, old, move.what, existing, coming, update.ref))
