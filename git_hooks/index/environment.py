"""Where Puppet finds a class or a type in the environment that a tree becomes.

Facts from Puppet's sources (7.23 and 8.10): of several modules with one name the first in the modulepath counts
(node/environment.rb). A class `a::b::c` is looked for in `b/c.pp`, `b.pp` and `init.pp` of the module's manifests, in
this order (parser/type_loader.rb), unless the environment's own manifests define it; a type in the one file that is
called like it (pops/loader/loader_paths.rb).

Beside the tree there are the modules of this machine (basemodulepath, and the absolute directories of a modulepath),
which are read from disk, and those of a Puppetfile: these are read from the disk where they are fetched already, and
else nobody can tell what is in them.

Failure modes: `Unread` where a file cannot be read by Puppet's parser now, `ParserMissing` where nobody can. A file
that is no Puppet code defines nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from enc.terms.errors import ToolkitError
from git_hooks.index import conf
from git_hooks.index.sight import Found, Sight
from git_hooks.puppet_code.calls import Kind, Read
from git_hooks.puppet_code.definitions import CLASS, TYPE, Definition
from git_hooks.repository.trees import DIRECTORY, LINK, SUBMODULE, join, object_id

LONGEST = 1 << 20
"""Bytes of one file that are read."""
_MOST = 5000
"""So many directories one part of a modulepath may mean."""
_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_TYPES = re.compile(r"(?<![\w:])(?:::)?[A-Z]\w*(?:::[A-Z]\w*)*", re.ASCII)


class Unread(ToolkitError):
    """A file cannot be read by Puppet's parser now."""


class Module(NamedTuple):
    """Where a module is; nowhere: it is empty, as a submodule is."""

    name: str
    tree: Found | None = None
    """Its directory in the tree."""
    disk: Path | None = None
    """Its directory on this machine."""
    unseen: bool = False
    """A Puppetfile asks for it, and it is not fetched yet."""

    def same(self, other: Module | None) -> bool:
        """Tell whether the same is in it, wherever it is."""
        if other is None or self.tree is None or other.tree is None:
            return self == other
        return self.tree.entry.id == other.tree.entry.id


class Fetched(NamedTuple):
    """The modules of a Puppetfile."""

    directory: str
    """Where the environment has them."""
    modules: Mapping[str, Path | None]
    """By name; None: it is not fetched yet."""


class Standing(NamedTuple):
    """A definition, and where it stands."""

    path: str
    """In the tree, or an absolute one."""
    definition: Definition

    @property
    def place(self) -> str:
        """Return it as people look it up."""
        return f"{self.path}:{self.definition.line}"


class Unseen(NamedTuple):
    """What may be there, and cannot be looked at."""

    why: str
    """A sentence."""


