"""Looks at what commits bring, whichever way they came: pushed, fetched from a forge, merged by Gerrit.

Owns what a commit's tree is compared with, so that only what is new is looked
at: the branch's own tree, and for a new branch the trees of those that it
likely began from. What those have was looked at when it came.

Not here: the walk and its bounds (incoming.py), the checks (checks/), who may
move a branch (policy.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache, partial
from math import inf
from typing import TYPE_CHECKING

from enc.terms.environments import Place, Proposal, Rules
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.names import BranchName
from git_hooks import checks
from git_hooks.checks.look import OPERATORS, Check, History, Problem, Site, Tree
from git_hooks.push.approvals import Approvals
from git_hooks.push.code_reader import CodeReader
from git_hooks.push.incoming import LARGEST, Incoming, Inspection
from git_hooks.push.new_commits import NewCommits
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import LINK, Entry

if TYPE_CHECKING:
    from enc.settings import Settings

_BASES = 4
"""So many branches of its project, and so many of none, a new one is compared with at most."""


class Examination:
    """One look at one or more commits; the bounds (settings `pushes`) are for all together."""

    def __init__(
        self, objects: Incoming, settings: Settings, lines: Iterable[Check] | None = None, who: str = ""
    ) -> None:
        """`lines` are those of the table of checks that are asked; None: all. `who` brings what is looked at."""
        lines = tuple(checks.CHECKS if lines is None else lines)
        self._objects = objects
        self._settings = settings
        self._rules = Rules(settings.branches.rules)
        self._places: dict[BranchName, Place | None] = {}
        self._of_trees = [check.tree for check in lines if check.tree is not None]
        self._refs = cache(partial(_shown, objects))
        self._of_histories = [check.history for check in lines if check.history is not None]
        self._inspection = Inspection(objects, lines, settings)
        self._code = CodeReader(settings.branches.ruby, who)
        self._approvals = Approvals(settings.branches.store)
        self.unchecked = Counter[str]()
        """Why files could not be checked, and how many of them."""

    @property
    def files(self) -> int:
        """How many new and changed files were looked at so far."""
        return self._inspection.files

    def problems(
        self,
        new: ObjectId,
        old: ObjectId | None,
        place: Place | Proposal | None,
        existing: Mapping[BranchName, ObjectId],
        coming: Iterable[ObjectId] = (),
    ) -> tuple[str, ...]:
        """Return what is wrong with the tree of `new`, a sentence each.

        `old` is what the branch showed before (None: it is new), `place` what it
        is for (None: a tag), `existing` are the branches there are; they
        may be left out where `old` is known. `coming` are commits that
        operators' branches are to show after this very push.
        """
        objects = self._objects
        try:
            tree = objects.commit(objects.commit_of(new) if place is None else new)[0]
            known = [objects.commit(tip)[0] for tip in self._known(old, place, existing)]
            site = self._site(new, place, existing, coming)
            hidden = set[str]()
            site = site._replace(hide=hidden.update)
            found = list(self._inspection.problems(tree, dict.fromkeys(known), site))
            history = self._of_history(new, old, known, site)
            if not found and not history:
                found = list(self._of_tree(tree, known, site))
            # What other checks say may show a line of a file, and with it a secret.
            return (*(_without(one, hidden).text for one in found), *(one.text for one in history))
        except NotFound:
            return ("does not name a commit",)
        except ToolkitError as error:
            return (str(error),)

    def unreviewed(
        self, tip: ObjectId, place: Place | Proposal, existing: Mapping[BranchName, ObjectId]
    ) -> tuple[str, ...]:
        """Return what is wrong with all of a members' branch, not only with what is new; no bound of a push counts."""
        code = CodeReader(self._settings.branches.ruby, "audit", inf)
        tree = self._objects.commit(tip)[0]
        site = self._site(tip, place, existing, ())._replace(shown=True, read=code.read)
        parts = [one.text for one in self._inspection.problems(tree, (), site)]
        return (*parts, *(one.text for one in self._of_tree(tree, (), site)))

    def _known(
        self, old: ObjectId | None, place: Place | Proposal | None, existing: Mapping[BranchName, ObjectId]
    ) -> list[ObjectId]:
        """Return the commits whose trees are known."""
        if old is not None:
            return [self._objects.commit_of(old)]
        project = place.project if place is not None else None
        common, own = [], []
        for branch, tip in existing.items():
            if branch not in self._places:
                self._places[branch] = self._rules.place_or_none(branch)
            other = self._places[branch]
            if other is not None and other.project is None:
                common.append(tip)
            elif other is not None and other.project == project:
                own.append(tip)
        return [*common[:_BASES], *own[:_BASES]]

    def _of_tree(self, tree: str, known: Iterable[str], site: Site) -> Iterator[Problem]:
        """Yield what is wrong with a tree in whose parts nothing is."""
        objects = self._objects
        others = tuple(partial(_at, objects, one) for one in known)
        at, entries = partial(_at, objects, tree), lambda entry: objects.raw_tree(entry.id)
        look = Tree(at, others, entries, objects.content, self._settings, site)
        for check in self._of_trees:
            yield from check(look)

    def _of_history(self, new: ObjectId, old: ObjectId | None, known: Iterable[str], site: Site) -> list[Problem]:
        """Return what is wrong with what new commits bring."""
        if not self._of_histories:
            return []
        commits = NewCommits(self._objects, new, old, known, self._refs, self._settings.pushes.files)
        site = site._replace(read=self._code.read)
        before = self.unchecked.copy()
        found = self._in_commits(commits, site)
        if found and commits.narrow():  # what other branches have is nothing that this push brings
            self.unchecked = before
            found = self._in_commits(commits, site)
        return found

    def _in_commits(self, commits: NewCommits, site: Site) -> list[Problem]:
        found = list[Problem]()
        for check in self._of_histories:
            content = partial(self._objects.content, most=LARGEST)
            look = History(commits.brought(), commits.messages(), content, lambda: commits.cut, self._settings, site)
            found += check(look)
        return found

    def _site(
        self,
        new: ObjectId,
        place: Place | Proposal | None,
        existing: Mapping[BranchName, ObjectId],
        coming: Iterable[ObjectId],
    ) -> Site:
        """Return what operators have; their branches are looked for if a check asks."""
        if place is None:
            return OPERATORS._replace(unchecked=partial(self._not_checked, False))
        unchecked = partial(self._not_checked, _named(place.branch, self._settings.pushes.require_checks))
        if place.project is None:
            return OPERATORS._replace(read=self._code.read, unchecked=unchecked)
        objects = self._objects

        @cache
        def tips() -> tuple[ObjectId, ...]:
            branches = existing or objects.branches()
            places = ((self._rules.place_or_none(branch), tip) for branch, tip in branches.items())
            own = [tip for place, tip in places if place is not None and place.project is None]
            return tuple(dict.fromkeys((*coming, *own)))

        @cache
        def before() -> tuple[ObjectId, ...]:
            """Where the commit left their branches, which may have gone on since."""
            bases = (objects.merge_base(new, tip) for tip in tips())
            return tuple(dict.fromkeys(base for base in bases if base is not None))

        def at(path: str, commits: Callable[[], tuple[ObjectId, ...]] = tips) -> Iterator[Entry]:
            for commit in commits():
                yield from _at(objects, objects.commit(commit)[0], path)

        def versions(path: str) -> tuple[Entry, ...]:
            return (*at(path), *at(path, before))

        def reviewed(path: str, entry: Entry) -> bool:
            for one in versions(path):
                if one.id == entry.id and (one.mode == LINK) == (entry.mode == LINK):
                    return True
            return self._approvals.has(path, entry.id)

        shown = not isinstance(place, Proposal)
        proposed = self._rules.proposed(place.project) if shown else ""  # what is there for review needs no way to it
        return Site(
            own=False,
            at=at,
            content=lambda entry: objects.blob(entry.id),
            reviewed=reviewed,
            read=self._code.read,
            versions=versions,
            shown=shown,
            unchecked=unchecked,
            proposed=proposed,
        )

    def _not_checked(self, required: bool, why: str) -> str:
        if required:
            return f"cannot be checked: {why}; this branch takes only files that were checked (pushes.require_checks)"
        self.unchecked[why] += 1
        return ""


def _shown(objects: Incoming) -> tuple[ObjectId, ...]:
    """Return what branches and tags show, before this push."""
    return tuple(name for below in ("refs/heads/", "refs/tags/") for _, name in objects.refs(below))


def _without(problem: Problem, hidden: Iterable[str]) -> Problem:
    """Return the problem with nothing in its words that must not be said."""
    words = problem.what
    for one in sorted(hidden, key=len, reverse=True):
        words = words.replace(one, "(a secret)")
    return problem._replace(what=words)


def _named(branch: BranchName, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(branch, pattern) for pattern in patterns)


def _at(objects: Incoming, tree: str, path: str) -> Iterator[Entry]:
    """Yield what stands at `path` of a tree, if anything does."""
    *directories, name = path.split("/")
    for directory in directories:
        found = next((entry for entry in objects.raw_tree(tree) if entry.name == directory), None)
        if found is None or not found.is_directory:
            return
        tree = found.id
    yield from (entry for entry in objects.raw_tree(tree) if entry.name == name)
