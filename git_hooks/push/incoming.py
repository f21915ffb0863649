"""Reads what a push brings, while git still keeps it in quarantine, and lets the checks look at it.

Owns: which parts of a tree are looked at; whose content is read, and how much of
it, says the table of checks (checks/). A branch's tree was checked when it
came, so what it has is known, and only what differs from known trees at the
same place is looked at, directory by directory. That covers each way in which
a tree can get to a branch (new commits, a reset to an old commit, a merge):
it is the tree that counts, not which objects are new.

Bounded in everything: number of entries, bytes, depth. A tree that holds
itself many times over is cut off at the number of entries. The sizes of all that
is in a directory are known, and within the bounds, before the content of any of
it is read; then the content is in memory for some of it at a time.

Failure modes: objects that are damaged or of the wrong kind: `UnsoundTree`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.errors import NotFound
from git_hooks.checks.look import OPERATORS, Check, File, Look, Problem, Site
from git_hooks.checks.sizes import DEEPEST
from git_hooks.repository.objects import Repository
from git_hooks.repository.reading import MISSING
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import (
    DIRECTORY,
    SUBMODULE,
    Entry,
    UnsoundTree,
    join,
    parse_tree,
    tree_and_parents,
)

if TYPE_CHECKING:
    from enc.settings import Settings

_MADE = re.compile(
    rb"^(?:(?:tree|parent|object|type) [^\n]*"
    rb"|gpgsig(?:-sha256)? -----BEGIN (?:SSH|PGP) SIGNATURE-----(?:\n [A-Za-z0-9+/=]*)*"
    rb"\n -----END (?:SSH|PGP) SIGNATURE-----)"
    rb"(?:\n|\Z)",
    re.MULTILINE,
)
"""What git writes into a header that nobody chose."""

LARGEST = 16 << 20
"""Bytes of an object up to which it is read, whoever asks: a directory of 50,000 long names. A pack of a few MB can
hold one of gigabytes, and this process serves everybody."""

_TOGETHER = 4 << 20
"""Bytes of contents that are read at once: asking for one after the other takes longer where git's program answers."""

_NEAR = 64
"""So many commits are read one by one to find an ancestor; farther ones are left to git's own walk."""


class Incoming(Repository):
    """The repository as pre-receive sees it: with the objects of the push, and nothing refused when it is read."""

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        """Start nothing yet; `environ` is what git gave pre-receive."""
        super().__init__(path, quarantine=True, environ=environ)
        self.environ = environ
        """What git gave the hook: with it another git sees the same objects."""
        self._commits: dict[str, tuple[str, tuple[str, ...]]] = {}

    def _wanted(self, name: str, kind: str, size: int) -> bool:
        if size > LARGEST:  # a file, too, where a directory should be; of others only the size is asked
            raise UnsoundTree(f"the {kind} {name} has {size} bytes; at most {LARGEST} are read")
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
                raise NotFound(f"{commit} is not a commit", where=self.path)
            known = self._commits[commit] = tree_and_parents(content)
        return known

    def words(self, name: str) -> bytes:
        """Return what is said in a commit or tag, its header included, but for names of objects and signatures.

        Nothing of anything else.
        """
        kind, _, content = self._one(name, self._wanted)
        head, between, message = (content or b"").partition(b"\n\n")
        return _MADE.sub(b"", head) + between + message if kind in ("commit", "tag") else b""

    def raw(self, name: str) -> tuple[str, bytes]:
        """Return kind and content of an object; raise `NotFound` or `UnsoundTree`."""
        kind, _, content = self._one(name, self._wanted)
        if content is None:
            raise NotFound(f"no object {name}", where=self.path)
        return kind, content

    def at(self, tree: str, path: str) -> Iterator[Entry]:
        """Yield what stands at `path` of a tree, if anything does."""
        *directories, name = path.split("/")
        for directory in directories:
            found = next((entry for entry in self.raw_tree(tree) if entry.name == directory), None)
            if found is None or not found.is_directory:
                return
            tree = found.id
        yield from (entry for entry in self.raw_tree(tree) if entry.name == name)

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

    def sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        """Return the size of each blob, whose content is not read; raise `UnsoundTree` if one is something else."""
        names = list(dict.fromkeys(blobs))
        heads = self._reader().heads(names)
        for name, (kind, _) in zip(names, heads, strict=True):
            if kind == MISSING:
                raise UnsoundTree(f"the object {name} is not there")
            if kind != "blob":
                raise UnsoundTree(f"{name} is a {kind}, but should be a file")
        return {name: size for name, (_, size) in zip(names, heads, strict=True)}

    def content(self, entry: Entry, most: int) -> bytes | None:
        """Return what a file or link holds; None: more than `most` bytes, or it is neither, or is not there."""
        if not _has_content(entry):
            return None
        return self._one(entry.id, lambda _, kind, size: kind == "blob" and size <= min(most, LARGEST)).content


