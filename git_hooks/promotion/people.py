"""Who somebody is towards a promotion: their roles, what they may move, and whether a change is their own.

Who pushed a commit was vouched for (push/pushed.py), and weighs most. Who wrote it is what the commit says of itself;
it is compared with the person's uid, names and addresses in LDAP.

Not here: what follows (rules.py). Failure modes: LDAP cannot be asked: `DirectoryUnreachable`, and nothing is promoted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from enc.rights.roles import Held, Person
from enc.settings import Settings
from enc.terms.errors import NotFound
from enc.terms.filters import folded
from enc.terms.names import PersonName, ProjectName
from git_hooks.promotion.rungs import Rung
from git_hooks.push import policy
from git_hooks.push.membership import Membership
from git_hooks.push.policy import Facts, Move
from git_hooks.push.pushed import Pushed
from git_hooks.repository.patches import Told
from git_hooks.repository.refs import ObjectId, RefUpdate


class People:
    """Asks about people; keeps what was said. For one look."""

    def __init__(self, settings: Settings, membership: Membership) -> None:
        self._settings = settings
        self._membership = membership
        self._known: dict[str, Person | None] = {}

    def person(self, name: str) -> Person | None:
        """Return somebody with their roles; None: LDAP has nobody of this name."""
        if name not in self._known:
            try:
                self._known[name] = self._membership.person(PersonName(name)) if PersonName.accepts(name) else None
            except NotFound:
                self._known[name] = None
        return self._known[name]

    def roles(self, name: str, project: ProjectName | None) -> tuple[str, ...]:
        """Return the names of the roles that somebody holds towards a project; None: towards the site."""
        person = self.person(name)
        if person is None:
            return ()
        return tuple(role.name for role in person.roles(project) if role.held is not Held.EVERYBODY)

    def why_not(self, name: str, rung: Rung, old: ObjectId, new: ObjectId) -> str:
        """Return why somebody may not move the branch of `rung` by a push; empty: they may."""
        person = self.person(name)
        if person is None:
            return f"{name} has no entry in LDAP; --as names the person who decides"
        move = Move(RefUpdate(old, new, rung.branch.ref), rung.place)
        return "; ".join(policy.judge(person, move, Facts()).problems)

    def own(self, name: str, proposer: str, authors: Iterable[Told], pushers: Iterable[str]) -> str:
        """Return why a change is somebody's own; empty: it is not. Case does not count in uids, as in LDAP."""
        if folded(name) == folded(proposer):
            return "proposed it"
        if folded(name) in map(folded, pushers):
            return "pushed a commit of it"
        words: frozenset[str] | None = None
        for told in authors:
            if words is None:
                words = self._membership.called(PersonName(name)) if PersonName.accepts(name) else frozenset()
            if words & _said(told):
                return "wrote a commit of it"
        return ""


def _said(told: Told) -> frozenset[str]:
    """Return how a commit calls its author, in lower case."""
    mails = {told.author_email.lower(), told.committer_email.lower()}
    return frozenset({told.author.lower(), told.committer.lower(), *mails, *(one.partition("@")[0] for one in mails)})


def pushers(
    pushes: Sequence[Pushed], commits: Iterable[ObjectId], brought: Callable[[str, str], Iterable[ObjectId]]
) -> frozenset[str]:
    """Return who pushed any of `commits`; `brought` returns what a push from one commit to another brought."""
    wanted = frozenset(commits)
    found: set[str] = set()
    for one in pushes:
        if one.who in found:
            continue
        if one.new in wanted or wanted.intersection(brought(one.old, one.new)):
            found.add(one.who)
    return frozenset(found)
