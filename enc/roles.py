"""The table of roles and actions: which role may do what to a project. Pure, and cheap to import.

The console, the command line and the hooks all ask `allowed`. What an edit of
the directory needs is told by authorize.py, what a push needs by
git_hooks/policy.py; both in the words of `Action`. Whatever is in no row of
the table is for operators.

Here and not in authorize.py because a hook starts anew for each push and must
not wait for what only edits need.

Not here: who somebody is (people.py).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from enc.names import ProjectName


class Role(Enum):
    """What somebody is towards one project."""

    OPERATOR = "operator"
    PROJECTADMIN = "projectadmin"
    MEMBER = "member"
    OTHER = "other"


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
    TAG_PUSH = "make, move or delete tags"


_OPERATORS = frozenset({Role.OPERATOR})
_ADMINS = frozenset({Role.OPERATOR, Role.PROJECTADMIN})
_MEMBERS = frozenset({Role.OPERATOR, Role.PROJECTADMIN, Role.MEMBER})

TABLE: dict[Action, frozenset[Role]] = {
    Action.READ: frozenset(Role),
    Action.NODE_ADD: _ADMINS,
    Action.NODE_EDIT: _ADMINS,
    Action.NODE_TRY: _MEMBERS,
    Action.NODE_REMOVE: _ADMINS,
    Action.NODE_MOVE: _OPERATORS,
    Action.SIGNING_READ: _MEMBERS,
    Action.PREFIX_EDIT: _ADMINS,
    Action.PROJECT_EDIT: _ADMINS,
    Action.PROJECT_MEMBERS: _ADMINS,
    Action.PROJECT_ADD: _OPERATORS,
    Action.PROJECT_DELETE: _OPERATORS,
    Action.SITE_EDIT: _OPERATORS,
    Action.GROUP_EDIT: _OPERATORS,
    Action.OTHER_EDIT: _OPERATORS,
    Action.BRANCH_PUSH: _MEMBERS,
    Action.BRANCH_FORCE: _ADMINS,
    Action.BRANCH_DELETE: _ADMINS,
    Action.SITE_BRANCH_PUSH: _OPERATORS,
    Action.SITE_BRANCH_FORCE: _OPERATORS,
    Action.TAG_PUSH: _OPERATORS,
}
"""Every action, and the roles that may do it (docs/editing.md and docs/pushing.md show the same table)."""

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


class Person(NamedTuple):
    """Somebody who wants something, and what they are."""

    name: str
    """As it is shown and recorded."""
    dn: str = ""
    """Their entry; empty for the local operator."""
    operator: bool = False
    admin_of: frozenset[ProjectName] = frozenset()
    member_of: frozenset[ProjectName] = frozenset()

    def role(self, project: ProjectName | None) -> Role:
        """Return the person's highest role towards `project`; None: towards what belongs to no project."""
        if self.operator:
            return Role.OPERATOR
        if project in self.admin_of:
            return Role.PROJECTADMIN
        return Role.MEMBER if project in self.member_of else Role.OTHER


class Verdict(NamedTuple):
    """Whether somebody may, and the sentence that says why not."""

    allowed: bool
    reason: str = ""


_STANDING = {
    Role.OPERATOR: "is an operator, but",
    Role.PROJECTADMIN: "is an admin of project {project}, but",
    Role.MEMBER: "is a member of project {project}, but",
    Role.OTHER: "is not a member of project {project} and",
}
_PLURAL = {
    Role.OPERATOR: "operators",
    Role.PROJECTADMIN: "its admins",
    Role.MEMBER: "its members",
    Role.OTHER: "everybody",
}


def allowed(person: Person, action: Action, project: ProjectName | None) -> Verdict:
    """Say whether `person` may do `action` to `project`."""
    role = person.role(project)
    if role in TABLE[action]:
        return Verdict(True)
    *others, last = [_PLURAL[role] for role in reversed(tuple(Role)) if role in TABLE[action]]
    who = f"{', '.join(others)} and {last}" if others else last
    if project is not None and action not in _OF_NO_PROJECT:
        standing = _STANDING[role].format(project=project)
        return Verdict(False, f"{person.name} {standing} may not {action.value} it; {who} may")
    what = action.value if action in _OF_NO_PROJECT else f"{action.value} something that belongs to no project"
    return Verdict(False, f"{person.name} is not an operator and may not {what}; operators may")
