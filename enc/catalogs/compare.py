"""What differs between two catalogs of one node. Pure; what files hold is asked of who knows the two trees.

Resources are compared by type and title, Files by their path. Of what is in
both, each parameter is compared by its value: a number is not the text of its
digits, and the order of an array counts, but for relationships and tags, which
are sets (arrays of `before`, `notify`, `require`, `subscribe`, `tag`). That a
value becomes Sensitive is a change as well.

A File whose `source` stays the same, and whose file does not, differs too
(`Contents`): the catalog itself does not say so.

Left out: where something is declared, tags that Puppet adds, and Class
resources, whose parameters show in what the class declares.

Nothing that is secret leaves this module: see masking.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from enc.catalogs.catalog import Catalog, Key, Resource
from enc.catalogs.masking import Mask
from enc.terms.counted import counted

Kind = Literal["added", "removed", "changed"]
SETS = ("before", "notify", "require", "subscribe", "tag")
_LEFT_OUT = ("Class", "Stage", "Node")
CONTENT = "content of its source"
"""Stands as the parameter where only the file changed that a File's `source` names."""
_LONGEST = 2_000
"""Characters of one value that are kept; of a longer one, its beginning."""
_DEEPEST = 100


class Contents(NamedTuple):
    """What the files of one tree hold."""

    of: Callable[[str], Mapping[str, str] | None]
    """`puppet:///modules/…` to a digest for each file below it, by its path there (empty: it is a file itself).
    None: there is nothing, or it cannot be told."""


NOTHING_KNOWN = Contents(lambda _source: None)


class Value(NamedTuple):
    """A parameter's value as it may be shown; `there` is False where the parameter is not set."""

    there: bool
    shown: Any = None


UNSET = Value(there=False)


class ParameterChange(NamedTuple):
    """One parameter, before and after."""

    name: str
    old: Value
    new: Value


class Change(NamedTuple):
    """What happens to one resource."""

    kind: Kind
    key: Key
    parameters: tuple[ParameterChange, ...] = ()
    """Of one that is added its parameters, of one that is removed those that it had."""
    exported: bool = False
    """It is offered to other nodes, and no part of this one."""
    file: str = ""
    """Where it is declared, after the change if it is there then. No part of what differs."""
    line: int = 0

    def identity(self) -> tuple[object, ...]:
        """Return what makes it the same change as another node's."""
        return (self.kind, str(self.key), self.exported, repr(self.parameters))


def compare(
    before: Catalog,
    after: Catalog,
    mask: Mask,
    old_files: Contents = NOTHING_KNOWN,
    new_files: Contents = NOTHING_KNOWN,
) -> tuple[Change, ...]:
    """Return what differs, sorted by resource."""
    found = []
    for key in before.resources.keys() | after.resources.keys():
        if key.type in _LEFT_OUT:
            continue
        old, new = before.resources.get(key), after.resources.get(key)
        if old is None and new is not None:
            found.append(_whole("added", new, mask))
        elif new is None and old is not None:
            found.append(_whole("removed", old, mask))
        elif old is not None and new is not None:
            if old.exported != new.exported:
                found += [_whole("removed", old, mask), _whole("added", new, mask)]
                continue
            if _alike(old, new):
                continue
            changes = tuple(_changes(old, new, mask, old_files, new_files))
            if changes:
                found.append(Change("changed", key, changes, new.exported, new.file, new.line))
    return tuple(sorted(found, key=lambda one: (str(one.key), one.kind)))


def _alike(old: Resource, new: Resource) -> bool:
    """Tell at a glance that nothing differs, which is so for most; False: it has to be looked at."""
    if old.parameters != new.parameters or old.sensitive != new.sensitive:
        return False
    if old.key.type == "File" and "source" in old.parameters:
        return False
    # Python takes 1 for True: only where all are texts, or arrays of texts, is it certain.
    return all(map(_is_text, (*old.parameters.values(), *new.parameters.values())))


