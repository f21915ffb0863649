"""The table of roles: who has them, what they may do, and how they are called. Pure, and cheap to import.

A role is a row of `ROLES`, or one that the configuration adds (`projects.roles`, `table_of`), and nothing else has to
know of it: people.py looks in LDAP for whoever holds it,
git_hooks/push/membership.py keeps that, `allowed` answers the console, the command line and the hooks, and says why
not, and directory/access.py makes slapd's rules of the same rows. docs/editing.md and docs/pushing.md show the table;
a test fails until they show a new row.

What an edit of the directory needs is told by authorize.py, what a push needs by git_hooks/push/policy.py; both in the
words of `Action`. Whatever no row names is for nobody.

Here and not in authorize.py because a hook starts anew for each push and must not wait for what only edits need.

Not here: who somebody is (people.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.errors import InvalidName
from enc.terms.names import BranchName, ProjectName

if TYPE_CHECKING:
    from enc.settings import Settings


class Action(Enum):
    """What can be done, in the words of a refusal."""

    READ = "read"
    NODE_ADD = "add a node to"
    NODE_EDIT = "edit the nodes of"
    NODE_TRY = "try a branch on a node of"
    NODE_REMOVE = "remove nodes of"
    NODE_MOVE = "move a node into or out of"
    SIGNING_READ = "read the journal of signing of"
    PREFIX_EDIT = "edit the prefixes of"
    PROJECT_EDIT = "edit the classification of"
    PROJECT_MEMBERS = "change who is in"
    PROJECT_ADD = "add"
    PROJECT_DELETE = "delete"
    SITE_EDIT = "edit the site's default"
    GROUP_EDIT = "edit groups"
    OTHER_EDIT = "edit entries that belong to no project"
    BRANCH_PUSH = "push to a branch of"
    BRANCH_FORCE = "rewrite a branch of"
    BRANCH_DELETE = "delete a branch of"
    SITE_BRANCH_PUSH = "move a branch that belongs to no project"
    SITE_BRANCH_FORCE = "rewrite a branch that belongs to no project"
    TAG_PUSH = "create, move or delete tags"


_OF_NO_PROJECT = frozenset(
    {
        Action.SITE_EDIT,
        Action.GROUP_EDIT,
        Action.OTHER_EDIT,
        Action.SITE_BRANCH_PUSH,
        Action.SITE_BRANCH_FORCE,
        Action.TAG_PUSH,
    }
)
SITE_BRANCHES = frozenset({Action.SITE_BRANCH_PUSH, Action.SITE_BRANCH_FORCE})
"""What is done to one of the branches that belong to no project, `test` and `production` for example."""


class Held(Enum):
    """How LDAP says that somebody holds a role."""

    GROUP = "`member` of a group (groupOfNames): towards everything"
    OCCUPANT = "`roleOccupant` of an entry below the project's (organizationalRole): towards this project"
    MEMBER = "`member` of the project's entry: towards this project"
    EVERYBODY = "by everybody whom LDAP knows"


class Role(NamedTuple):
    """One row: what somebody can be, and what that allows. Nobody may do less for holding one more."""

    name: str
    """In documents and in the docs; a word of lower-case letters."""
    held: Held
    may: frozenset[Action]
    one: str
    """For `anna is …`; with {project} if the role is held in one."""
    many: str
    """For `… may`."""
    entry: Callable[[Settings], str] | None = None
    """The DN of the group; of an occupants' entry the cn. None: where no entry of its own says it."""
    branches: frozenset[BranchName] | None = None
    """Of the branches that belong to no project, those that its rights to such are about; None: all."""

    def grants(self, action: Action, branch: BranchName | None = None) -> bool:
        """Tell whether the role may do `action`; `branch`: to which, if that is about one that has no project."""
        if action in SITE_BRANCHES and self.branches is not None and branch not in self.branches:
            return False
        return action in self.may


_EVERYBODY_MAY = frozenset({Action.READ})
_MEMBERS_MAY = _EVERYBODY_MAY | {Action.NODE_TRY, Action.SIGNING_READ, Action.BRANCH_PUSH}
_ADMINS_MAY = _MEMBERS_MAY | {
    Action.NODE_ADD,
    Action.NODE_EDIT,
    Action.NODE_REMOVE,
    Action.PREFIX_EDIT,
    Action.PROJECT_EDIT,
    Action.PROJECT_MEMBERS,
    Action.BRANCH_FORCE,
    Action.BRANCH_DELETE,
}

OPERATOR = Role(
    "operator",
    Held.GROUP,
    frozenset(Action),
    one="an operator",
    many="operators",
    entry=lambda settings: settings.operators_dn,
)
PROJECTADMIN = Role(
    "projectadmin",
    Held.OCCUPANT,
    _ADMINS_MAY,
    one="an admin of project {project}",
    many="its admins",
    entry=lambda settings: settings.projects.admin_role,
)
MEMBER = Role("member", Held.MEMBER, _MEMBERS_MAY, one="a member of project {project}", many="its members")
OTHER = Role("other", Held.EVERYBODY, _EVERYBODY_MAY, one="not a member of project {project}", many="everybody")

ROLES: tuple[Role, ...] = (OPERATOR, PROJECTADMIN, MEMBER, OTHER)
"""The table, the highest role first: of several that somebody holds, a refusal names the first."""


