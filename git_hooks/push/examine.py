"""Looks at what commits bring, whichever way they came: pushed, fetched from a forge, merged by Gerrit.

Owns what a commit's tree is compared with, so that only what is new is looked
at: the branch's own tree, and for a new branch the trees of those that it
likely began from. What those have was looked at when it came.

Not here: the walk and its bounds (incoming.py), the checks (checks/), who may
move a branch (policy.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from math import inf
from typing import TYPE_CHECKING

from enc.terms.environments import Place, Proposal, Rules
from enc.terms.errors import NotFound, ToolkitError
from enc.terms.names import BranchName
from git_hooks import checks
from git_hooks.checks.look import OPERATORS, Check, History, Problem, Site, Tree
from git_hooks.push.approvals import Approvals
from git_hooks.push.beyond import Beyond
from git_hooks.push.code_reader import CodeReader
from git_hooks.push.found import Found
from git_hooks.push.incoming import LARGEST, Incoming, Inspection
from git_hooks.push.new_commits import NewCommits
from git_hooks.push.policy import named
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import LINK, Entry

if TYPE_CHECKING:
    from enc.settings import Settings
    from enc.terms.names import EnvironmentName
    from git_hooks.branches.usage import Usage
    from git_hooks.index.environment import Environment
    from git_hooks.push.brought_keys import BroughtKeys
    from git_hooks.secrets.certificates import Certificate
    from git_hooks.secrets.private_keys import PrivateKey

_BASES = 4
"""So many branches of its project, and so many of none, a new one is compared with at most."""


class Examination:
    """One look at one or more commits; the bounds (settings `pushes`) are for all together."""

    def __init__(
        self,
        objects: Incoming,
        settings: Settings,
        lines: Iterable[Check] | None = None,
        who: str = "",
        usage: Usage | None = None,
        made: Collection[ObjectId] = (),
    ) -> None:
        """`lines` are those of the table of checks that are asked; None: all. `who` brings what is looked at.

        `usage` tells what nodes are assigned; None: it is not asked. `made` are commits that this program made, which
        nobody signed; the right to them is decided elsewhere.
        """
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
        self._usage = usage
        self._beyond = Beyond(objects, settings, self._known, made)
        self._keys: BroughtKeys | None = None
        self.unchecked = Counter[str]()
        """Why files could not be checked, and how many of them; 0: it is not about files."""
        self.advice: list[str] = []
        """What else who brings it should know, a line each."""

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
        ref: str = "",
    ) -> tuple[str, ...]:
        """Return what is wrong with the tree of `new`, and with what brings it, a sentence each.

        `old` is what the branch showed before (None: it is new), `place` what it
        is for (None: a tag), `existing` are the branches there are; they
        may be left out where `old` is known. `coming` are commits that
        operators' branches are to show after this very push; `ref` is what moves,
        where that is a tag.
        """
        objects = self._objects
        try:
            tree = objects.commit(objects.commit_of(new) if place is None else new)[0]
            known = [objects.commit(tip)[0] for tip in self._known(old, place, existing)]
            site = self._site(new, place, existing, coming)
            environments = None
            if old is not None and isinstance(place, Place) and self._usage is not None:
                site = site._replace(assigned=partial(self._usage.assigned, place.environment))
                environments = partial(self._environments, place.environment, known[0], tree)
            hidden = set[str]()
            site = site._replace(hide=hidden.update)
            found = list(self._inspection.problems(tree, dict.fromkeys(known), site))
            history = self._of_history(new, old, known, site)
            if not found and not history:
                found = list(self._of_tree(tree, known, site, environments))
            # What other checks say may show a line of a file, and with it a secret.
            words = [*(_without(one, hidden).text for one in found), *(one.text for one in history)]
            words = words or self._beyond.commits(new, old, place, existing, ref)
            if words or place is None:
                return tuple(dict.fromkeys(words))  # two checks may say the same
            looks = self._beyond.trees(new, tree, old, place, existing)
            return tuple(line for found in looks for line in self._taken(found, place.branch))
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

    def _environments(self, name: EnvironmentName, before: str, now: str) -> tuple[Environment, Environment]:
        from git_hooks.index.opening import environments
        from git_hooks.index.sight import Sight

        entries = cache(self._objects.raw_tree)  # most of the two trees is the same
        old, new = (Sight(tree, entries, self._objects.content) for tree in (before, now))
        return environments(self._settings, old, new, self._code.read, self._settings.branches.environments / name)

    def _taken(self, found: Found, branch: BranchName) -> Iterator[str]:
        """Note what was found beside refusals, and yield these."""
        yield from found.refused
        self.advice += found.advice
        if found.unchecked:
            required = named(branch, self._settings.pushes.require_checks)
            if words := self._not_checked(required, found.unchecked, files=0):
                yield words

    def _of_tree(
        self,
        tree: str,
        known: Iterable[str],
        site: Site,
        environments: Callable[[], tuple[Environment, Environment]] | None = None,
    ) -> Iterator[Problem]:
        """Yield what is wrong with a tree in whose parts nothing is."""
        objects = self._objects
        others = tuple(partial(objects.at, one) for one in known)
        at, entries = partial(objects.at, tree), lambda entry: objects.raw_tree(entry.id)
        look = Tree(at, others, entries, objects.content, self._settings, site, environments)
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
        required = place is not None and named(place.branch, self._settings.pushes.require_checks)
        unchecked = partial(self._not_checked, required)
        keys = partial(self._look_at_keys, unchecked)
        if place is None:
            return OPERATORS._replace(unchecked=unchecked, keys=keys)
        unknown, told = partial(self._not_checked, required, files=0), partial(self._not_checked, False, files=0)
        if place.project is None:
            return OPERATORS._replace(read=self._code.read, unchecked=unchecked, unknown=unknown, told=told, keys=keys)
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
                yield from objects.at(objects.commit(commit)[0], path)

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
            unknown=unknown,
            told=told,
            keys=keys,
            proposed=proposed,
        )

    def _look_at_keys(
        self,
        unchecked: Callable[[str], str],
        path: str,
        keys: Sequence[PrivateKey],
        certificates: Sequence[Certificate],
        allowed: Callable[[PrivateKey], bool],
    ) -> Iterator[tuple[str, str]]:
        if self._keys is None:
            from git_hooks.push.brought_keys import BroughtKeys  # few pushes have any, and it takes as long as a hook

            self._keys = BroughtKeys(self._settings)
        return self._keys.look(unchecked, path, keys, certificates, allowed)

    def _not_checked(self, required: bool, why: str, files: int = 1) -> str:
        if required:
            taken = "only files that were checked" if files else "nothing that was not checked"
            return f"cannot be checked: {why}; this branch takes {taken} (pushes.require_checks)"
        self.unchecked[why] += files
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
