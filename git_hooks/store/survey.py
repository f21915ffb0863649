"""What of a commit is not in its environment as a checkout would have it. Reads git, touches no file.

Everything that is in a tree is laid out, but for

- what may not become a file (trees.unfit): a link that leaves the tree, a name
  that some system takes for .git. It is *left out*, so no tree that is in the
  repository, whatever way it came, keeps an environment from going live. A
  working link out of the tree is never made: Puppet's file server follows it,
  for whoever asks.
- what git changes in a checkout because of .gitattributes, and keeps elsewhere
  (Git LFS): an environment has what is in the commit (attributes.py).
- a config_version that cannot run where there is no checkout (config_version.py).

Each is a `Remark`. They are kept with the version, so that a push only looks
at what it changed, and so that `status` and `doctor` can tell them at any time.

A tree object that git writes in another way today (modes of old repositories)
is only noted, so that it gets the name that its files prove (sound.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple, Protocol

from enc.terms.errors import NotFound
from git_hooks.repository.trees import DIRECTORY, FILE, PROGRAM, TWICE, Entry, join, object_id, render_tree, unfit
from git_hooks.store.attributes import NAME as ATTRIBUTES
from git_hooks.store.attributes import may_change

Kind = Literal["left out", "recast", "content", "program"]

_SHOWN = 3
"""Of many files that are otherwise for one reason, so many are named; `branch-manager status` names all."""


class Trees(Protocol):
    """What is read from git (repository.Repository)."""

    def tree(self, tree: str) -> tuple[Entry, ...]:
        """Return the entries of a tree."""
        ...

    def blob(self, blob: str) -> bytes:
        """Return the content of a file or link."""
        ...


class Remark(NamedTuple):
    """One thing that is otherwise than in a checkout."""

    path: str
    id: str
    """The object that stands there; a remark about another object is another remark."""
    kind: Kind
    what: str
    """What is wrong with it, behind its path."""


class Survey(NamedTuple):
    """What was found in one tree."""

    tree: str
    remarks: tuple[Remark, ...] = ()

    def of(self, *kinds: Kind) -> tuple[Remark, ...]:
        """Return the remarks of these kinds."""
        return tuple(remark for remark in self.remarks if remark.kind in kinds)

    @property
    def told(self) -> tuple[Remark, ...]:
        """What people are told: all but how a tree is written."""
        return self.of("left out", "content", "program")


Attributes = Callable[[Mapping[str, str], Mapping[str, str]], Mapping[str, str]]
"""Given path → blob of .gitattributes files and of the files they may be about, returns path → what a checkout does."""

Programs = Callable[[Trees, str], Iterable[Remark]]
"""Given a root tree, yields remarks about programs that it names and that cannot run."""


def nothing_of_attributes(attributes: Mapping[str, str], files: Mapping[str, str]) -> Mapping[str, str]:
    """Look at no file's content: for who only wants to know what is laid out."""
    return {}


def no_programs(objects: Trees, tree: str) -> Iterable[Remark]:
    """Look at no program."""
    return ()


def survey(
    objects: Trees,
    tree: str,
    base: Survey | None = None,
    attributes: Attributes = nothing_of_attributes,
    programs: Programs = no_programs,
) -> Survey:
    """Return what is to be said about `tree`; only what differs from `base` is looked at.

    Raise `UnsoundTree` if a tree object is damaged, `NotFound` if one is missing.
    """
    walk = _Walk(objects)
    old = base.tree if base is not None else None
    if tree != old:
        walk.directory("", tree, old, {})
    kept: list[Remark] = []
    if base is not None:
        kept = [one for one in base.of("left out", "recast", "content") if walk.stands(tree, one)]
    found = [*kept, *walk.found]
    if walk.files:
        contents = attributes(walk.attributes, walk.files)
        found += [Remark(path, walk.files[path], "content", what) for path, what in contents.items()]
    found += programs(objects, tree)
    return Survey(tree, tuple(sorted(set(found))))


