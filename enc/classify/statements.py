"""What one record says, parsed by the table of kinds. Pure.

This is the door for everything that admins write. A value that breaks a rule
is a `ClassificationError` that names entry, attribute, value and rule; it stops
the nodes that this record bears on, and no others. Only a variable that Puppet
keeps to itself is left out with a note: a directory may be full of them (an
Active Directory gives each entry a `name`), and one would stop every catalog.

Not here: which kinds there are and how their texts are read (kinds.py), what becomes of several records (extended.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from enc.classify import kinds
from enc.classify.kind import AttributeLeftOut, K, Kind, LeftOut, V
from enc.classify.kinds import CLASSES, ENVIRONMENT
from enc.classify.model import Value
from enc.classify.trial import Trial
from enc.settings import NodeSettings
from enc.terms.errors import ClassificationError, one_line
from enc.terms.names import ClassName, DataKey, EnvironmentName, ParameterName
from enc.terms.puppet_names import variable_fault
from enc.terms.record import Record

PARAMETER = kinds.PARAMETERS.attribute
REMOVE = kinds.WITHOUT.attribute
DATA = kinds.DATA.attribute
REGION = kinds.REGION.attribute
ROLE = kinds.ROLE.attribute
TRIAL = kinds.TRIAL.attribute
PROJECT = "puppetmasterProject"
ENROLMENT, BUILT = "puppetmasterEnrolment", "puppetmasterBuilt"
"""About an instance (enc/instances); no business of its classification."""
OURS = (*(kind.attribute for kind in kinds.KINDS if kind.schema), PROJECT, ENROLMENT, BUILT)
"""Attributes that are ours, and so become no variables."""


class Statement(NamedTuple):
    """What one layer says, before it meets the others."""

    said: Mapping[str, dict[Any, Any]]
    """By the part's name; only of parts about which it says something."""
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind[K, V]) -> dict[K, V]:
        """Return what is said about the part of `kind`."""
        return self.said.get(kind.part) or {}

    @property
    def classes(self) -> tuple[ClassName, ...]:
        """The classes, in order."""
        return tuple(self.of(CLASSES))

    @property
    def parameters(self) -> dict[ClassName, dict[str, Value]]:
        """The parameters of classes."""
        return by_class(self.of(kinds.PARAMETERS))

    @property
    def variables(self) -> Mapping[str, Value]:
        """The variables, plain and typed."""
        return self.said.get(kinds.VARIABLES.part) or {}

    @property
    def data(self) -> Mapping[DataKey, Value]:
        """The hiera data."""
        return self.of(kinds.DATA)

    @property
    def environment(self) -> EnvironmentName | None:
        """The environment."""
        return self.of(ENVIRONMENT).get("")

    @property
    def trial(self) -> Trial | None:
        """The trial; counts only on the node's own entry."""
        return self.of(kinds.TRIAL).get("")


def by_class(parameters: Mapping[tuple[ClassName, ParameterName], Value]) -> dict[ClassName, dict[str, Value]]:
    """Return parameters by the classes to which they belong."""
    found: dict[ClassName, dict[str, Value]] = {}
    for (class_name, parameter), value in parameters.items():
        found.setdefault(class_name, {})[parameter] = value
    return found


def bad_value(record: Record, attribute: str, value: str, rule: str) -> ClassificationError:
    """Return the refusal of one value: entry, attribute, value and rule in one line."""
    shown = value if len(value) <= 80 else value[:80] + "…"
    return ClassificationError(f"{attribute}: {one_line(repr(shown))}: {rule}", where=record.dn)


def class_names(record: Record, attributes: Iterable[str]) -> tuple[tuple[ClassName, ...], tuple[str, ...]]:
    """Return the record's classes without duplicates, in order, and notes on those that were brought to normal form."""
    found: dict[ClassName, None] = {}
    notes: list[str] = []
    for attribute in attributes:
        if texts := record.all(attribute):
            _read_all(CLASSES, record, attribute, texts, None, found, notes)
    return tuple(found), tuple(notes)


def environment_of(record: Record, attribute: str) -> EnvironmentName | None:
    """Return the environment that the record names; raise for a bad one and for several."""
    found: dict[str, EnvironmentName] = {}
    if texts := record.all(attribute):
        _read_all(ENVIRONMENT, record, attribute, texts, None, found, [])
    return found.get("")


def left_out(record: Record, attribute: str) -> str | None:
    """Return the note on an attribute that cannot become a variable, None for one that can."""
    fault = variable_fault(attribute)
    return None if fault is None else AttributeLeftOut.because(fault, f"{record.dn}: the attribute {attribute} ")


def check_whole(record: Record) -> None:
    """Raise `ClassificationError` for an entry of which something was left out: what it says is not known."""
    if record.unread:
        raise ClassificationError(f"cannot be read: {record.unread}; remove what is too large", where=record.dn)


def read(record: Record, settings: NodeSettings) -> Statement:
    """Parse one record in the extended semantics; raise `ClassificationError` at the first bad value."""
    check_whole(record)
    said: dict[str, dict[Any, Any]] = {}
    notes: list[str] = []
    attributes = record.attributes
    for lowered, attribute, kind in _places(settings):
        if texts := attributes.get(lowered):
            _read_all(kind, record, attribute, texts, settings, said.setdefault(kind.part, {}), notes)
    return Statement(said, tuple(notes))


@lru_cache(maxsize=64)
def _places(settings: NodeSettings) -> tuple[tuple[str, str, Kind[Any, Any]], ...]:
    """Return each attribute that says something about an answer: lower-cased, as it is written, and its kind."""
    return tuple(
        (attribute.lower(), attribute, kind)
        for kind in kinds.KINDS
        if kind.merge != "no" or kind is kinds.WITHOUT
        for attribute in kind.attributes(settings)
    )


def _read_all(
    kind: Kind[K, V],
    record: Record,
    attribute: str,
    texts: tuple[str, ...],
    settings: NodeSettings | None,
    said: dict[K, V],
    notes: list[str],
) -> None:
    """Add to `said` what the values of one attribute say. Without `settings` no value is passed over."""
    if kind.shape == "single" and len(texts) > 1:
        if kind.several:
            raise bad_value(record, attribute, ", ".join(texts), kind.several)
        texts = texts[:1]
    passed_over, find_fault = kind.passed_over, kind.fault
    for text in texts:
        try:
            name, rest = kind.split(text)
            if passed_over is not None and settings is not None and (note := passed_over(name, settings)) is not None:
                told = f"{record.dn}: {attribute}: the {kind.part} {one_line(name)} {note}"
                notes.append(LeftOut(told) if isinstance(note, LeftOut) else told)
                continue
            key, value = kind.key(name), kind.value(rest)
            fault = None if find_fault is None else find_fault(key, value)
        except ValueError as error:
            raise bad_value(record, attribute, text, str(error)) from error
        if fault is not None:
            raise bad_value(record, attribute, text, fault)
        if kind.shape == "names" and key != text:
            notes.append(f"{record.dn}: {attribute}: {one_line(text)} is read as {kind.name(key)}")
        said[key] = value
