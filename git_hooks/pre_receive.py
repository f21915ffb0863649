"""Judges a push before git takes it: who pushes, may they, is what they bring sound?

Gathers the facts that policy.py decides on, in the order of what they cost,
and lets the checks look at trees only if the person may push at all. The
objects are read where git keeps them meanwhile (quarantine). Changes nothing
but what membership.py keeps.

Fails closed: an error is a refusal, told in one line.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from enc.errors import NotFound, ToolkitError
from enc.roles import Person
from git_hooks import policy
from git_hooks.checks import CHECKS
from git_hooks.checks.look import Limits
from git_hooks.environments import Place, Rules
from git_hooks.incoming import Incoming, Inspection
from git_hooks.policy import Facts, Move
from git_hooks.pusher import identify
from git_hooks.refs import BranchName, ObjectId, parse_updates
from git_hooks.usage import Usage, UsageUnknown
from git_hooks.verdict import PushVerdict, RefVerdict

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.membership import Membership

_BASES = 4
"""So many branches of its project, and so many of none, a new one is compared with at most."""


class Judge:
    """Judges one push after the other with what it has open. Not for several threads at once."""

    def __init__(self, settings: Settings, membership: Membership, usage: Usage) -> None:
        self._settings = settings
        self._membership = membership
        self._usage = usage
        self._rules = Rules(settings.branches.rules)
        pushes = settings.pushes
        self._limits = Limits(
            pushes.file_bytes, pushes.push_bytes, pushes.files, pushes.directory_entries, pushes.submodules
        )

    def judge(self, updates: bytes, environ: Mapping[str, str], user: int) -> PushVerdict:
        """Return the verdict about the moved refs in `updates` (pre-receive's standard input).

        `environ` and `user` are those of the hook. Raise `ToolkitError` if who
        pushes cannot be told, or not what they may.
        """
        repository = str(self._settings.branches.repository)
        moves = [policy.read(update, self._rules) for update in parse_updates(updates)]
        pusher = identify(self._settings.pushes.identity, repository, environ, time.time(), user)
        objects = Incoming(repository, environ)
        with objects:
            person = self._membership.person(pusher.name)
            making = any(move.update.creates for move in moves)
            existing = objects.branches() if making else {}
            obstacles = policy.obstacles(moves, existing, self._rules)
            verdicts = [self._judge(person, move, objects, obstacles.get(move.update.ref, "")) for move in moves]
            if all(verdict.allowed for verdict in verdicts):
                inspection = Inspection(objects, CHECKS, self._limits)
                verdicts = [self._inspect(move, objects, existing, inspection) for move in moves]
            return PushVerdict(tuple(verdicts))

    def _judge(self, person: Person, move: Move, objects: Incoming, obstacle: str) -> RefVerdict:
        try:
            return policy.judge(person, move, self._facts(person, move, objects), obstacle)
        except ToolkitError as error:
            return RefVerdict(move.update.ref, (str(error),))

    def _facts(self, person: Person, move: Move, objects: Incoming) -> Facts:
        """Find out what the verdict needs, and nothing that the person's role makes superfluous."""
        place, update = move.place, move.update
        if move.refused or place is None:
            return Facts()
        if update.deletes:
            if place.project is None or not policy.judge(person, move, Facts()).allowed:
                return Facts()
            try:
                return Facts(used_by=self._usage.nodes_for_certain(place.environment))
            except UsageUnknown as unknown:
                return Facts(users_unknown=str(unknown))
        if update.creates:
            project = place.project
            known = project is None or project in person.admin_of or project in person.member_of
            return Facts(project_exists=known or not person.operator or self._exists(move))
        return Facts(rewrites=objects.rewrites(update.old, update.new))

    def _exists(self, move: Move) -> bool:
        assert move.place is not None and move.place.project is not None
        return self._membership.project_exists(move.place.project)

    def _inspect(
        self, move: Move, objects: Incoming, existing: Mapping[BranchName, ObjectId], inspection: Inspection
    ) -> RefVerdict:
        update = move.update
        if update.deletes:
            return RefVerdict(update.ref)
        try:
            tree = objects.commit(objects.commit_of(update.new) if move.place is None else update.new)[0]
            known = [objects.commit(tip)[0] for tip in self._tips(move, objects, existing)]
            problems = tuple(problem.text for problem in inspection.problems(tree, dict.fromkeys(known)))
        except NotFound:
            problems = ("does not name a commit",)
        except ToolkitError as error:
            problems = (str(error),)
        return RefVerdict(update.ref, problems)

    def _tips(self, move: Move, objects: Incoming, existing: Mapping[BranchName, ObjectId]) -> list[str]:
        """Return the commits whose trees are known: the branch's own, for a new one those that it likely began from."""
        update = move.update
        if not update.creates:
            return [objects.commit_of(update.old)]
        project = move.place.project if move.place is not None else None
        common, own = [], []
        for branch, tip in existing.items():
            place = self._place(branch)
            if place is not None and place.project is None:
                common.append(str(tip))
            elif place is not None and place.project == project:
                own.append(str(tip))
        return [*common[:_BASES], *own[:_BASES]]

    def _place(self, branch: BranchName) -> Place | None:
        try:
            return self._rules.place(branch)
        except ToolkitError:
            return None
