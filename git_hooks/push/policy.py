"""Who may move which ref: facts about each moved ref in, a verdict out. Pure.

| ref | make, add commits | rewrite | delete |
|---|---|---|---|
| a project's branch (the rule has `<name>`) | members | admins | admins, if no node uses it |
| a proposal (the rule ends in `-`) | members | admins | admins |
| any other branch with a rule (test, production) | operators | operators | nobody |
| refs/tags/ | operators | operators | operators |
| refs/archive/ and everything else | nobody | nobody | nobody |

Which role that takes stands in the one table (enc/rights/roles.py); `needs` says which
row of it a move needs. Beside the person's right, a branch must be possible:
its project exists, its environment is its own and could be no other project's, git can keep it beside the others.

Not here: finding the facts (pre_receive.py), what the tree holds (checks/).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from enc.rights.roles import Action, Held, Person, allowed
from enc.terms.environments import Place, Proposal, Rules
from enc.terms.errors import InvalidName
from enc.terms.names import BranchName, Certname, EnvironmentName, ProjectName
from git_hooks.push.verdict import RefVerdict
from git_hooks.repository.refs import RefUpdate

if TYPE_CHECKING:
    from enc.settings import Settings

TAGS = "refs/tags/"
ARCHIVE = "refs/archive/"

ARCHIVED = 5
"""So many times as many branches as a project may have, the archive may hold of it before it can make another."""
_NAMES_SHOWN = 5


class Move(NamedTuple):
    """One moved ref, and what its name alone says about it."""

    update: RefUpdate
    place: Place | None = None
    """The environment it becomes; None: it is a tag, a proposal, or refused."""
    refused: str = ""
    """Why a ref of this name is refused, whoever pushes it."""
    proposal: Proposal | None = None
    """It is a branch that becomes no environment, for others to read."""

    @property
    def what(self) -> Place | Proposal | None:
        """What the branch is for; None: it is a tag, or refused."""
        return self.place or self.proposal


class Facts(NamedTuple):
    """What was found out about one moved ref. What a move does not need may be left at its default."""

    rewrites: bool = False
    """It forgets commits: the new commit does not contain the old one."""
    project_exists: bool = True
    """The project of a new branch has an entry in LDAP."""
    rival: ProjectName | None = None
    """Another project, to which the environment of a new branch belongs rather, or just as well."""
    used_by: tuple[Certname, ...] = ()
    """The nodes whose environment goes away with the branch."""
    users_unknown: str = ""
    """Why it cannot be told which nodes use it."""
    moved: bool = False
    """A branch that is to go is not at the commit that the push says. git looks at that only if it has the commit."""


def read(update: RefUpdate, rules: Rules) -> Move:
    """Return what the name of a moved ref says."""
    ref = update.ref
    try:
        if ref.startswith(ARCHIVE):
            return Move(update, refused="deleted branches are kept here; restore one with `branch-manager restore`")
        if ref.startswith(TAGS):
            BranchName(ref.removeprefix(TAGS))  # a tag's name goes the same ways as a branch's
            return Move(update)
        branch = BranchName.of_ref(ref)
        if branch is None:
            return Move(update, refused="only branches and tags are accepted here")
        place = rules.place(branch)
    except InvalidName as error:
        return Move(update, refused=error.message)
    if place is None and (proposal := rules.proposal(branch)) is not None:
        return Move(update, proposal=proposal)
    if place is None:
        return Move(update, refused="no rule makes an environment from a branch with this name (see branches.rules)")
    if place.project is not None and update.creates and not rules.claims(place.environment):
        return Move(update, refused=f"it would become environment {place.environment}, which belongs to the site")
    return Move(update, place)


PUSHES = frozenset(
    {
        *(Action.BRANCH_PUSH, Action.BRANCH_FORCE, Action.BRANCH_DELETE),
        *(Action.SITE_BRANCH_PUSH, Action.SITE_BRANCH_FORCE, Action.TAG_PUSH),
    }
)
"""What a push can be."""


def nothing(person: Person) -> str:
    """Return why `person` may push nothing at all; empty: something, and which ref is looked at later.

    Asked before git starts: git unpacks all that comes before it asks anybody.
    """
    held = {holding.role for holding in person.holds}
    for role in person.table:
        if role.may & PUSHES and (role.held is Held.EVERYBODY or role.name in held):
            return ""
    return f"{person.name} is neither in a project nor an operator and may not push here"


def needs(move: Move, *, rewrites: bool) -> tuple[Action, ProjectName | None]:
    """Return what somebody must be allowed to do for `move`, and to which project."""
    if move.what is None:
        return Action.TAG_PUSH, None
    project = move.what.project
    if project is None:
        return (Action.SITE_BRANCH_FORCE if rewrites else Action.SITE_BRANCH_PUSH), None
    if move.update.deletes:
        return Action.BRANCH_DELETE, project
    return (Action.BRANCH_FORCE if rewrites else Action.BRANCH_PUSH), project


def judge(person: Person, move: Move, facts: Facts, obstacle: str = "") -> RefVerdict:
    """Return the verdict about one move; `obstacle` is what `obstacles` found about it."""
    ref = move.update.ref
    if move.refused:
        return RefVerdict(ref, (move.refused,))
    if move.update.deletes and move.place is not None and move.place.project is None:
        return RefVerdict(ref, ("this branch belongs to no project, and such branches cannot be deleted by a push",))
    action, project = needs(move, rewrites=facts.rewrites)
    branch = move.what.branch if move.what is not None else None
    verdict = allowed(person, action, project, branch)
    if not verdict.allowed:
        hint = "; this is a forced push and would drop commits; fetch, rebase or merge, then push again"
        rewrites = action in (Action.BRANCH_FORCE, Action.SITE_BRANCH_FORCE)
        return RefVerdict(ref, (verdict.reason + (hint if rewrites else ""),))
    if move.what is not None and move.update.creates and not facts.project_exists:
        return RefVerdict(ref, (f"there is no project {project} in LDAP, so nobody could use this branch",))
    if move.place is not None and facts.rival is not None:
        text = f"it would become environment {move.place.environment}, which can also belong to project {facts.rival}; "
        return RefVerdict(ref, (text + "choose another name",))
    if obstacle:
        return RefVerdict(ref, (obstacle,))
    if facts.moved:
        return RefVerdict(ref, ("the branch has moved since you fetched; fetch and push again",))
    if move.place is not None and move.update.deletes:
        return RefVerdict(ref, _still_used(move.place.environment, facts))
    return RefVerdict(ref)


def _still_used(environment: EnvironmentName, facts: Facts) -> tuple[str, ...]:
    if facts.users_unknown:
        return (f"cannot find out whether nodes still use environment {environment}: {facts.users_unknown}",)
    if not facts.used_by:
        return ()
    count = len(facts.used_by)
    nodes = "1 node still uses" if count == 1 else f"{count} nodes still use"
    return (f"{nodes} environment {environment}: {some(facts.used_by)}; give them another environment first",)


def some(names: tuple[Certname, ...], most: int = _NAMES_SHOWN) -> str:
    """Return the first `most` names in a text, and how many more there are."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