def table_of(settings: Settings) -> tuple[Role, ...]:
    """Return the table with the site's own roles, which are held below a project; the highest first."""
    return table_with(tuple((role.name, role.may) for role in settings.projects.roles))


@lru_cache(maxsize=16)
def table_with(own: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[Role, ...]:
    """Return the table with roles of the site's own: name, and the names of actions; each allows to read, too."""
    if not own:
        return ROLES
    place = ROLES.index(MEMBER)
    return (*ROLES[:place], *(_own(name, may) for name, may in own), *ROLES[place:])


def _own(name: str, may: tuple[str, ...]) -> Role:
    return Role(
        name,
        Held.OCCUPANT,
        _EVERYBODY_MAY | {Action[action] for action in may if action in Action.__members__},
        one=f"a {name} of project {{project}}",
        many=f"its {name}s",
        entry=lambda _: name,
    )


def role_entries(settings: Settings, table: tuple[Role, ...] = ROLES) -> frozenset[str]:
    """Return the lower-cased cns of the entries below a project that say who holds a role in it."""
    return frozenset(role.entry(settings).lower() for role in table if role.entry and role.held is Held.OCCUPANT)


class Holding(NamedTuple):
    """That somebody holds a role."""

    role: str
    """Its name."""
    project: ProjectName | None = None
    """Where; None: everywhere."""


class Person(NamedTuple):
    """Somebody who wants something, and what they are."""

    name: str
    """As it is shown and recorded."""
    dn: str = ""
    """Their entry; empty for the local operator."""
    holds: frozenset[Holding] = frozenset()
    """What LDAP says about them; what everybody holds is not among it."""
    table: tuple[Role, ...] = ROLES
    """The roles that LDAP was asked about, which are also those that count."""
    uuid: str = ""
    """entryUUID of their entry; a later entry with the same name has another one. Empty: not known."""

    def roles(self, project: ProjectName | None) -> Iterator[Role]:
        """Yield the roles of the person towards `project`, the highest first; None: what belongs to no project."""
        for role in self.table:
            here = project is not None and Holding(role.name, project) in self.holds
            if here or role.held is Held.EVERYBODY or Holding(role.name) in self.holds:
                yield role

    def role(self, project: ProjectName | None) -> Role:
        """Return the person's highest role towards `project`; None: towards what belongs to no project."""
        return next((role for role in self.roles(project) if role.held is not Held.EVERYBODY), OTHER)

    def belongs_to(self, project: ProjectName) -> bool:
        """Tell whether the person holds a role in this very project (which LDAP then has)."""
        return any(holding.project == project for holding in self.holds)

    def document(self) -> dict[str, object]:
        """Return what `remembered` makes the person of again."""
        holds = sorted([role, project or ""] for role, project in self.holds)
        return {"dn": self.dn, "uuid": self.uuid, "asked": [role.name for role in self.table], "holds": holds}


def remembered(name: str, document: Mapping[str, object], table: tuple[Role, ...] = ROLES) -> Person | None:
    """Return the person that `document` tells of; None: it is no such document, or one that knows other roles.

    A program of another version has perhaps another table. What it noted is not used: a role that it did not ask
    about would be missing for as long.
    """
    place, holds = document.get("dn"), document.get("holds")
    if document.get("asked") != [role.name for role in table] or not isinstance(place, str):
        return None
    try:
        found = frozenset(Holding(role, ProjectName(project) if project else None) for role, project in holds)  # type: ignore[attr-defined]
    except (TypeError, ValueError, InvalidName):
        return None
    places = {role.name: role.held for role in table}
    for holding in found:
        held = places.get(holding.role, Held.EVERYBODY)
        if held is Held.EVERYBODY or (held is Held.GROUP) != (holding.project is None):
            return None
    return Person(name, place, found, table, uuid if isinstance(uuid := document.get("uuid"), str) else "")


class Verdict(NamedTuple):
    """Whether somebody may, and the sentence that says why not."""

    allowed: bool
    reason: str = ""


def allowed(
    person: Person, action: Action, project: ProjectName | None, branch: BranchName | None = None
) -> Verdict:
    """Say whether `person` may do `action` to `project`; `branch`: to which, if that is about one without a project."""
    towards = None if action in _OF_NO_PROJECT else project
    if any(role.grants(action, branch) for role in person.roles(towards)):
        return Verdict(True)
    may = [role for role in person.table if role.grants(action, branch)]
    highest = person.role(towards)
    if towards is not None:
        what = f"{action.value} {'it' if '{project}' in highest.one else f'project {project}'}"
    else:
        may = [role for role in may if role.held is Held.GROUP]
        what = action.value if action in _OF_NO_PROJECT else f"{action.value} something that belongs to no project"
    if highest.held is not Held.EVERYBODY:
        standing = f" is {highest.one.format(project=project)}, but"
    elif towards is not None:
        standing = f" is {highest.one.format(project=project)} and"
    else:
        standing = f" is not {' or '.join(role.one for role in may)} and" if may else ""
    return Verdict(False, f"{person.name}{standing} may not {what}; {_listed(may)} may")


def _listed(roles: list[Role]) -> str:
    """Return who that is, the many before the few."""
    *others, last = [role.many for role in reversed(roles)] or ["nobody"]
    return f"{', '.join(others)} and {last}" if others else last