class _Wanted(NamedTuple):
    """What a check asked for."""

    file: File
    is_read: bool
    """It is no larger than the check asked for."""


class Inspection:
    """One look at what a push brings; the bounds are for all its refs together."""

    def __init__(self, objects: Incoming, checks: Iterable[Check], settings: Settings) -> None:
        checks = tuple(checks)
        self._objects = objects
        self._of_directories = [check.directory for check in checks if check.directory is not None]
        self._of_files = [
            (check.reads, check.file, frozenset(check.also))
            for check in checks
            if check.file is not None and check.reads is not None
        ]
        self._also: dict[str, set[str]] = {}
        for path in (path for check in checks for path in check.also):
            directory, _, name = path.rpartition("/")
            self._also.setdefault(directory, set()).add(name)
        self._settings = settings
        self._counted: set[str] = set()
        self._bytes = 0
        self._read = 0
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
            most = self._settings.pushes.files
            if self.entries > most:
                limit = f"more than {most} files and directories, the limit of one push (pushes.files)"
                yield Problem("", f"it brings or changes {limit}")
                return
            yield from self._look(path, entries, new, tuple(olds), site)
            if excess := self._excess():
                yield Problem("", excess)
                return
            if path.count("/") >= DEEPEST:
                continue
            for entry in new:
                if entry.mode == DIRECTORY:
                    befores = [old[entry.name].id for old in olds if entry.name in old and old[entry.name].is_directory]
                    waiting.append((join(path, entry.name), entry.id, befores))

    def _look(
        self,
        path: str,
        entries: tuple[Entry, ...],
        new: tuple[Entry, ...],
        before: tuple[Mapping[str, Entry], ...],
        site: Site,
    ) -> Iterator[Problem]:
        """Yield what is wrong with a directory and with the files in it; nothing of them if there is too much."""
        names = self._also.get(path, ())
        also = [entry for entry in entries if entry.name in names and entry not in new] if names else []
        sizes = self._objects.sizes(entry.id for entry in (*new, *also) if _has_content(entry))
        self._bytes += sum(size for name, size in sizes.items() if name not in self._counted)
        self._counted |= sizes.keys()
        look = Look(path, entries, new, lambda entry: sizes[entry.id], self._settings, before)
        for check in self._of_directories:
            yield from check(look)

        def file(entry: Entry) -> File:
            return File(path, entry, sizes[entry.id] if _has_content(entry) else 0, None, self._settings, site)

        files, others = [*map(file, new)], [*map(file, also)]
        for reads, check_file, own in self._of_files:
            wanted = []
            for one in (*files, *(other for other in others if other.path in own)):
                most = reads(one)
                if most is not None:
                    wanted.append(_Wanted(one, _has_content(one.entry) and one.size <= min(most, LARGEST)))
            for one in self._contents(wanted):
                yield from check_file(one)

    def _contents(self, wanted: list[_Wanted]) -> Iterator[File]:
        """Yield each, with its content if that is read; end if that would be too much."""
        for part in _parts(wanted):
            self._read += sum(one.file.size for one in part if one.is_read)
            if self._excess():
                return
            names = list(dict.fromkeys(one.file.entry.id for one in part if one.is_read))
            contents = dict(zip(names, self._objects.blobs(names), strict=True))
            for file, is_read in part:
                yield file._replace(content=contents[file.entry.id]) if is_read else file

    def _excess(self) -> str:
        """Return how the push goes beyond its bounds; empty if it does not."""
        most = self._settings.pushes.push_bytes
        if self._bytes > most:
            return f"its new files together have more than {most} bytes, the limit of one push (pushes.push_bytes)"
        if self._read > most * len(self._of_files):
            what = "the same files appear in it so often that its checks would have to read more than"
            return f"{what} {most} bytes each, the limit of one push (pushes.push_bytes)"
        return ""


def _parts(wanted: Iterable[_Wanted]) -> Iterator[list[_Wanted]]:
    """Yield what is wanted, in parts whose contents have room in memory."""
    part: list[_Wanted] = []
    together = 0
    for one in wanted:
        size = one.file.size if one.is_read else 0
        if part and together + size > _TOGETHER:
            yield part
            part, together = [], 0
        part.append(one)
        together += size
    if part:
        yield part


def _has_content(entry: Entry) -> bool:
    return entry.mode not in (DIRECTORY, SUBMODULE)


def _by_name(entries: tuple[Entry, ...]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}
