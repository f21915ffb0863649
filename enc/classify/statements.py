"""What one record says: its classes, parameters, variables, data and removals, parsed. Pure.

This is the door for everything that admins write. A value that breaks a rule
is a `ClassificationError` that names entry, attribute, value and rule; it stops
the nodes that this record bears on, and no others. Only a variable that Puppet
keeps to itself is left out with a note: a directory may be full of them (an
Active Directory gives each entry a `name`), and one would stop every catalog.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from enc.classify import values
from enc.classify.model import Value
from enc.classify.trial import Trial
from enc.settings import NodeSettings
from enc.terms.errors import ClassificationError, InvalidName, one_line
from enc.terms.names import ClassName, DataKey, EnvironmentName, ParameterName, VariableName
from enc.terms.puppet_names import data_fault, parameter_fault, variable_fault
from enc.terms.record import Record

PARAMETER = "puppetmasterParameter"
VARIABLE = "puppetmasterVariable"
DATA = "puppetmasterData"
REMOVE = "puppetmasterRemove"
PROJECT = "puppetmasterProject"
REGION = "puppetmasterRegion"
ROLE = "puppetmasterRole"
TRIAL = "puppetmasterTrial"
ENROLMENT, BUILT = "puppetmasterEnrolment", "puppetmasterBuilt"
"""About an instance (enc/instances); no business of its classification."""
OURS = (PARAMETER, VARIABLE, DATA, REMOVE, PROJECT, REGION, ROLE, TRIAL, ENROLMENT, BUILT)


LEFT_OUT = "is left out of the answer:"
"""In the notes on variables that Puppet keeps to itself."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one layer says, before it meets the others."""

    classes: tuple[ClassName, ...] = ()
    parameters: Mapping[ClassName, Mapping[ParameterName, Value]] = field(default_factory=dict)
    variables: Mapping[str, Value] = field(default_factory=dict)
    data: Mapping[DataKey, Value] = field(default_factory=dict)
    environment: EnvironmentName | None = None
    without_classes: frozenset[ClassName] = frozenset()
    without_parameters: frozenset[tuple[ClassName, ParameterName]] = frozenset()
    without_variables: frozenset[str] = frozenset()
    region: str | None = None
    role: str | None = None
    trial: Trial | None = None
    """Counts only on the node's own entry."""
    notes: tuple[str, ...] = ()


def bad_value(record: Record, attribute: str, value: str, rule: str) -> ClassificationError:
    """Return the refusal of one value: entry, attribute, value and rule in one line."""
    shown = value if len(value) <= 80 else value[:80] + "…"
    return ClassificationError(f"{attribute}: {one_line(repr(shown))}: {rule}", where=record.dn)


def class_names(record: Record, attributes: tuple[str, ...]) -> tuple[tuple[ClassName, ...], tuple[str, ...]]:
    """Return the record's classes without duplicates, in order, and notes on those that were brought to normal form."""
    found: dict[ClassName, None] = {}
    notes = []
    for attribute in attributes:
        for value in record.all(attribute):
            try:
                name = ClassName.from_directory(value)
            except InvalidName as error:
                broken = ClassName.broken(value.strip().removeprefix("::").lower())
                raise bad_value(record, attribute, value, f"not a class name: {broken}") from error
            if name != value:
                notes.append(f"{record.dn}: {attribute}: {one_line(value)} is read as {name}")
            found[name] = None
    return tuple(found), tuple(notes)


def environment_of(record: Record, attribute: str) -> EnvironmentName | None:
    """Return the environment that the record names; raise for a bad one and for several."""
    found = record.all(attribute)
    if not found:
        return None
    if len(found) > 1:
        raise bad_value(record, attribute, ", ".join(found), "a node has one environment, here are several")
    try:
        return EnvironmentName(found[0])
    except InvalidName as error:
        raise bad_value(record, attribute, found[0], f"not an environment: {EnvironmentName.rule}") from error


def scalar(text: str) -> Value:
    """Return the value as the LDAP node terminus reads it: only the exact words true and false are converted."""
    return True if text == "true" else False if text == "false" else text


def left_out(record: Record, attribute: str, name: str) -> str | None:
    """Return the note on a variable that is left out of every answer, None for one that is not."""
    fault = variable_fault(name)
    if fault is None:
        return None
    if attribute == name:
        return f"{record.dn}: the attribute {name} {LEFT_OUT} {fault}"
    return f"{record.dn}: {attribute}: the variable {one_line(name)} {LEFT_OUT} {fault}"


