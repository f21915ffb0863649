"""What new commits bring, each of them and not only the last: whoever fetches a branch gets its history, too.

New is what the repository has on no branch and no tag. What a push moves or
resets to something known brings nothing, and what is merged from another
branch was looked at when it came.

Bounded in commits, in files and in time. Beyond that, what the branch is to
show comes first, and the caller is told (`cut`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from time import thread_time

from enc.terms.errors import NotFound
from git_hooks.checks.look import Brought
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import DIRECTORY, SUBMODULE, Entry, join

_MOST = 10_000
"""Commits of one push. The first push of a repository can have ten times as many: that is for an audit."""
_FEW = 100
"""So many commits are looked at without asking first whether other branches have them already."""
_PARENTS = 64
"""Commits at which the known history begins that a tree is compared with."""
_LONGEST = 60.0
"""Seconds of the processor for the commits of one branch, with what is done here about what they bring."""
_DIRECTORIES = 2048
"""Directories that are remembered: what one commit has, its parent mostly has as well."""
_DEEPEST = 1000
"""Directories: far more than the tree of a branch may have, but its older commits can have had."""
_SHORT = 10
"""Letters of a commit's name that are told."""


class NewCommits:
    """The new commits below one tip."""

    def __init__(
        self,
        objects: Incoming,
        new: ObjectId,
        old: ObjectId | None,
        known: Iterable[str],
        refs: Callable[[], Iterable[ObjectId]],
        most: int,
    ) -> None:
        """Read nothing yet. `new` may be a tag; `old` is what the branch showed.

        `known` are trees for the case that there are too many commits; `refs` gives what branches and tags show;
        `most`: files and directories that are looked at.
        """
        self._objects = objects
        self._new = new
        self._old = old
        self._trees = tuple(known)
        self._refs = refs
        self._exactly = old is None
        self._left = most
        self._most = most
        self._until = thread_time() + _LONGEST
        self._directory = lru_cache(maxsize=_DIRECTORIES)(self._named)
        self.cut = ""
        """Why not all can be looked at."""

    def narrow(self) -> bool:
        """Leave those out that other branches have already; tell whether that leaves less."""
        if self._exactly:
            return False
        before, self._exactly = len(self._commits), True
        del self._commits
        self._left, self._until = self._most, thread_time() + _LONGEST
        return len(self._commits) < before

    @cached_property
    def _tip(self) -> ObjectId:
        return self._objects.commit_of(self._new)

    @cached_property
    def _commits(self) -> list[ObjectId]:
        if not self._exactly and self._old is not None:
            few = self._objects.fresh(self._tip, [self._old], _FEW + 1)
            if len(few) <= _FEW:
                return few
            self._exactly = True
        found = self._objects.fresh(self._tip, dict.fromkeys(self._refs()), _MOST + 1)
        if len(found) > _MOST:
            self.cut = f"a push of more than {_MOST} commits"
        return found[:_MOST]

    def brought(self) -> Iterator[Brought]:
        """Yield each content that is new at its path, what the tip has first."""
        if not self._commits:
            return
        seen: set[tuple[str, str]] = set()
        new = set(self._commits)
        if self._tip in new:
            before = dict.fromkeys(one for name in self._commits for one in self._parents(name) if one not in new)
            trees = self._trees if self.cut else tuple(self._tree(ObjectId(one)) for one in [*before][:_PARENTS])
            yield from self._differing("", self._tree(self._tip), trees, seen)
        for name in self._commits:
            bases = tuple(self._tree(ObjectId(one)) for one in self._parents(name))
            yield from self._differing(name[:_SHORT], self._tree(name), bases, seen)

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Yield what is said of each commit and annotated tag: all but names of objects and signatures."""
        for name in dict.fromkeys((self._new, *self._commits)):
            if name in self._commits or name != self._tip:
                with suppress(NotFound):
                    yield name[:_SHORT], self._objects.words(name)

    def _parents(self, name: ObjectId) -> tuple[str, ...]:
        return self._objects.commit(name)[1]

    def _tree(self, name: ObjectId) -> str:
        return self._objects.commit(name)[0]

    def _named(self, tree: str) -> Mapping[str, Entry]:
        return {entry.name: entry for entry in self._objects.raw_tree(tree)}

    def _differing(
        self, commit: str, tree: str, bases: tuple[str, ...], seen: set[tuple[str, str]]
    ) -> Iterator[Brought]:
        """Yield what a tree has and none of `bases` at the same place."""
        waiting = [("", tree, bases)]
        while waiting:
            path, name, olds = waiting.pop()
            if name in olds or self._spent():
                continue
            if path.count("/") > _DEEPEST:
                self.cut = f"a push whose commits have files more than {_DEEPEST} directories deep"
                continue
            known = [self._directory(old) for old in olds]
            for entry in self._directory(name).values():
                where = join(path, entry.name)
                befores = [old[entry.name] for old in known if entry.name in old]
                if entry.mode == SUBMODULE or (where, entry.id) in seen or any(one.id == entry.id for one in befores):
                    continue
                seen.add((where, entry.id))
                self._left -= 1
                if entry.mode == DIRECTORY:
                    waiting.append((where, entry.id, tuple(one.id for one in befores if one.is_directory)))
                else:
                    yield Brought(commit, where, entry)

    def _spent(self) -> bool:
        if self._left < 0:
            self.cut = f"a push whose commits have more than {self._most} new files and directories"
        elif thread_time() > self._until:
            self.cut = f"a push whose commits take more than {_LONGEST:.0f} s"
        else:
            return False
        return True
