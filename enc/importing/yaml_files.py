"""YAML files of classes and of hiera data, taken apart so that one bad part costs no other. Pure but for `data_of`.

A list of classes is read item by item, a mapping of hiera data key by key.
What cannot be taken is a `Problem` with its line: the one class, or the one
key; only a text that is no YAML, or neither list nor mapping, is `Unreadable`
as a whole. YAML is read as Wikimedia's ENC reads it (PyYAML's safe loader):
of a key that stands twice the last counts, and `<<` merges.

What is not taken is what Puppet's hiera does not serve either (`puppet lookup`
of Puppet 7 and 8): keys of the file that are no texts, which no lookup can ask
for; keys of mappings that are neither text nor number; dates and times, sets
and other tags, at which its reader fails; and what no catalog can hold, such as
numbers of more than 64 bits or that are not finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from enc.classify import values
from enc.classify.model import Value
from enc.importing.outcome import Problem
from enc.importing.safely import Unreadable, text_of
from enc.settings.config import NOT_YAML
from enc.terms.errors import InvalidName, UsageError, one_line
from enc.terms.names import ClassName, DataKey

MOST_VALUES = 50_000
"""Values in one YAML file after aliases are followed: a small file can stand for billions of them."""
_SHOWN = 60
_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Classes:
    """What a file of classes says."""

    found: dict[ClassName, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class Data:
    """What a file of hiera data says."""

    found: dict[DataKey, Value] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """The keys whose values cannot be taken."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    """What was taken, but perhaps not as somebody meant it."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but for what it would turn into values that are no hiera data."""

    def no_value(self, node: yaml.Node) -> Any:
        what = "a date or time, which Puppet's hiera does not read; write it in quotes"
        if node.tag != f"{_TAG}timestamp":
            what = f"{node.tag.replace(_TAG, '!!')} is not hiera data"
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)

    def text(self, node: yaml.ScalarNode) -> str:
        return str(node.value)

    def bytes(self, node: yaml.ScalarNode) -> str:
        raw = self.construct_yaml_binary(node)
        if not raw.isascii():
            raise yaml.constructor.ConstructorError(None, None, "!!binary that is not ASCII text", node.start_mark)
        return raw.decode("ascii")


for _name in ("timestamp", "set", "omap", "pairs"):
    _Loader.add_constructor(_TAG + _name, _Loader.no_value)
_Loader.add_constructor(None, _Loader.no_value)
_Loader.add_constructor(f"{_TAG}value", _Loader.text)  # a lone "="
_Loader.add_constructor(f"{_TAG}binary", _Loader.bytes)