def read(record: Record, settings: NodeSettings) -> Statement:
    """Parse one record in the extended semantics; raise `ClassificationError` at the first bad value."""
    classes, notes = class_names(record, settings.class_attributes)
    variables: dict[str, Value] = {}
    for attribute in settings.variable_attributes:
        for text in record.all(attribute):
            name, found, value = text.partition("=")
            if name == settings.environment_attribute.lower():
                notes += (f"{record.dn}: {attribute}: the variable {name} is ignored; use the attribute",)
                continue
            if kept := left_out(record, attribute, name):
                notes += (kept,)
                continue
            variables[_named(VariableName, record, attribute, text, name)] = scalar(value) if found else None
    for text in record.all(VARIABLE):
        name, json_text = _pair(record, VARIABLE, text)
        if kept := left_out(record, VARIABLE, name):
            notes += (kept,)
            continue
        variables[_named(VariableName, record, VARIABLE, text, name)] = _json(record, VARIABLE, text, json_text)
    parameters: dict[ClassName, dict[ParameterName, Value]] = {}
    for text in record.all(PARAMETER):
        path, json_text = _pair(record, PARAMETER, text)
        class_name, parameter = _class_parameter(record, PARAMETER, text, path)
        argument = _json(record, PARAMETER, text, json_text)
        if fault := parameter_fault(parameter, argument):
            raise bad_value(record, PARAMETER, text, fault)
        parameters.setdefault(class_name, {})[parameter] = argument
    data: dict[DataKey, Value] = {}
    for text in record.all(DATA):
        name, json_text = _data(record, text)
        key, level = _named(DataKey, record, DATA, text, name), _json(record, DATA, text, json_text)
        if fault := data_fault(key, level):
            raise bad_value(record, DATA, text, fault)
        data[key] = level
    without = _removals(record)
    return Statement(
        classes=classes,
        parameters=parameters,
        variables=variables,
        data=data,
        environment=environment_of(record, settings.environment_attribute),
        without_classes=frozenset(without.classes),
        without_parameters=frozenset(without.parameters),
        without_variables=frozenset(without.variables),
        region=record.first(REGION),
        role=record.first(ROLE),
        trial=_trial(record),
        notes=notes,
    )


def _trial(record: Record) -> Trial | None:
    text = record.first(TRIAL)
    if text is None:
        return None
    try:
        return Trial.read(text)
    except ValueError as error:
        raise bad_value(record, TRIAL, text, str(error)) from error


@dataclass(slots=True)
class _Removals:
    classes: set[ClassName] = field(default_factory=set)
    parameters: set[tuple[ClassName, ParameterName]] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)


def _removals(record: Record) -> _Removals:
    without = _Removals()
    for text in record.all(REMOVE):
        kind, _, name = text.strip().partition(" ")
        name = name.strip()
        if kind == "class":
            without.classes.add(_named(ClassName, record, REMOVE, text, name))
        elif kind == "parameter":
            without.parameters.add(_class_parameter(record, REMOVE, text, name))
        elif kind == "variable":
            without.variables.add(_named(VariableName, record, REMOVE, text, name))
        else:
            raise bad_value(record, REMOVE, text, "write class NAME, parameter CLASS::NAME or variable NAME")
    return without


def _pair(record: Record, attribute: str, text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise bad_value(record, attribute, text, "has no '='; write NAME=JSON")
    return name.strip(), value


def _data(record: Record, text: str) -> tuple[str, str]:
    try:
        return values.split(text)
    except ValueError as error:
        raise bad_value(record, DATA, text, str(error)) from error


def _json(record: Record, attribute: str, text: str, json_text: str) -> Value:
    try:
        return values.read(json_text)
    except ValueError as error:
        raise bad_value(record, attribute, text, str(error)) from error


def _class_parameter(record: Record, attribute: str, text: str, path: str) -> tuple[ClassName, ParameterName]:
    class_name, found, parameter = path.strip().rpartition("::")
    if not found:
        raise bad_value(record, attribute, text, "write CLASS::PARAMETER")
    return (
        _named(ClassName, record, attribute, text, class_name),
        _named(ParameterName, record, attribute, text, parameter),
    )


_N = TypeVar("_N", ClassName, ParameterName, VariableName, DataKey)


def _named(kind: type[_N], record: Record, attribute: str, text: str, name: str) -> _N:
    try:
        return kind(name)
    except InvalidName as error:
        rule = f"{one_line(repr(name))} is not {kind.kind}: {kind.broken(name)}"
        raise bad_value(record, attribute, text, rule) from error