def _is_text(value: Any) -> bool:
    return type(value) is str or (type(value) is list and all(type(one) is str for one in value))


def _whole(kind: Kind, one: Resource, mask: Mask) -> Change:
    def value(name: str) -> Value:
        return _shown(name, one, mask)

    changes = tuple(
        ParameterChange(name, UNSET, value(name)) if kind == "added" else ParameterChange(name, value(name), UNSET)
        for name in sorted(one.parameters)
    )
    return Change(kind, one.key, changes, one.exported, one.file, one.line)


def _changes(
    old: Resource, new: Resource, mask: Mask, old_files: Contents, new_files: Contents
) -> Iterator[ParameterChange]:
    was, now = old.sensitive, new.sensitive
    secret = was | now
    old, new = old._replace(sensitive=secret), new._replace(sensitive=secret)
    for name in sorted(old.parameters.keys() | new.parameters.keys()):
        there = (name in old.parameters, name in new.parameters)
        marked = name in was, name in now
        if there == (True, True) and marked[0] == marked[1] and same(name, old.parameters[name], new.parameters[name]):
            continue
        shown = _shown(name, old, mask), _shown(name, new, mask)
        if there == (True, True) and marked[0] != marked[1]:
            said = ("in the open", "Sensitive")
            marks = [Value(True, f"{one.shown} {said[mark]}") for one, mark in zip(shown, marked, strict=True)]
            shown = marks[0], marks[1]
        elif there == (True, True) and shown[0] == shown[1]:
            # Only what is hidden or cut off differs, and its mark does not show it: say at least that it does.
            shown = Value(True, mask.hidden(old.parameters[name])), Value(True, mask.hidden(new.parameters[name]))
        yield ParameterChange(name, *shown)
    if old.key.type == "File" and "content" not in new.parameters:
        yield from _files(old, new, old_files, new_files)


def _files(old: Resource, new: Resource, old_files: Contents, new_files: Contents) -> Iterator[ParameterChange]:
    """Yield what differs in the files that an unchanged `source` names."""
    sources = old.parameters.get("source"), new.parameters.get("source")
    if sources[0] != sources[1] or not sources[0]:
        return
    names = sources[0] if isinstance(sources[0], list) else [sources[0]]
    held = [(name, old_files.of(name), new_files.of(name)) for name in names if isinstance(name, str)]
    first = [next((each for each in held if each[side]), ("", None, None)) for side in (1, 2)]
    before, after = first[0][1] or {}, first[1][2] or {}
    if not before and not after:
        return
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            name = f"{CONTENT} ({path})" if path else CONTENT
            values = (Value(True, one[path]) if path in one else UNSET for one in (before, after))
            yield ParameterChange(name, *values)


def _shown(name: str, one: Resource, mask: Mask) -> Value:
    if name not in one.parameters:
        return UNSET
    value = mask.value(name, one.parameters[name], sensitive=name in one.sensitive)
    if isinstance(value, str) and len(value) > _LONGEST:
        value = f"{value[:_LONGEST]}… ({counted(len(value), 'character')}, {mask.hidden(value)})"
    return Value(True, value)


def same(name: str, old: Any, new: Any) -> bool:
    """Tell whether two values of a parameter mean the same to an agent."""
    if name in SETS and isinstance(old, list) and isinstance(new, list):
        return set(map(str, old)) == set(map(str, new))
    return _equal(old, new, 0)


def _equal(old: Any, new: Any, depth: int) -> bool:
    """Tell whether two values are equal, `1` and `true` apart, which Python takes for equal."""
    if type(old) is not type(new) or depth > _DEEPEST:
        return depth > _DEEPEST and repr(old) == repr(new)
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_equal(old[key], new[key], depth + 1) for key in old)
    if isinstance(old, list):
        return len(old) == len(new) and all(_equal(*pair, depth + 1) for pair in zip(old, new, strict=True))
    return bool(old == new)
