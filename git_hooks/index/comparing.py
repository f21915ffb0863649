"""What of two environments differs, as far as assigned classes and their parameters go.

Only what differs is read: modules whose tree is another, of these the directories and files whose object is another.
A class that Puppet finds elsewhere afterwards (in another file, another directory of modules, this machine's own
modules) is still there; one that it did not find before is not missed.

Failure modes: those of environment.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from git_hooks.index.assigned import Assigned
from git_hooks.index.environment import Environment, Module, Standing, Unseen
from git_hooks.index.sight import Found, Sight
from git_hooks.puppet_code.definitions import CLASS, TYPE, Parameter
from git_hooks.repository.trees import join


class Loss(NamedTuple):
    """A class that is not found any more, or a parameter that is gone or has another type."""

    name: str
    """The class."""
    before: Standing
    now: Standing | None
    """None: there is no class of this name."""
    parameter: Parameter | None = None
    """As it was; None: the class itself is gone."""

    @property
    def later(self) -> Parameter | None:
        """The parameter as it is now."""
        if self.now is None or self.parameter is None:
            return None
        return self.now.definition.parameter(self.parameter.name)


class Differences(NamedTuple):
    """What differs."""

    losses: tuple[Loss, ...] = ()
    types: frozenset[str] = frozenset()
    """Aliases, in small letters, that stand for something else now, or for nothing."""
    elsewhere: frozenset[str] = frozenset()
    """Modules that were outside of the tree, or are now: which classes they have is known by asking for each."""
    unseen: Mapping[str, Unseen] = MappingProxyType({})
    """Classes that may be where nobody can look."""

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(self)


def differences(before: Environment, now: Environment) -> Differences:
    """Return what differs between two environments."""
    if before.sight.tree == now.sight.tree:
        return Differences()
    classes, types, elsewhere = set[str](), set[str](), set[str]()
    for name in {**before.modules, **now.modules}:
        old, new = before.modules.get(name), now.modules.get(name)
        if old is not None and old.same(new):
            continue
        if any(one is not None and one.tree is None for one in (old, new)):
            elsewhere.add(name)
        for directory, kind, names in (("manifests", CLASS, classes), ("types", TYPE, types)):
            here, there = _directory(before, old, directory), _directory(now, new, directory)
            names.update(_names(before, _only(before.sight, here, now.sight, there), kind))
            names.update(_names(now, _only(now.sight, there, before.sight, here), kind))
    for side, other in ((before, now), (now, before)):
        files = [one for path, one in side.own_files.items() if not _same(one, other.own_files.get(path))]
        classes.update(_names(side, files, CLASS))
        types.update(_names(side, files, TYPE))
    losses, unseen = losses_of(sorted(classes), before, now)
    other_types = frozenset(name for name in types if _stands_for(before, name) != _stands_for(now, name))
    return Differences(losses, other_types, frozenset(elsewhere), unseen)


def losses_of(
    names: Iterable[str], before: Environment, now: Environment
) -> tuple[tuple[Loss, ...], Mapping[str, Unseen]]:
    """Return what is lost of these classes, and those of which that cannot be told, with the reason."""
    losses: list[Loss] = []
    unseen: dict[str, Unseen] = {}
    for name in names:
        old, new = before.find(name), now.find(name)
        if isinstance(new, Unseen):
            if old is not None:
                unseen[name] = new
        elif isinstance(old, Standing):
            losses += _losses(name, old, new)
    return tuple(losses), unseen


def retyped(nodes: Iterable[Assigned], types: frozenset[str], before: Environment, now: Environment) -> Iterator[Loss]:
    """Yield the parameters that nodes have, and whose type names one of `types`."""
    for name, parameter in dict.fromkeys(
        (name, parameter) for node in nodes for name, given in node.classes.items() for parameter in given
    ):
        old, new = before.find(name), now.find(name)
        if isinstance(old, Standing) and isinstance(new, Standing):
            one, later = old.definition.parameter(parameter), new.definition.parameter(parameter)
            if one is not None and later is not None and types & now.types_in(later.type).keys():
                yield Loss(name, old, new, one)


def _losses(name: str, old: Standing, new: Standing | None) -> Iterator[Loss]:
    if new is None:
        yield Loss(name, old, None)
        return
    for one in old.definition.parameters:
        later = new.definition.parameter(one.name)
        if later is None or later.type.split() != one.type.split():
            yield Loss(name, old, new, one)


def _names(side: Environment, files: Iterable[Found], kind: str) -> Iterator[str]:
    for file in files:
        yield from (one.name.lower() for one in side.defined(file) if one.kind == kind)


def _stands_for(environment: Environment, name: str) -> Mapping[str, str | None]:
    """Return all that a type means: its text, and those of the types in it."""
    found = environment.types_in("::".join(word.capitalize() for word in name.split("::")))
    return {one: each.definition.of if isinstance(each, Standing) else None for one, each in found.items()}


def _same(one: Found, other: Found | None) -> bool:
    return other is not None and one.entry.id == other.entry.id


def _directory(environment: Environment, module: Module | None, name: str) -> Found | None:
    if module is None or module.tree is None:
        return None
    found = environment.sight.at(join(module.tree.path, name))
    return found if found is not None and found.entry.is_directory else None


def _only(sight: Sight, here: Found | None, other: Sight, there: Found | None) -> Iterator[Found]:
    """Yield the manifests of the directory `here` that are not the same in `there`; None: it is not there."""
    if here is None:
        return
    beside = other.inside(there.entry.id) if there is not None else {}
    for name, entry in sight.inside(here.entry.id).items():
        twin = beside.get(name)
        if twin == entry:
            continue
        found = sight.at(join(here.path, name))
        if found is None:
            continue
        if found.entry.is_directory:
            if entry.is_directory:  # and no link, which may lead round
                below = None
                if there is not None and twin is not None and twin.is_directory:
                    below = Found(join(there.path, name), twin)
                yield from _only(sight, found, other, below)
        elif name.endswith(".pp"):
            yield found
