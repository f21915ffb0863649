"""The classification of Puppet's LDAP node terminus (removed in Puppet 6). Pure.

1. The classes of the class attributes, duplicates removed, in order; the
   node's first, then each parent's, nearest parent first.
2. Every attribute of the entry becomes a variable under its lower-cased name:
   one value as a scalar, several as a list. Where the configuration lists
   attributes, only those were read: a variable attribute or `environment` that
   is not in the list does not count.
3. Values of the variable attributes (`puppetVar: name=value`) are split at the
   first `=`. They fill only names that no attribute has taken; of two values
   for one name the last that the server returned wins; without `=` the value
   is null.
4. Of all values only the exact words `true` and `false` are converted; anything
   else stays a text.
5. `environment` is no variable. It comes from the node, else from the nearest
   parent that has one; those farther away are not looked at.
6. A parent's variable counts only where the child has none; null and false
   are values.

Facts: conformance cases recorded from Puppet 5.5 (tests/cases/terminus and
terminus-more). What leaked there through bugs (`puppetvar`, `puppetclass`,
`parentnode`, `objectclass` and `dn` as variables), and names that Puppet cannot
use, are shown only in strict compatibility; a variable that would stop every
catalog (enc/terms/puppet_names.py) is left out with a note.
"""

from __future__ import annotations

from collections.abc import Iterable

from enc.classify.kind import LeftOut
from enc.classify.model import Classification, Event, Lineage, Origin, Value
from enc.classify.statements import bad_value, check_whole, class_names, environment_of, left_out
from enc.classify.texts import scalar, variable_passed_over
from enc.settings import NodeSettings
from enc.terms.errors import one_line
from enc.terms.record import Record


def classify(lineage: Lineage, settings: NodeSettings, *, events: bool = False) -> Classification:
    """Return what the terminus answered for this lineage; raise `ClassificationError` for bad values."""
    happened: list[Event] = []
    notes = list(lineage.notes)
    classes: dict[str, dict[str, Value]] = {}
    variables: dict[str, Value] = {}
    environment = None
    layers = [("node", lineage.node)]
    names = _parent_names(lineage, settings)
    layers += [(f"parent {name}", record) for name, record in zip(names, lineage.parents, strict=True)]
    for layer, record in layers:
        check_whole(record)
        origin = Origin(layer, record.dn)
        for name in _classes(record, settings, notes):
            if events:
                happened.append(Event(f"class {name}", origin, "kept" if name in classes else "set"))
            classes.setdefault(name, {})
        for name, value in _variables(record, settings, notes, parents=bool(lineage.parents)).items():
            if events:
                happened.append(Event(f"variable {name}", origin, "kept" if name in variables else "set", value))
            variables.setdefault(name, value)
        if environment is None and _is_read(settings.environment_attribute, settings):
            environment = environment_of(record, settings.environment_attribute)
            if events and environment is not None:
                happened.append(Event("environment", origin, "set", environment))
    if environment is None:
        environment = settings.default_environment
        if events:
            happened.append(Event("environment", Origin("configuration"), "set", environment))
    return Classification(
        certname=lineage.certname,
        environment=environment,
        classes=classes,
        variables=variables,
        version=max(record.csn for _, record in layers),
        events=tuple(happened),
        notes=tuple(notes),
    )


def _parent_names(lineage: Lineage, settings: NodeSettings) -> list[str]:
    chain = (lineage.node, *lineage.parents)
    return [record.first(settings.parent_attribute) or "" for record in chain[:-1]]


def _is_read(attribute: str, settings: NodeSettings) -> bool:
    """Tell whether the terminus asked the server for `attribute`, apart from what it always needs."""
    return settings.attributes == "all" or attribute.lower() in map(str.lower, settings.attributes)


def _classes(record: Record, settings: NodeSettings, notes: list[str]) -> tuple[str, ...]:
    if settings.strict_compatibility:
        values = (value for attribute in settings.class_attributes for value in record.all(attribute))
        return tuple(dict.fromkeys(values))
    found, remarks = class_names(record, settings.class_attributes)
    notes.extend(remarks)
    return found


def _variables(record: Record, settings: NodeSettings, notes: list[str], *, parents: bool) -> dict[str, Value]:
    hidden = {settings.environment_attribute.lower()}
    if not settings.strict_compatibility:
        hidden.update(name.lower() for name in (*settings.class_attributes, *settings.variable_attributes))
        hidden.update((settings.parent_attribute.lower(), "objectclass"))
    wanted: Iterable[str] = record.attributes
    if settings.attributes != "all":
        asked = {name.lower() for name in (*settings.class_attributes, *settings.attributes, settings.parent_attribute)}
        # Asked for an attribute, a server also returns its forms with options (`description;lang-en`).
        wanted = [name for name in record.attributes if name.partition(";")[0] in asked or name in asked]
    variables: dict[str, Value] = {}
    for name in wanted:
        values = [scalar(value) for value in record.attributes.get(name, ())]
        if name in hidden or not values:
            continue
        kept = None if settings.strict_compatibility else left_out(record, name)
        if kept is None:
            variables[name] = values[0] if len(values) == 1 else values
        else:
            notes.append(kept)
    if settings.strict_compatibility:
        variables["dn"] = record.dn
        if parents and settings.parent_attribute.lower() in variables:
            variables[settings.parent_attribute.lower()] = []
    for name, value in stacked(record, settings, notes).items():
        variables.setdefault(name, value)
    return variables


def stacked(record: Record, settings: NodeSettings, notes: list[str]) -> dict[str, Value]:
    """Return the variables in the values `name=value` of one record; of two for one name the last wins.

    What is left out is told in `notes`.
    """
    found: dict[str, Value] = {}
    for attribute in settings.variable_attributes:
        if not _is_read(attribute, settings):
            continue
        for text in record.all(attribute):
            name, equals, value = text.partition("=")
            if name == settings.environment_attribute.lower():
                continue
            if not settings.strict_compatibility:
                if not name:
                    raise bad_value(record, attribute, text, "has no name before the '='")
                if kept := variable_passed_over(name, settings):
                    notes.append(LeftOut(f"{record.dn}: {attribute}: the variable {one_line(name)} {kept}"))
                    continue
            found[name] = scalar(value) if equals else None
    return found