class Environment:
    """The environment that one tree becomes."""

    def __init__(
        self,
        sight: Sight,
        read: Read,
        base: Sequence[Path] = (),
        fetched: Fetched | None = None,
    ) -> None:
        """Read nothing yet. `base` is the basemodulepath, `fetched` what the tree's Puppetfile asks for."""
        self.sight = sight
        self._read = read
        self._base = base
        self._fetched = fetched
        self._known: dict[str, tuple[Definition, ...]] = {}
        self._closed: list[Path] = []
        """Directories of modules that this account may not look into."""

    def find(self, name: str) -> Standing | Unseen | None:
        """Return the class that Puppet finds by this name (in small letters, without `::` before it)."""
        head, *rest = name.split("::")
        module = self.modules.get(head)
        if module is not None:
            for number in range(len(rest), -1, -1):
                found = self._in_file(module, f"manifests/{'/'.join(rest[:number]) or 'init'}.pp", CLASS, name)
                if found is not None:
                    return found
        found = self._in_own(CLASS, name)
        if found is None and module is not None and module.unseen:
            return _unfetched(head)
        return self._perhaps(module) if found is None else found

    def type(self, name: str) -> Standing | Unseen | None:
        """Return the alias of this name (in small letters)."""
        head, *rest = name.split("::")
        module = self.modules.get(head)
        if module is not None and rest:
            if (found := self._in_file(module, f"types/{'/'.join(rest)}.pp", TYPE, name)) is not None:
                return found
            if module.unseen:
                return _unfetched(head)
            if self._has(module, f"lib/puppet/datatypes/{'/'.join(rest)}.rb"):
                return Unseen("it is written in Ruby, which is not run for this")
        return self._in_own(TYPE, name) or self._perhaps(module)

    def types_in(self, text: str) -> Mapping[str, Standing | Unseen | None]:
        """Return the types that the text of a type names, those that these stand for too, by name in small letters.

        None: no alias of this name is to be found. Puppet's own types are among them.
        """
        found: dict[str, Standing | Unseen | None] = {}
        waiting = [text]
        while waiting:
            for word in _TYPES.findall(waiting.pop()):
                name = word.removeprefix("::").lower()
                if name not in found:
                    found[name] = one = self.type(name)
                    if isinstance(one, Standing):
                        waiting.append(one.definition.of)
        return found

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        """The modules, by name."""
        found: dict[str, Module] = {}
        for part in conf.modulepath(self._conf):
            for module in self._in_part(part):
                found.setdefault(module.name, module)
        return found

    @cached_property
    def manifest(self) -> Found | None:
        """The file or directory of the environment's own manifests."""
        return self.sight.at(conf.manifest(self._conf))

    @cached_property
    def own_files(self) -> Mapping[str, Found]:
        """The environment's own manifests, by path."""
        there = self.manifest
        if there is None:
            return {}
        found = [there] if there.is_file else [one for _, one in self.sight.below(there, ".pp")]
        return {one.path: one for one in found}

    def defined(self, file: Found, kind: Kind = Kind.DEFINED) -> tuple[Definition, ...]:
        """Return what a file of the tree defines."""
        return self._defined(file.entry.id, file.path, partial(self.sight.content, file.entry, LONGEST), kind)

    @cached_property
    def _conf(self) -> bytes:
        there = self.sight.at(conf.NAME)
        return (self.sight.content(there.entry, conf.LONGEST) or b"") if there is not None and there.is_file else b""

    def _in_part(self, part: str) -> Iterator[Module]:
        if part == conf.BASE or part.startswith("/"):
            for place in self._base if part == conf.BASE else (Path(part),):
                try:
                    yield from _on_disk(place)
                except PermissionError:
                    self._closed.append(place)
                except OSError:  # it is not there: no module is
                    continue
            return
        for path in self._globbed(part):
            there = self.sight.at(path)
            names = self.sight.inside(there.entry.id) if there is not None and there.entry.is_directory else {}
            for name, entry in names.items():
                if _NAME.fullmatch(name) and there is not None:
                    where = Found(join(there.path, name), entry)
                    if entry.mode == LINK:
                        led = self.sight.at(where.path)
                        if led is not None and led.entry.is_directory:
                            yield Module(name, led)
                    elif entry.mode == DIRECTORY:
                        yield Module(name, where)
                    elif entry.mode == SUBMODULE:
                        yield Module(name)
            if self._fetched is not None and path == conf.plain(self._fetched.directory):
                for name, disk in self._fetched.modules.items():
                    yield Module(name, None, disk, unseen=disk is None)

    def _globbed(self, pattern: str) -> Iterator[str]:
        """Yield the directories of the tree that a part of a modulepath means."""
        found = [""]
        for word in pattern.split("/"):
            if "*" not in word:
                found = [join(path, word) for path in found]
                continue
            there = [(path, one) for path in found if (one := self.sight.at(path)) is not None]
            found = [
                join(path, name)
                for path, one in there
                if one.entry.is_directory
                for name in sorted(self.sight.inside(one.entry.id))
                if fnmatchcase(name, word) and not (name.startswith(".") and not word.startswith("."))
            ]
            if len(found) > _MOST:
                raise Unread(f"{pattern[:80]} in its modulepath means more than {_MOST} directories", where=conf.NAME)
        yield from found

    def _in_file(self, module: Module, path: str, kind: str, name: str) -> Standing | None:
        if module.tree is not None:
            there = self.sight.at(join(module.tree.path, path))
            if there is None or not there.is_file:
                return None
            where, defined = there.path, self.defined(there)
        elif module.disk is not None:
            where, defined = f"{module.disk}/{path}", self._defined_on_disk(module.disk / path)
        else:
            return None
        return next((Standing(where, one) for one in defined if one.kind == kind and _is(one, name)), None)

    def _perhaps(self, module: Module | None) -> Unseen | None:
        """Return why something may be there though it was not found."""
        if module is None and self._closed:
            return Unseen(f"{self._closed[0]} cannot be looked into by this account")
        return None

    def _in_own(self, kind: str, name: str) -> Standing | None:
        word = name.rpartition("::")[2].encode()
        for path in sorted(self.own_files):
            file = self.own_files[path]
            # There may be thousands of them, for as many nodes; without the word there is no need to read one.
            content = self.sight.content(file.entry, LONGEST)
            if content is None or word in content.lower():
                for one in self.defined(file):
                    if one.kind == kind and _is(one, name):
                        return Standing(path, one)
        return None

    def _has(self, module: Module, path: str) -> bool:
        if module.tree is not None:
            return self.sight.at(join(module.tree.path, path)) is not None
        return module.disk is not None and os.path.exists(module.disk / path)  # noqa: PTH110 - may be unreadable

    def _defined_on_disk(self, file: Path) -> tuple[Definition, ...]:
        try:
            with file.open("rb") as stream:
                content = stream.read(LONGEST + 1)
        except OSError:
            return ()
        name = object_id("blob", content, 20)
        return self._defined(name, str(file), lambda: content if len(content) <= LONGEST else None, Kind.DEFINED)

    def _defined(self, name: str, path: str, content: Callable[[], bytes | None], kind: Kind) -> tuple[Definition, ...]:
        key = f"{name}{kind}"
        if key not in self._known:

            def code() -> bytes:
                found = content()
                if found is None:
                    raise Unread(f"a file larger than {LONGEST} bytes", where=path)
                return found

            reading = self._read(name, kind, code)
            if reading.fault and not reading.syntax:
                raise Unread(reading.fault, where=path)
            self._known[key] = reading.defined
        return self._known[key]


def loadable(definition: Definition, module: str, path: str) -> bool:
    """Tell whether Puppet finds a definition by its name in a file of a module (its path below `manifests`, say)."""
    head, *rest = definition.name.lower().split("::")
    words = path.removesuffix(".pp").split("/")
    if head != module:
        return False
    if definition.kind in (TYPE, "function", "plan"):
        return words == (rest or ["init"])
    return words == ["init"] or rest[: len(words)] == words


def _unfetched(module: str) -> Unseen:
    return Unseen(f"the module {module} of the Puppetfile is not fetched yet")


def _is(definition: Definition, name: str) -> bool:
    return definition.name.lower() == name


def _on_disk(place: Path) -> Iterator[Module]:
    for entry in sorted(os.scandir(place), key=lambda one: one.name):
        if _NAME.fullmatch(entry.name) and entry.is_dir():
            yield Module(entry.name, None, Path(entry.path))
