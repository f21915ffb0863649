"""The table of what an entry can say. Pure.

A kind is a row of `KINDS`, made of the pieces of texts.py or of ones of its own; kind.py says what a row tells.
Nothing else has to know of a new one: it can be set, unset, undone, inherited, taken away and explained, it is in the
schema, in slapd's rules and in the answers. People have to be told: in docs/editing.md and docs/directory.md, and in
docs/hiera.md if it is trusted; `python -m enc.directory.schema` writes the schema's files. A test asks for both.

The order is the order in which an entry is read, an edit is made, and the options are listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from enc.classify import texts, values
from enc.classify.kind import Kind, Option, Removable, Schema
from enc.classify.model import Value
from enc.classify.trial import Trial
from enc.settings import NodeSettings
from enc.terms.filters import folded
from enc.terms.names import (
    Certname,
    ClassName,
    DataKey,
    EnvironmentName,
    Label,
    ParameterName,
    ProjectName,
    VariableName,
)
from enc.terms.puppet_names import data_fault, parameter_fault


class Removal(NamedTuple):
    """One thing that is not inherited."""

    part: str
    key: Any
    """Of the part's kinds."""


def _removal(text: str | None) -> Removal:
    part, _, name = (text or "").strip().partition(" ")
    kind = removable().get(part)
    if kind is None or kind.removable is None:
        raise ValueError(f"write {_removal_forms()}")
    return Removal(part, kind.removable.key(name.strip()))


def _removal_forms(mark: str = "") -> str:
    said = (f"{part} {kind.removable.metavar}".strip() for part, kind in removable().items() if kind.removable)
    *first, last = (f"{mark}{form}{mark}" for form in said)
    return f"{', '.join(first)} or {last}"


@lru_cache(maxsize=1)
def removable() -> dict[str, Kind[Any, Any]]:
    """Return the kinds of which an entry can take away what it inherits, by the names of their parts."""
    return {part: kinds[0] for part, kinds in PARTS.items() if kinds[0].removable is not None}


def _removal_label(text: str) -> str:
    part, _, name = text.strip().partition(" ")
    kind = removable().get(part.lower())
    return f"{part.lower()} {kind.label(name) if kind is not None else folded(name)}"


def _asked_removal(text: str) -> str:
    """Bring a removal into the form in which it is stored, class names in lower case."""
    part, _, name = text.strip().partition(" ")
    if part == CLASSES.part:
        name = texts.class_label(name)
    elif part == PARAMETERS.part:
        class_name, colons, parameter = name.strip().rpartition("::")
        name = f"{texts.class_label(class_name)}{colons}{parameter}"
    _removal(f"{part} {name.strip()}")
    return f"{part} {name.strip()}"


def _removal_refusal(_text: str, removal: Removal | None) -> str | None:
    if removal is None or removal.part != VARIABLES.part:
        return None
    return VARIABLES.refusal(removal.key, None)


def _no_refusal(_key: str, _value: object) -> None:
    """Let every value be written that can be read."""


# The rows.