class _Document:
    """One YAML text, composed; its parts are built one by one."""

    def __init__(self, text: str, file: Path) -> None:
        self.file = file
        self._sizes: dict[int, int] = {}
        self._left = MOST_VALUES
        try:
            self._loader = _Loader(text)
            self.top = self._loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            raise Unreadable(f"is not YAML: {_told(error)}", where=self._where(error)) from error
        except NOT_YAML as error:
            raise Unreadable(f"is not YAML: {one_line(' '.join(str(error).split()))}", where=str(file)) from error

    def place(self, node: yaml.Node | None) -> str:
        """Return FILE:LINE of a node, or the file."""
        return str(self.file) if node is None else f"{self.file}:{node.start_mark.line + 1}"

    def _where(self, error: yaml.MarkedYAMLError) -> str:
        mark = error.problem_mark or error.context_mark
        return f"{self.file}:{mark.line + 1}" if mark is not None else str(self.file)

    def build(self, node: yaml.Node) -> Any:
        """Return the value of a node; raise `Unreadable` with the line."""
        size = self._size(node)
        if size > self._left:
            raise Unreadable(f"holds more than {MOST_VALUES} values", where=self.place(node))
        try:
            built = self._loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            raise Unreadable(_told(error), where=self._where(error)) from error
        except NOT_YAML as error:
            raise Unreadable(one_line(" ".join(str(error).split())), where=self.place(node)) from error
        self._left -= size
        return built

    def flatten(self, top: yaml.MappingNode) -> Iterator[Problem]:
        """Carry out the merges (`<<`) of a mapping; yield what is wrong with one that cannot be."""
        for key, value in [pair for pair in top.value if pair[0].tag == f"{_TAG}merge"]:
            # Before anything is merged: merges of merges grow as aliases do.
            if self._size(value) > MOST_VALUES:
                yield Problem(self.place(key), f"<<: holds more than {MOST_VALUES} values")
                top.value.remove((key, value))
        try:
            self._loader.flatten_mapping(top)
        except yaml.MarkedYAMLError as error:
            yield Problem(self._where(error), f"<<: {_told(error)}")
            top.value = [pair for pair in top.value if pair[0].tag != f"{_TAG}merge"]

    def _size(self, top: yaml.Node) -> int:
        """Return how many values a node stands for when aliases are followed; endless is a large number."""
        waiting = [(top, False)]
        while waiting:
            node, seen = waiting.pop()
            if seen:
                self._sizes[id(node)] = 1 + sum(self._sizes[id(child)] for child in _children(node))
            elif id(node) not in self._sizes:
                self._sizes[id(node)] = MOST_VALUES**3  # stands while its children are counted: a loop is endless
                waiting.append((node, True))
                waiting += [(child, False) for child in _children(node)]
        return self._sizes[id(top)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _told(error: yaml.MarkedYAMLError) -> str:
    return one_line(" ".join(part for part in (error.context, error.problem) if part))


def _short(text: object) -> str:
    shown = str(text)
    return one_line(shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…")


def classes(text: str, file: Path) -> Classes:
    """Return the classes that a text lists. `{}`, `~` and an empty file stand for none. Raise `Unreadable`."""
    document = _Document(text, file)
    result, top = Classes(), document.top
    if top is None or (isinstance(top, yaml.MappingNode) and not top.value) or top.tag == f"{_TAG}null":
        return result
    if not isinstance(top, yaml.SequenceNode):
        raise Unreadable("expected a list of classes", where=document.place(top))
    for node in top.value:
        try:
            result.found[_class(document, node)] = None
        except (Unreadable, InvalidName) as error:
            result.problems.append(Problem(error.where or document.place(node), error.message))
    return result


def _class(document: _Document, node: yaml.Node) -> ClassName:
    item = document.build(node)
    if isinstance(item, str):
        return ClassName.from_directory(item)
    raise Unreadable(f"{_short(repr(item))} is not a class name", where=document.place(node))


def data(text: str, file: Path) -> Data:
    """Return the hiera data of a text. `~` and an empty file stand for none. Raise `Unreadable`."""
    document = _Document(text, file)
    result, top = Data(), document.top
    if top is None or top.tag == f"{_TAG}null":
        return result
    if not isinstance(top, yaml.MappingNode):
        raise Unreadable("expected a mapping of hiera keys", where=document.place(top))
    own = {id(key) for key, _ in top.value}
    result.problems += document.flatten(top)
    lines: dict[str, yaml.Node] = {}
    for key_node, node in top.value:
        name = None
        try:
            name = _key(document, key_node)
            item = document.build(node)
            values.check(item)
        except (Unreadable, InvalidName, ValueError) as error:
            words = str(error) if isinstance(error, ValueError) else error.message
            place = getattr(error, "where", None) or document.place(key_node)
            result.problems.append(Problem(place, words if name is None else f"{_short(name)}: {words}"))
            if name is not None:
                result.found.pop(name, None)
                result.refused.add(name)
            continue
        if name in lines:
            words = f"{_short(name)}: appears again below, and the last one counts"
            result.notes.append(Problem(document.place(lines[name]), words))
        if id(key_node) in own:
            lines[name] = key_node
        result.refused.discard(name)
        result.found[name] = item
    return result


def _key(document: _Document, node: yaml.Node) -> DataKey:
    key = document.build(node)
    if isinstance(key, str):
        return DataKey(key)
    kind = "sequence" if isinstance(node, yaml.SequenceNode) else "mapping"
    shown = _short(node.value) if isinstance(node, yaml.ScalarNode) else f"a {kind} as a key"
    raise Unreadable(f"{shown}: not a text, so no lookup can ask for it", where=document.place(node))


def data_of(file: Path) -> dict[DataKey, Value]:
    """Return the hiera data of a file that was given by hand; `UsageError` for the first thing that cannot be taken."""
    found = data(text_of(file, follow=True), file)
    for problem in found.problems:
        raise UsageError(problem.message, where=problem.where)
    return found.found