class Counts(NamedTuple):
    """How many branches a project may have."""

    most: int
    """There, and as many more in a push as go with it."""
    archived: Mapping[ProjectName, int] = MappingProxyType({})
    """How many branches of each project are kept in the archive."""

    def excess(self, project: ProjectName, present: int) -> str:
        """Return why `project` cannot have `present` branches; empty: it can."""
        if present > self.most:
            return f"project {project} may have at most {self.most} branches (branches.project_branches)"
        if self.archived.get(project, 0) >= ARCHIVED * self.most:
            return (
                f"too many branches of project {project} were deleted recently and are kept in the archive; an "
                "operator can shorten branches.archive_kept"
            )
        return ""


def obstacles(
    moves: Iterable[Move], existing: Iterable[BranchName], rules: Rules, counts: Counts | None = None
) -> dict[str, str]:
    """Return ref → why a branch that the push makes cannot be, looking at all branches there will be.

    Two branches must not become one environment; names that differ only in
    case count as one. And git cannot have a branch `a` beside a branch `a/b`;
    it would say so only after other refs of the same push had moved.
    """
    moves = [move for move in moves if not move.refused]
    gone = {move.update.ref for move in moves if move.update.deletes}
    made = {
        move.what.branch: move.what
        for move in moves
        if move.what is not None and move.update.creates and not move.update.deletes
    }
    if not made:
        return {}
    present = {branch: _what(branch, rules) for branch in existing if branch.ref not in gone} | made
    by_environment: dict[str, list[BranchName]] = {}
    for branch, what in present.items():
        if isinstance(what, Place):
            by_environment.setdefault(what.environment.lower(), []).append(branch)
    of_projects = Counter(what.project for what in present.values() if what is not None)
    below: dict[str, BranchName] = {}
    for branch in sorted(present):
        for above in _above(branch):
            below.setdefault(above, branch)
    found = {}
    for branch, what in made.items():
        place = what if isinstance(what, Place) else None
        rivals = sorted(set(by_environment[place.environment.lower()]) - {branch}) if place is not None else []
        # What git cannot have together with it.
        near = next((BranchName(above) for above in _above(branch) if above in present), below.get(branch))
        if place is not None and rivals:
            found[branch.ref] = (
                f"it would become environment {place.environment}, which belongs to branch {rivals[0]}; choose "
                "another name"
            )
        elif near is not None:
            found[branch.ref] = f"git cannot store it beside branch {near}: one name is a directory of the other"
        elif counts and what.project and (why := counts.excess(what.project, of_projects[what.project])):
            found[branch.ref] = why
    return found


def must_compile(settings: Settings, branch: BranchName) -> bool:
    """Tell whether a push to `branch` is refused if nodes do not compile any more, and somebody can compile them."""
    pushes = settings.pushes
    can = pushes.effects == "compile" and bool(settings.branches.puppetserver.urls)
    return can and named(branch, pushes.compile)


def named(branch: str, patterns: Iterable[str]) -> bool:
    """Tell whether a setting that lists branches has this one; `*` matches anything."""
    return any(fnmatchcase(branch, pattern) for pattern in patterns)


def project_of(branch: BranchName, rules: Rules) -> ProjectName | None:
    """Return whose a branch is; None for the site's, and for one that no rule knows."""
    what = _what(branch, rules)
    return what.project if what is not None else None


def _what(branch: BranchName, rules: Rules) -> Place | Proposal | None:
    return rules.place_or_none(branch) or rules.proposal(branch)


def _above(branch: BranchName) -> list[str]:
    """Return the directories that git keeps `branch` in, the highest first."""
    parts = branch.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
