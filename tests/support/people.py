"""People with the roles that they have, as tests write them; and the table of roles as the docs show it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from enc.rights.roles import MEMBER, OPERATOR, PROJECTADMIN, ROLES, SITE_BRANCHES, Action, Held, Holding, Person, Role
from enc.terms import dn
from enc.terms.names import BranchName, ProjectName

REVIEWER = Role(
    "reviewer",
    Held.GROUP,
    frozenset({Action.SITE_BRANCH_PUSH, Action.NODE_TRY}),
    one="a reviewer",
    many="reviewers",
    entry=lambda settings: dn.build("cn", "reviewers", settings.groups_base),
    branches=frozenset({BranchName("test")}),
)
KEEPER = Role(
    "keeper",
    Held.OCCUPANT,
    frozenset({Action.NODE_ADD, Action.NODE_EDIT}),
    one="a keeper of project {project}",
    many="its keepers",
    entry=lambda settings: "keeper",
)
TABLE = (ROLES[0], REVIEWER, *ROLES[1:-1], KEEPER, ROLES[-1])
"""A table with two rows more than the product's: one of the site, one of a project."""


def person(
    name: str, *, operator: bool = False, admin_of: Iterable[ProjectName] = (), member_of: Iterable[ProjectName] = ()
) -> Person:
    holds = {Holding(PROJECTADMIN.name, project) for project in admin_of}
    holds |= {Holding(MEMBER.name, project) for project in member_of}
    return Person(name, holds=frozenset(holds | ({Holding(OPERATOR.name)} if operator else set())))


def who(action: Action, table: tuple[Role, ...] = ROLES) -> str:
    """Return who may do `action`, as a table in the docs says it."""
    may = [role for role in table if action in role.may]
    if any(role.held is Held.EVERYBODY for role in may):
        return "everybody"
    return ", ".join(f"{role.name}{_only(role, action)}" for role in may)


def _only(role: Role, action: Action) -> str:
    only = role.branches is not None and action in SITE_BRANCHES
    return f" ({', '.join(sorted(role.branches or ()))})" if only else ""


def rows(document: str, name: str = "[A-Z_]+") -> dict[str, str]:
    """Return first → last column of the lines of three columns in docs/`document` that begin with a `name`."""
    text = (Path(__file__).parents[2] / "docs" / document).read_text(encoding="utf-8")
    return dict(re.findall(rf"^\| `({name})` \|[^|]*\| ([^|]+) \|$", text, re.MULTILINE))
