"""What is asked of a push whose trees are sound: what it brings back, who signed it, puppet-lint, its own checks.

All of this costs more than a look at files, and most branches ask for little of it. So it comes last, and what it takes
is loaded when it is needed: that is as long as a cold hook.

Not here: how each of them is asked (patch_holds.py, signatures.py, linting.py, own_checks.py), what a tree may hold
(examine.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from enc.terms.environments import Place, Proposal, Rules
from enc.terms.names import BranchName
from git_hooks.checks.own_checks import NAME as OWN_CHECKS
from git_hooks.push.changes import TooManyChanges, changes
from git_hooks.push.found import Found
from git_hooks.push.incoming import Incoming
from git_hooks.push.linting import Linting
from git_hooks.push.policy import named
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.push.own_checks import OwnChecking
    from git_hooks.push.signatures import Signatures

_LINT_OPTIONS = ".puppet-lint.rc"
_LINT_LARGEST = 65_536

Known = Callable[[ObjectId | None, Place | Proposal | None, Mapping[BranchName, ObjectId]], list[ObjectId]]
"""Returns the commits that a branch is compared with."""


class Beyond:
    """For one push."""

    def __init__(self, objects: Incoming, settings: Settings, known: Known, made: Collection[ObjectId]) -> None:
        """`made`: commits that this program made, which nobody signed."""
        self._objects = objects
        self._settings = settings
        self._rules = Rules(settings.branches.rules)
        self._known = known
        self._made = frozenset(made)
        self._linting = Linting(objects, settings.pushes.lint_ruby)

    @cached_property
    def _signatures(self) -> Signatures:
        from git_hooks.push.signatures import Signatures

        return Signatures(self._objects, self._settings, self._made)

    @cached_property
    def _own_checking(self) -> OwnChecking:
        from git_hooks.push.own_checks import OwnChecking

        return OwnChecking(self._objects, self._settings)

    def commits(
        self,
        new: ObjectId,
        old: ObjectId | None,
        place: Place | Proposal | None,
        existing: Mapping[BranchName, ObjectId],
        ref: str,
    ) -> list[str]:
        """Return what is wrong with what commits bring back, or else with signatures; arguments: see examine.py."""
        return [*self._held(new, old, place)] or self._signed(new, old, place, existing, ref)

    def trees(
        self,
        new: ObjectId,
        tree: str,
        old: ObjectId | None,
        place: Place | Proposal,
        existing: Mapping[BranchName, ObjectId],
    ) -> Iterator[Found]:
        """Yield what puppet-lint and the branch's own checks found."""
        pushes, branch = self._settings.pushes, place.branch
        began = self._began(new, old, place, existing)
        before = self._objects.commit(began)[0] if began is not None else None
        if before == tree:
            return
        rule = named(branch, pushes.lint_rule)
        if rule or pushes.lint == "advice":
            yield self._linted(before, tree, old, place, rule)
        if any(True for one in (before, tree) if one is not None for _ in self._objects.at(one, OWN_CHECKS)):
            yield self._own_checking.look(before, tree, place.project)

    def _held(self, new: ObjectId, old: ObjectId | None, place: Place | Proposal | None) -> Iterator[str]:
        """Yield which changes would come back that were undone on this branch."""
        if isinstance(place, Place) and place.project is None:
            from git_hooks.push.patch_holds import PatchHolds, brought_back  # most pushes are to projects' branches

            holds = PatchHolds(self._objects.path).of(place.branch)
            found = brought_back(self._objects.path, holds, old, new, self._objects.environ)
            yield from (one.told() for one in found)

    def _signed(
        self,
        new: ObjectId,
        old: ObjectId | None,
        place: Place | Proposal | None,
        existing: Mapping[BranchName, ObjectId],
        ref: str,
    ) -> list[str]:
        """Return what is wrong with signatures, where they are a rule."""
        if not named(ref if place is None else place.branch, self._settings.pushes.signed):
            return []
        signatures = self._signatures
        if place is None:
            return [*signatures.of_tag(new, ref)]
        known = [old] if old is not None else [tip for name, tip in existing.items() if self._vouched(name)]
        return [*signatures.of_commits(new, known, place)]

    def _vouched(self, branch: BranchName) -> bool:
        """Tell whether what a branch has counts as signed: operators brought it, or it was verified."""
        place = self._rules.place_or_none(branch)
        return (place is not None and place.project is None) or named(branch, self._settings.pushes.signed)

    def _linted(
        self, before: str | None, tree: str, old: ObjectId | None, place: Place | Proposal, rule: bool
    ) -> Found:
        try:
            changed = changes(self._objects, before, tree, self._settings.pushes.files)
        except TooManyChanges:
            words = "puppet-lint was not asked, because too many files changed"
            return Found(unchecked=words) if rule else Found(advice=(words,))
        options = b""
        source = before if place.project is None and old is not None else self._sites()
        if source is not None:
            found = next(iter(self._objects.at(source, _LINT_OPTIONS)), None)
            options = (self._objects.content(found, _LINT_LARGEST) if found is not None else None) or b""
        return self._linting.look(changed, options, rule=rule)

    def _sites(self) -> str | None:
        """Return the tree of the operators' branch from which projects' branches begin."""
        first = self._settings.branches.beginning or next((place.branch for place in self._rules.site), None)
        tip = self._objects.tip(first) if first is not None else None
        return self._objects.commit(tip)[0] if tip is not None else None

    def _began(
        self,
        new: ObjectId,
        old: ObjectId | None,
        place: Place | Proposal,
        existing: Mapping[BranchName, ObjectId],
    ) -> ObjectId | None:
        """Return what the branch showed before; for a new one, what the branch that it began from shows.

        That is the one with which it has the latest commit in common, of several its project's rather than the site's.
        """
        objects = self._objects
        if old is not None:
            return objects.commit_of(old)
        nearest = began = None
        for tip in reversed(self._known(old, place, existing)):
            base = objects.merge_base(new, tip)
            if base is not None and (nearest is None or (base != nearest and objects.contains(base, nearest))):
                nearest, began = base, tip
        return began
