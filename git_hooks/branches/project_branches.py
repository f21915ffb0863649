"""Every project has its branch: made when the project is made, or soon after, at a branch of the site (`beginning`).

LDAP knows which projects there are, git which branches. What is missing is
made; nothing is ever taken away here. So it may run at any time, by a timer or
right after `enc-admin project add`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.environments import Place, Rules, collisions
from enc.terms.errors import ConfigurationError, Conflict, NotFound
from enc.terms.names import BranchName, ProjectName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.deploy.targets import Tip
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore

if TYPE_CHECKING:
    from enc.settings import BranchSettings


class Missing(NamedTuple):
    """A project without branch, and the branch that it should have."""

    project: ProjectName
    place: Place | None
    obstacle: str = ""
    """Why the branch cannot be made."""


def missing(
    projects: Iterable[ProjectName], branches: Mapping[BranchName, ObjectId], texts: Iterable[str]
) -> list[Missing]:
    """Return the projects without branch; `texts` are the rules. Pure."""
    rules = Rules(texts)
    present = [place for branch in branches if (place := rules.place_or_none(branch)) is not None]
    having = {place.project for place in present if place.topic is None}
    found = []
    for project in sorted(set(projects) - having):
        place = rules.project_branch(project)
        if place is None:
            found.append(Missing(project, None, "no rule gives a project a branch (branches.rules)"))
            continue
        rivals = [rival for group in collisions([*present, place]).values() if place.branch in group for rival in group]
        taken = next((rival for rival in rivals if rival != place.branch), None)
        obstacle = f"environment {place.environment} belongs to branch {taken}" if taken else ""
        found.append(Missing(project, place, obstacle))
        if not obstacle:
            present.append(place)
    return found


def make(one: Missing, deployer: Deployer, refs: RefStore, who: str) -> Record:
    """Make the branch and its environment.

    Raise `NotFound` without the branch that it begins at, `Conflict` if something is in the way, or git cannot make it.
    """
    if one.place is None or one.obstacle:
        raise Conflict(one.obstacle or "no rule makes it a branch (branches.rules)", where=one.project)
    begins = beginning(deployer.settings)
    tip = deployer.repository.tip(begins)
    if tip is None:
        text = f"there is no branch {begins} from which projects' branches could start (branches.beginning)"
        raise NotFound(text, where=refs.path)
    refs.create(one.place.branch, tip)
    return deployer.deploy(one.place.environment, Tip(one.place.branch), who, "new project")


def beginning(settings: BranchSettings) -> BranchName:
    """Return where projects' branches begin; raise `ConfigurationError` if neither setting nor rules name a branch."""
    own = Rules(settings.rules).site
    if settings.beginning is None and not own:
        raise ConfigurationError("names no branch, and no rule is without <name>", where="branches.beginning")
    return settings.beginning or own[0].branch