class _Walk:
    """One walk over what differs between two trees."""

    def __init__(self, objects: Trees) -> None:
        self._objects = objects
        self._fresh: list[str] = []
        """Directories of which everything is looked at, since their .gitattributes is another."""
        self.found: list[Remark] = []
        self.files: dict[str, str] = {}
        """Path → blob of files that attributes may be about."""
        self.attributes: dict[str, str] = {}
        """Path → blob of the .gitattributes files that may matter for them."""

    def directory(self, path: str, tree: str, old: str | None, above: Mapping[str, str]) -> None:
        """Look at a directory; `above` are the .gitattributes files that matter above it."""
        entries = self._objects.tree(tree)
        before = {entry.name: entry for entry in self._old(old)}
        rules = next((entry for entry in entries if entry.name == ATTRIBUTES), None)
        if old is not None and before.get(ATTRIBUTES) != rules:
            before = {}
            self._fresh.append(path)
        if rules is not None and rules.mode in (FILE, PROGRAM) and may_change(self._objects.blob(rules.id)):
            above = {**above, join(path, ATTRIBUTES): rules.id}
        if object_id("tree", render_tree(entries), len(tree) // 2) != tree:
            self.found.append(Remark(path, tree, "recast", "is written in an old way"))
        seen: set[str] = set()
        for entry in entries:
            where = join(path, entry.name)
            what = TWICE if entry.name in seen else ""
            seen.add(entry.name)
            if before.get(entry.name) == entry and not what:
                continue
            what = what or unfit(entry, path, self._objects.blob)
            if what:
                self.found.append(Remark(where, entry.id, "left out", what))
            elif entry.mode == DIRECTORY:
                below = before.get(entry.name)
                self.directory(where, entry.id, below.id if below is not None and below.is_directory else None, above)
            elif entry.mode in (FILE, PROGRAM) and above:
                self.files[where] = entry.id
                self.attributes.update(above)

    def stands(self, tree: str, remark: Remark) -> bool:
        """Tell whether a remark about the old tree is one about `tree` too: the same object at the same place."""
        if any(not place or remark.path == place or remark.path.startswith(f"{place}/") for place in self._fresh):
            return False
        names = remark.path.split("/") if remark.path else []
        with suppress(NotFound):
            for number, name in enumerate(names, 1):
                there = [entry for entry in self._objects.tree(tree) if entry.name == name]
                if number == len(names):
                    return any(entry.id == remark.id for entry in there)
                if not there or not there[0].is_directory:
                    return False
                tree = there[0].id
        return not names and tree == remark.id

    def _old(self, tree: str | None) -> tuple[Entry, ...]:
        if tree is not None:
            with suppress(NotFound):  # git has removed it since
                return self._objects.tree(tree)
        return ()


def text(found: Survey) -> bytes:
    """Return a survey as it is kept with a version."""
    document = {"tree": found.tree, "remarks": [list(remark) for remark in found.remarks]}
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def read(content: bytes) -> Survey | None:
    """Return a survey that was kept; None if it is damaged, for what a power cut leaves can be found anew."""
    try:
        document = json.loads(content)
        return Survey(document["tree"], tuple(Remark(*remark) for remark in document["remarks"]))
    except (ValueError, TypeError, KeyError):
        return None


def sentences(remarks: Sequence[Remark]) -> list[str]:
    """Return what people are told about remarks: a sentence for each kind, with some of the paths. Pure."""
    told = []
    left = [f"{one.path} {one.what}" for one in remarks if one.kind == "left out"]
    if left:
        count = "1 entry of the tree is left out" if len(left) == 1 else f"{len(left)} entries of the tree are left out"
        told.append(f"{count}: {some(left)}")
    contents = [f"{one.path} ({one.what})" for one in remarks if one.kind == "content"]
    if contents:
        count = "1 file is" if len(contents) == 1 else f"{len(contents)} files are"
        told.append(f"{count} as in the commit, but different in a checkout: {some(contents)}")
    return [*told, *(f"{one.path} {one.what}" for one in remarks if one.kind == "program")]


def some(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
