"""The index of a tree: all that its code defines, and where each stands, for people and for completion.

Made directory by directory. What a directory of manifests defines is kept by the name of its tree (kept.py), so of two
trees only the directories that differ are read, and of these only the files that do.

It has what Puppet finds: of several modules with one name the first in the modulepath, and of a class the first file.
Functions in Ruby are told by their files' names; Ruby is not run for that.

Failure modes: those of environment.py, but for single files: they are told in `faults`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from git_hooks.index.environment import LONGEST, Environment, Module, Standing, Unread, loadable
from git_hooks.index.kept import Kept, Part
from git_hooks.index.sight import Found
from git_hooks.puppet_code.calls import Kind, Read
from git_hooks.puppet_code.definitions import FUNCTION, Definition
from git_hooks.repository.trees import DIRECTORY, FILE, LINK, PROGRAM, Entry, join, object_id, render_tree

_PLACES = {"manifests": Kind.DEFINED, "functions": Kind.DEFINED, "types": Kind.DEFINED, "plans": Kind.DEFINED_PLAN}
"""Directories of modules, and as what their files are read."""
_RUBY = ("lib/puppet/functions", "lib/puppet/parser/functions")
_DEEPEST = 40


class Index(NamedTuple):
    """What a tree defines."""

    standings: Sequence[Standing]
    """What Puppet finds, by kind and name in order."""
    faults: Mapping[str, str]
    """By path: why a file could not be read, so that what it defines is not here."""
    unseen: Sequence[str]
    """Modules that a Puppetfile asks for and that are not fetched yet."""

    def of(self, kind: str) -> Iterator[Standing]:
        """Yield what is of one kind."""
        yield from (one for one in self.standings if one.definition.kind == kind)

    def named(self, name: str) -> Sequence[Standing]:
        """Return what is called so, in whatever capitals and with `::` before it or not."""
        wanted = name.removeprefix("::").lower()
        return [one for one in self.standings if one.definition.name.lower() == wanted]


def index(environment: Environment, kept: Kept, read: Read) -> Index:
    """Return the index of an environment; raise `ParserMissing` where nobody can read Puppet code."""
    return _Indexing(environment, kept, read).run()


class _File(NamedTuple):
    """A file that may be read."""

    where: str
    id: str
    content: Callable[[], bytes | None]


class _Indexing:
    def __init__(self, environment: Environment, kept: Kept, read: Read) -> None:
        self._environment = environment
        self._sight = environment.sight
        self._kept = kept
        self._read = read
        self._found: dict[tuple[str, str], tuple[int, Standing]] = {}
        self._faults: dict[str, str] = {}

    def run(self) -> Index:
        modules = self._environment.modules.values()
        for module in modules:
            for directory, kind in _PLACES.items():
                for path, standing in self._files(module, directory, kind):
                    if loadable(standing.definition, module.name, path):
                        # Puppet looks for a::b::c in b/c.pp, then in b.pp, then in init.pp.
                        self._add(standing, 0 if path == "init.pp" else path.count("/") + 1)
            for directory in _RUBY:
                for path, where in self._ruby(module, directory):
                    self._add(Standing(where, Definition(FUNCTION, path.removesuffix(".rb").replace("/", "::"), 1)), 1)
        for standing in self._own():
            self._add(standing, -1)
        found = sorted((one for _, one in self._found.values()), key=lambda one: one.definition[:2])
        return Index(found, self._faults, sorted(one.name for one in modules if one.unseen))

    def _add(self, standing: Standing, order: int) -> None:
        key = standing.definition.kind, standing.definition.name.lower()
        if key not in self._found or order > self._found[key][0]:
            self._found[key] = order, standing

    def _files(self, module: Module, directory: str, kind: Kind) -> Iterator[tuple[str, Standing]]:
        """Yield what a directory of a module defines, with the file's path below it."""
        if module.tree is not None:
            there = self._sight.at(join(module.tree.path, directory))
            if there is not None and there.entry.is_directory:
                yield from self._of_tree(there, kind)
        elif module.disk is not None:
            yield from self._of_disk(module.disk / directory, kind)

    def _own(self) -> Iterator[Standing]:
        there = self._environment.manifest
        if there is not None and there.entry.is_directory:
            yield from (standing for _, standing in self._of_tree(there, Kind.DEFINED))
        elif there is not None:
            files = {"": self._in_tree(there)}
            yield from (standing for _, standing in self._one(files, "", there.path, Kind.DEFINED, _named(files)))

    def _of_tree(self, top: Found, kind: Kind) -> Iterator[tuple[str, Standing]]:
        waiting = [("", top)]
        while waiting:
            way, directory = waiting.pop()
            files: dict[str, _File] = {}
            links: dict[str, _File] = {}
            for name, entry in self._sight.inside(directory.entry.id).items():
                where = Found(join(directory.path, name), entry)
                if entry.mode == DIRECTORY and way.count("/") < _DEEPEST:
                    waiting.append((join(way, name), where))
                elif name.endswith(".pp") and entry.mode in (FILE, PROGRAM):
                    files[name] = self._in_tree(where)
                elif name.endswith(".pp") and entry.mode == LINK:
                    there = self._sight.at(where.path)
                    if there is not None and there.is_file:
                        links[name] = self._in_tree(there)
            if files:
                yield from self._one(files, way, directory.path, kind, directory.entry.id)
            if links:  # what they lead to is not said by the directory's name
                yield from self._one(links, way, f"{directory.path} links", kind, _named(links))

    def _of_disk(self, top: Path, kind: Kind) -> Iterator[tuple[str, Standing]]:
        for parent, directories, names in os.walk(top):
            directories.sort()
            files: dict[str, _File] = {}
            for name in sorted(names):
                with suppress(OSError):
                    if name.endswith(".pp") and os.path.getsize(f"{parent}/{name}") <= LONGEST:  # noqa: PTH202
                        content = Path(parent, name).read_bytes()
                        where = f"{parent}/{name}"
                        files[name] = _File(where, object_id("blob", content, 20), partial(bytes, content))
            if files:
                way = os.path.relpath(parent, top)
                yield from self._one(files, "" if way == "." else way, parent, kind, _named(files))

    def _in_tree(self, found: Found) -> _File:
        return _File(found.path, found.entry.id, lambda: self._sight.content(found.entry, LONGEST))

    def _one(
        self, files: Mapping[str, _File], way: str, place: str, kind: Kind, tree: str
    ) -> Iterator[tuple[str, Standing]]:
        """Yield what the files directly in one directory define; `tree` names what is in it."""
        name = tree if kind is Kind.DEFINED else f"{tree}.plan"
        part = self._kept.get(name)
        if part is None:
            part, whole = self._part(files, self._kept.last(f"{place} {kind}"), kind)
            if whole:
                self._kept.put(name, part, f"{place} {kind}")
        for file, one in part.items():
            if file in files:
                if one.fault:
                    self._faults[files[file].where] = one.fault
                yield from ((join(way, file), Standing(files[file].where, each)) for each in one.defined)

    def _part(self, files: Mapping[str, _File], before: Mapping[str, Part], kind: Kind) -> tuple[dict[str, Part], bool]:
        """Return what files define, and whether each could be read, now or as it was before."""
        found: dict[str, Part] = {}
        whole = True
        for name, file in files.items():
            known = before.get(name)
            if known is not None and known.id == file.id:
                found[name] = known
                continue
            try:
                reading = self._read(file.id, kind, partial(_all, file))
            except Unread as error:
                found[name] = Part(file.id, (), error.message)
                continue
            found[name] = Part(file.id, reading.defined, reading.fault)
            whole = whole and (reading.syntax or not reading.fault)
        return found, whole

    def _ruby(self, module: Module, directory: str) -> Iterator[tuple[str, str]]:
        """Yield the Ruby files of a directory of a module, with their paths below it."""
        if module.tree is not None:
            there = self._sight.at(join(module.tree.path, directory))
            if there is not None and there.entry.is_directory:
                yield from ((path, found.path) for path, found in self._sight.below(there, ".rb"))
        elif module.disk is not None:
            top = module.disk / directory
            for parent, _, names in os.walk(top):
                for name in names:
                    if name.endswith(".rb"):
                        yield os.path.relpath(f"{parent}/{name}", top), f"{parent}/{name}"


def _named(files: Mapping[str, _File]) -> str:
    """Return a name that says what is in these files: git's, of a directory that has just them."""
    return object_id("tree", render_tree(Entry(FILE, name or "-", one.id) for name, one in files.items()), 20)


def _all(file: _File) -> bytes:
    content = file.content()
    if content is None:
        raise Unread(f"is larger than {LONGEST} bytes", where=file.where)
    return content
