"""Does a tree make its pushes slow? Says which directory, and why (costs.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from enc.doctor.findings import Finding, note, ok
from enc.settings import BranchSettings
from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName
from git_hooks.deploy.costs import Cost, costs
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.parts import Surveyor
from git_hooks.store.sound import Sound
from git_hooks.store.survey import Survey, survey

_MOST_BRANCHES = 20
"""So many branches are looked at; the others are made from these, mostly."""
_MOST_TOLD = 10
_DO = "nothing is wrong, only slow; docs/branches.md (What a push costs) says how to make it faster"


def check(settings: BranchSettings) -> Iterator[Finding]:
    """Look at the trees of some branches, the site's own first."""
    found: Counter[Cost] = Counter()
    surveyor = Surveyor()
    last: Survey | None = None
    try:
        with Repository(str(settings.repository)) as repository:
            branches = repository.branches()
            for branch in looked_at(branches, settings):
                last = _survey(repository, branches[branch], last)
                if last is not None:
                    found.update(_costs(Sound(repository), last, settings, surveyor))
    except ToolkitError:
        return  # told where the branches are looked at
    for cost, count in found.most_common(_MOST_TOLD):
        where = f"{cost.path}: " if cost.path else ""
        yield note("tree-cost", f"{where}{cost.what}{f' (in {count} branches)' if count > 1 else ''}", _DO)
    if not found:
        yield ok("tree-cost", "no directory makes a push slow")


def looked_at(branches: Iterable[BranchName], settings: BranchSettings) -> list[BranchName]:
    """Return the branches that are looked at: the site's own (`Rules.site`), then others by name. Pure."""
    own = {place.branch for place in Rules(settings.rules).site}
    return sorted(branches, key=lambda branch: (branch not in own, branch))[:_MOST_BRANCHES]


def _survey(repository: Repository, commit: ObjectId, like: Survey | None) -> Survey | None:
    try:
        return survey(repository, repository.tree_of(commit), like)
    except ToolkitError:
        return None  # a branch that cannot be deployed; its environment says so


def _costs(objects: Sound, found: Survey, settings: BranchSettings, surveyor: Surveyor) -> list[Cost]:
    try:
        tree = objects.show(found)
        return list(costs(objects, tree, large=settings.split_large, surveyor=surveyor))
    except ToolkitError:
        return []
