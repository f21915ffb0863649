"""Reads what a push brings, while git still keeps it in quarantine, and lets the checks look at it.

Owns: which parts of a tree are looked at. A branch's tree was checked when it
came, so what it has is known, and only what differs from known trees at the
same place is looked at, directory by directory. That covers each way in which
a tree can get to a branch (new commits, a reset to an old commit, a merge):
it is the tree that counts, not which objects are new.

Bounded in everything: number of entries, bytes, depth. A tree that holds
itself many times over is cut off at the number of entries.

Failure modes: objects that are damaged or of the wrong kind: `UnsoundTree`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing

from enc.terms.errors import NotFound
from git_hooks import puppetfile
from git_hooks.checks import environment_conf
from git_hooks.checks.look import OPERATORS, Blob, Check, Limits, Look, Problem, Site, run
from git_hooks.checks.sizes import DEEPEST
from git_hooks.repository.objects import Repository
from git_hooks.repository.reading import MISSING
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import (
    DIRECTORY,
    LINK,
    SUBMODULE,
    Entry,
    UnsoundTree,
    join,
    parse_tree,
    tree_and_parents,
)

_KEPT = 65_536
"""Bytes up to which the content of what is read by a check (links, environment.conf) is kept."""

_READ = (environment_conf.NAME, puppetfile.NAME.lower())
"""Files at the top, in lower case, whose content is read."""

_LARGEST = 16 << 20
"""Bytes of a tree or commit up to which it is read: a directory of 50,000 long names. A pack of a few MB can hold one
of gigabytes, and this process serves everybody."""

_NEAR = 64
"""So many commits are read one by one to find an ancestor; farther ones are left to git's own walk."""


class Incoming(Repository):
    """The repository as pre-receive sees it: with the objects of the push, and nothing refused when it is read."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        """Start nothing yet; `environ` is what git gave pre-receive."""
        super().__init__(path, quarantine=True, environ=environ)
        self._commits: dict[str, tuple[str, tuple[str, ...]]] = {}

    def _wanted(self, name: str, kind: str, size: int) -> bool:
        if size > _LARGEST:  # a file, too, where a directory should be; of others only the size is asked
            raise UnsoundTree(f"the {kind} {name} has {size} bytes, and {_LARGEST} are read at most")
        return True

    def raw_tree(self, tree: str) -> tuple[Entry, ...]:
        """Return the entries of `tree`, whatever they are; raise `UnsoundTree` if it is damaged or none."""
        kind, _, content = self._one(tree, self._wanted)
        if kind != "tree" or content is None:
            raise UnsoundTree(f"{tree} is {'not there' if kind == MISSING else 'a ' + kind}, but should be a tree")
        return parse_tree(content, len(tree) // 2)

    def commit(self, commit: str) -> tuple[str, tuple[str, ...]]:
        """Return tree and parents of `commit`; raise `NotFound` if it is no commit."""
        known = self._commits.get(commit)
        if known is None:
            kind, _, content = self._one(commit, self._wanted)
            if kind != "commit" or content is None or not content.startswith(b"tree "):
                raise NotFound(f"{commit} is no commit", where=self.path)
            known = self._commits[commit] = tree_and_parents(content)
        return known

    def rewrites(self, old: ObjectId, new: ObjectId) -> bool:
        """Tell whether a branch that moves from `old` to `new` forgets commits."""
        seen, waiting = {str(new)}, [str(new)]
        for _ in range(_NEAR):
            if old in seen:
                return False
            if not waiting:
                return True
            for parent in self.commit(waiting.pop(0))[1]:
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return not self.contains(new, old)

    def sized(self, blobs: Iterable[str], kept: Container[str]) -> dict[str, Blob]:
        """Return the size of each blob, and the content of those in `kept` that are small.

        Raise `UnsoundTree` if one is something else.
        """
        names = list(dict.fromkeys(blobs))
        found: dict[str, Blob] = {}

        def wanted(name: str, kind: str, size: int) -> bool:
            if kind != "blob":
                raise UnsoundTree(f"{name} is a {kind}, but should be a file")
            return size <= _KEPT and name in kept

        with closing(self._reader().look(names, wanted)) as seen:
            for name, (kind, size, content) in zip(names, seen, strict=True):
                if kind == MISSING:
                    raise UnsoundTree(f"the object {name} is not there")
                found[name] = Blob(size, content)
        return found


class Inspection:
    """One look at what a push brings; the bounds are for all its refs together."""

    def __init__(self, objects: Incoming, checks: Iterable[Check], limits: Limits) -> None:
        self._objects = objects
        self._checks = tuple(checks)
        self._limits = limits
        self._counted: set[str] = set()
        self._bytes = 0
        self.entries = 0
        """Entries that were looked at so far."""
        self.files = 0
        """Those among them that are no directories."""

    def problems(self, tree: str, known: Iterable[str], site: Site = OPERATORS) -> Iterator[Problem]:
        """Yield what is wrong with `tree`, apart from what a tree in `known` has at the same place."""
        waiting: list[tuple[str, str, list[str]]] = [("", tree, [base for base in known if base])]
        while waiting:
            path, name, bases = waiting.pop()
            if name in bases:
                continue
            entries = self._objects.raw_tree(name)
            olds = [_by_name(self._objects.raw_tree(base)) for base in bases]
            new = tuple(entry for entry in entries if not any(old.get(entry.name) == entry for old in olds))
            self.entries += len(new)
            self.files += sum(entry.mode != DIRECTORY for entry in new)
            if self.entries > self._limits.files:
                limit = f"more than {self._limits.files} files and directories, the limit of one push (pushes.files)"
                yield Problem("", f"it brings or changes {limit}")
                return
            yield from self._look(path, entries, new, site)
            if self._bytes > self._limits.push_bytes:
                limit = f"{self._limits.push_bytes} bytes, the limit of one push (pushes.push_bytes)"
                yield Problem("", f"its new files hold together more than {limit}")
                return
            if path.count("/") >= DEEPEST:
                continue
            for entry in new:
                if entry.mode == DIRECTORY:
                    befores = [old[entry.name].id for old in olds if entry.name in old and old[entry.name].is_directory]
                    waiting.append((join(path, entry.name), entry.id, befores))

    def _look(self, path: str, entries: tuple[Entry, ...], new: tuple[Entry, ...], site: Site) -> Iterator[Problem]:
        watched = [entry for entry in entries if not path and entry.name == puppetfile.NAME and entry not in new]
        readable = [entry for entry in (*new, *watched) if entry.mode not in (DIRECTORY, SUBMODULE)]
        kept = {entry.id for entry in readable if entry.mode == LINK or (not path and entry.name.lower() in _READ)}
        files = self._objects.sized((entry.id for entry in readable), kept)
        self._bytes += sum(blob.size for name, blob in files.items() if name not in self._counted)
        self._counted |= files.keys()
        yield from run(self._checks, Look(path, entries, new, files.__getitem__, self._limits, site))


def _by_name(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}