CLASSES: Kind[ClassName, None] = Kind(
    part="class",
    field="classes",
    shape="names",
    attribute="puppetClass",
    configured=lambda settings: settings.class_attributes,
    object_class="puppetClient",
    indexed=True,
    split=texts.bare,
    key=texts.class_name,
    value=texts.nothing,
    spell=texts.bare_text,
    label=texts.class_label,
    merge="nearer",
    removable=Removable("NAME", texts.named(ClassName)),
    terminus=True,
    option=Option("class", "CLASS", "a class to assign", "a class"),
    asked=lambda text: texts.named(ClassName)(texts.class_label(text)),
)
PARAMETERS: Kind[tuple[ClassName, ParameterName], Value] = Kind(
    part="parameter",
    field="parameters",
    shape="pairs",
    attribute="puppetmasterParameter",
    schema=Schema(1, "Class parameter, CLASS::NAME=JSON"),
    split=texts.pair,
    key=texts.class_parameter,
    value=texts.json_value,
    fault=lambda key, value: parameter_fault(key[1], value),
    spell=lambda key, value: texts.pair_text(texts.parameter_name(key), value),
    name=texts.parameter_name,
    label=texts.before_equals,
    merge="nearer",
    removable=Removable("CLASS::NAME", texts.class_parameter),
    option=Option("parameter", "CLASS::NAME=JSON", "a parameter of a class", "a class parameter"),
    asked=texts.asked_parameter,
)
VARIABLES: Kind[VariableName, Value] = Kind(
    part="variable",
    field="variables",
    shape="pairs",
    attribute="puppetVar",
    configured=lambda settings: settings.variable_attributes,
    object_class="puppetClient",
    split=texts.plain,
    key=texts.named(VariableName),
    value=lambda text: None if text is None else texts.scalar(text),
    passed_over=texts.plain_passed_over,
    spell=texts.plain_text,
    label=texts.before_equals,
    refusal=texts.reserved_variable,
    # IA5String, caseIgnoreIA5Match: the attribute ignores case, Puppet does not.
    folded="write --json-variable {name}=JSON",
    merge="nearer",
    removable=Removable("NAME", texts.named(VariableName)),
    terminus=True,
    option=Option(
        "variable", "NAME=TEXT", "a plain variable; true and false are booleans", "a variable, plain or typed"
    ),
    asked=texts.asked_variable("NAME=TEXT"),
)
"""Plain ones, as the LDAP node terminus reads them: texts, and the words true and false."""
TYPED_VARIABLES = replace(
    VARIABLES,
    field="typed_variables",
    attribute="puppetmasterVariable",
    configured=None,
    object_class="puppetmasterClassification",
    schema=Schema(2, "Variable with a type, NAME=JSON"),
    split=texts.pair,
    value=texts.json_value,
    passed_over=texts.variable_passed_over,
    spell=texts.pair_text,
    folded="",
    terminus=False,
    option=Option("json-variable", "NAME=JSON", "a variable with a type or a structure", "a variable, plain or typed"),
    asked=texts.asked_variable("NAME=JSON"),
)
DATA: Kind[DataKey, Value] = Kind(
    part="data",
    field="data",
    shape="pairs",
    attribute="puppetmasterData",
    schema=Schema(3, "Hiera data, KEY=JSON"),
    split=values.split,
    key=texts.named(DataKey),
    value=texts.json_value,
    fault=data_fault,
    spell=lambda key, value: texts.pair_text(values.key_text(key), value),
    label=texts.data_label,
    names_key=texts.is_data_key,
    merge="levels",
    option=Option(
        "data",
        "KEY=JSON",
        "hiera data; a mapping's key may also be a number; put a KEY that contains '=' in double quotes",
        "a key of hiera data",
    ),
)
WITHOUT: Kind[str, Removal] = Kind(
    part="removal",
    field="without",
    shape="names",
    attribute="puppetmasterRemove",
    schema=Schema(4, "What is not inherited: class NAME, variable NAME or parameter CLASS::NAME"),
    split=lambda text: (text, text),
    key=str,
    value=_removal,
    spell=texts.bare_text,
    label=_removal_label,
    refusal=_removal_refusal,
    merge="no",
    option=Option(
        "remove",
        "WHAT",
        lambda: f"do not inherit it: {_removal_forms(chr(39))}",
        "a removal, written as for `set --remove`",
    ),
    asked=_asked_removal,
)
"""What is not inherited. The merge takes it away before it adds what the same entry says."""
ENVIRONMENT: Kind[str, EnvironmentName] = Kind(
    part="environment",
    field="environment",
    shape="single",
    attribute="environment",
    configured=lambda settings: (settings.environment_attribute,),
    object_class="puppetClient",
    indexed=True,
    split=texts.alone,
    key=texts.no_key,
    value=texts.environment,
    several="a node has one environment, but several are given",
    spell=texts.word_text,
    label=texts.no_label,
    refusal=texts.reserved_environment,
    merge="nearer",
    terminus=True,
    option=Option("environment", "NAME", "Puppet environment", "the entry's own environment"),
)
PARENT: Kind[str, Certname] = Kind(
    part="parent",
    field="parent",
    shape="single",
    attribute="parentNode",
    configured=lambda settings: (settings.parent_attribute,),
    object_class="puppetClient",
    indexed=True,
    split=texts.alone,
    key=texts.no_key,
    value=lambda text: texts.named(Certname)(text or ""),
    spell=texts.word_text,
    label=texts.no_label,
    merge="no",
    terminus=True,
    option=Option("parent", "CERTNAME", "node to inherit from", "the entry's own parent"),
    nodes_only=True,
)
"""Which records a node has (gather.py), and nothing in the answer."""
_WORD: Kind[str, str] = Kind(
    part="",
    field="",
    shape="single",
    attribute="",
    split=texts.alone,
    key=texts.no_key,
    value=texts.word,
    spell=texts.word_text,
    label=texts.no_label,
    refusal=texts.word_refusal,
    merge="nearer",
)
"""What rows have in common of which an entry says one short text."""
_LABEL: Kind[str, str] = replace(_WORD, value=lambda text: texts.named(Label)(text or ""), refusal=_no_refusal)
"""And where the text is one that may stand in a path: trusted external data decides which files of hiera a node reads.

An entry with another is refused whole. Leaving the value out would let the node read without the level that it is for.
"""
REGION = replace(
    _LABEL,
    part="region",
    field="region",
    attribute="puppetmasterRegion",
    schema=Schema(6, "Region that the node is in"),
    indexed=True,
    trusted=True,
    option=Option("region", "TEXT", "trusted external data: region", "the entry's own region"),
)
ROLE = replace(
    _LABEL,
    part="role",
    field="role",
    attribute="puppetmasterRole",
    schema=Schema(7, "Role of the node"),
    indexed=True,
    trusted=True,
    option=Option("role", "TEXT", "trusted external data: role", "the entry's own role"),
)
DESCRIPTION = replace(
    _WORD,
    part="description",
    field="description",
    attribute="description",
    object_class="",
    merge="no",
    terminus=True,
    option=Option("description", "TEXT", "free text for people", "the entry's own description"),
    delegated=False,
)
TRIAL: Kind[str, Trial] = Kind(
    part="trial",
    field="trial",
    shape="single",
    attribute="puppetmasterTrial",
    schema=Schema(8, "Environment that the node tries for a while: ENVIRONMENT until SECONDS-SINCE-1970 REASON"),
    split=texts.alone,
    key=texts.no_key,
    value=lambda text: Trial.read(text or ""),
    spell=lambda _key, trial: trial.text(),
    label=texts.no_label,
    merge="own",
    nodes_only=True,
    delegated=False,
)
"""Set by `node try`, which members may, too."""

GUEST: Kind[ProjectName, None] = Kind(
    part="guest",
    field="guests",
    shape="names",
    attribute="puppetmasterGuest",
    schema=Schema(12, "Project whose nodes may have environments of this project"),
    split=texts.bare,
    key=texts.named(ProjectName),
    value=texts.nothing,
    spell=texts.bare_text,
    label=str.strip,
    merge="no",
    option=Option("guest", "PROJECT", "a project whose nodes may have this project's environments", "a guest"),
    projects_only=True,
    delegated=False,
)
"""Whom a project lets into its environments (entitled.py): what the code there looks up comes into their catalogs."""

KINDS: tuple[Kind[Any, Any], ...] = (
    *(CLASSES, PARAMETERS, VARIABLES, TYPED_VARIABLES, DATA, WITHOUT),
    *(ENVIRONMENT, PARENT, REGION, ROLE, DESCRIPTION, TRIAL, GUEST),
)
"""The table."""

PARTS: dict[str, tuple[Kind[Any, Any], ...]] = {
    kind.part: tuple(each for each in KINDS if each.part == kind.part) for kind in KINDS
}
"""The kinds of each part, in the table's order."""

MERGED = frozenset(kind.part for kind in KINDS if kind.merge == "nearer")
"""Parts of which the nearer layer wins."""

_WITH_FIELDS = (CLASSES, PARAMETERS, VARIABLES, DATA, ENVIRONMENT, TRIAL)
OTHERS: dict[str, Kind[Any, Any]] = {
    part: kinds[0]
    for part, kinds in PARTS.items()
    if kinds[0].merge != "no" and part not in {kind.part for kind in _WITH_FIELDS}
}
"""Parts for which a `Classification` has no field of their own: they stand in its `said`."""

TRUSTED: tuple[str, ...] = tuple(part for part, kind in OTHERS.items() if kind.trusted)
"""What stands in trusted external data, beside the project and its prefixes."""


@lru_cache(maxsize=64)
def by_attribute(settings: NodeSettings) -> dict[str, Kind[Any, Any]]:
    """Return the kinds by the lower-cased names of the attributes in which they stand."""
    found: dict[str, Kind[Any, Any]] = {}
    for kind in KINDS:
        for attribute in kind.attributes(settings):
            found.setdefault(attribute.lower(), kind)
    return found


def attributes_of(kinds: Iterable[Kind[Any, Any]]) -> tuple[str, ...]:
    """Return the attributes of kinds where the configuration names no others."""
    return tuple(kind.attribute for kind in kinds)
