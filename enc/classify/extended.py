"""Classification with site, projects, groups and prefixes. Pure.

The layers, the later wins:

    site default → project → groups (by name) → prefixes (longer later)
    → parents (farthest first) → the node itself

Each layer first takes away what it says is removed (`puppetmasterRemove`) from
what the layers before it said, then adds its own. So a removal reaches only
what was inherited, and a nearer layer may bring the thing back. Classes are a
union. A parameter belongs to a class: it is merged by itself (a project may
set `apache::port` and a node only `apache::docroot`), goes when its class is
removed, and counts only if some layer assigns the class; one that does not is
reported in the notes. Variables are replaced whole. Hiera data is not merged
here: each level has a file of its own, and hiera looks them up in this order.
(With `answers.merged_data` the levels are also laid on each other, whole value
by whole value: render.merged_data.)

The environment: the node's own, else its nearest parent's, its longest
prefix's, its project's (its entry, else the configured template), a group's,
the site's, the configured default. It follows the layers like everything else,
but for one rule: a group may not override what the project has chosen, since
groups cross projects and an environment is a project's own code.

Variables of plain entries: as in the terminus, the attributes of the node's
and its parents' entries become variables too; those of projects, groups,
prefixes and the site (members, descriptions) do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from enc.classify.model import Classification, Event, Lineage, Origin, Value
from enc.classify.statements import OURS, Statement, bad_value, left_out, read, scalar
from enc.settings import NodeSettings, ProjectSettings
from enc.terms.errors import InvalidName
from enc.terms.names import ClassName, EnvironmentName, ProjectName
from enc.terms.record import Record

_QUIET = frozenset({"objectclass", "dn", *(name.lower() for name in OURS)})


@lru_cache(maxsize=20_000)
def _shared(record: Record, settings: NodeSettings) -> Statement:
    """Parse a record that many nodes share; records compare by identity, so a changed one is read anew."""
    return read(record, settings)


@dataclass(slots=True)
class _Merge:
    """The answer while the layers are laid on it."""

    wanted: bool
    """Whether the history of each part is kept."""
    classes: dict[ClassName, None] = field(default_factory=dict)
    parameters: dict[ClassName, dict[str, Value]] = field(default_factory=dict)
    variables: dict[str, Value] = field(default_factory=dict)
    environment: EnvironmentName | None = None
    events: list[Event] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lay(self, origin: Origin, said: Statement) -> None:
        """Put one layer on the answer: removals first, then what it says itself."""
        if said.without_classes or said.without_parameters or said.without_variables:
            self._remove(origin, said)
        for name in said.classes:
            self._event(f"class {name}", origin, name in self.classes)
            self.classes[name] = None
        for class_name, parameters in said.parameters.items():
            target = self.parameters.setdefault(class_name, {})
            for parameter, value in parameters.items():
                self._event(f"parameter {class_name}::{parameter}", origin, parameter in target, value)
                target[parameter] = value
        for variable, value in said.variables.items():
            self._event(f"variable {variable}", origin, variable in self.variables, value)
            self.variables[variable] = value
        if said.environment is not None:
            self.choose(origin, said.environment)
        self.notes.extend(said.notes)

    def _remove(self, origin: Origin, said: Statement) -> None:
        for name in sorted(said.without_classes):
            self._event(f"class {name}", origin, None if name in self.classes else False, did="removed")
            self.classes.pop(name, None)
            self.parameters.pop(name, None)
        for class_name, parameter in sorted(said.without_parameters):
            self._event(f"parameter {class_name}::{parameter}", origin, None, did="removed")
            self.parameters.get(class_name, {}).pop(parameter, None)
        for variable in sorted(said.without_variables):
            self._event(f"variable {variable}", origin, None, did="removed")
            self.variables.pop(variable, None)

    def choose(self, origin: Origin, environment: EnvironmentName) -> None:
        """Let a layer set the environment."""
        self._event("environment", origin, self.environment is not None, environment)
        self.environment = environment

    def _event(
        self, part: str, origin: Origin, replaced: bool | None, value: Value = None, *, did: str | None = None
    ) -> None:
        if self.wanted:
            self.events.append(Event(part, origin, did or ("replaced" if replaced else "set"), value))


def classify(
    lineage: Lineage, settings: NodeSettings, projects: ProjectSettings, *, events: bool = False
) -> Classification:
    """Merge the layers of `lineage`; raise `ClassificationError` at the first bad value of any of them."""
    merge = _Merge(events, notes=list(lineage.notes))
    origin = Origin("configuration")
    merge.choose(origin, settings.default_environment)
    site, *rest = _layers(lineage, settings)
    if site[1] is not None:
        merge.lay(site[0], site[1])
    decided: EnvironmentName | None = None
    if lineage.project_name is not None and projects.environment is not None:
        merge.choose(origin, template_environment(projects.environment, lineage.project_name))
        decided = merge.environment
    for origin, said in rest:
        if said is None:
            continue
        merge.lay(origin, said)
        if origin.layer.startswith("project ") and said.environment is not None:
            decided = said.environment
        elif origin.layer.startswith("group ") and said.environment is not None and decided is not None:
            merge.choose(Origin(f"project {lineage.project_name}"), decided)
            merge.notes.append(f"{origin}: its environment {said.environment} does not override the project's")
    for class_name in sorted(merge.parameters.keys() - merge.classes.keys()):
        names = ", ".join(f"{class_name}::{parameter}" for parameter in merge.parameters[class_name])
        if names:
            merge.notes.append(f"{names}: set, but no layer assigns the class {class_name}")
    said_by_all = [said for _, said in (site, *rest) if said is not None]
    records = _records(lineage)
    own = rest[-1][1]
    assert own is not None
    return Classification(
        certname=lineage.certname,
        environment=merge.environment,
        classes={name: merge.parameters.get(name, {}) for name in merge.classes},
        variables=merge.variables,
        data=own.data,
        shared_data=tuple(said.data for origin, said in rest if said is not None and said.data and _has_data(origin)),
        project=lineage.project_name,
        region=_last(said.region for said in said_by_all),
        role=_last(said.role for said in said_by_all),
        prefixes=tuple(name for name, _ in lineage.prefixes),
        trial=own.trial,
        version=max((record.csn for record in records), default=""),
        events=tuple(merge.events),
        notes=tuple(merge.notes),
    )


def _has_data(origin: Origin) -> bool:
    """Tell whether it is a layer that nodes share and whose hiera data counts."""
    return origin.layer.startswith(("project ", "prefix "))


def _last(values: Iterator[str | None]) -> str | None:
    found = None
    for value in values:
        found = value or found
    return found


def _records(lineage: Lineage) -> list[Record]:
    shared = (lineage.site, lineage.project, *(r for _, r in lineage.groups), *(r for _, r in lineage.prefixes))
    return [record for record in (*shared, *lineage.parents, lineage.node) if record is not None]


def _layers(lineage: Lineage, settings: NodeSettings) -> list[tuple[Origin, Statement | None]]:
    """Return all layers in order; the site's is always the first, the node's the last."""
    site = lineage.site
    layers: list[tuple[Origin, Statement | None]] = [
        (Origin("site", site.dn if site else ""), _shared(site, settings) if site else None)
    ]
    if lineage.project is not None:
        layers.append(
            (Origin(f"project {lineage.project_name}", lineage.project.dn), _shared(lineage.project, settings))
        )
    for name, record in lineage.groups:
        layers.append((Origin(f"group {name}", record.dn), _shared(record, settings)))
    for prefix, record in lineage.prefixes:
        layers.append((Origin(f"prefix {prefix}", record.dn), _shared(record, settings)))
    chain = (lineage.node, *lineage.parents)
    for child, record in reversed(list(zip(chain, lineage.parents, strict=False))):
        name = child.first(settings.parent_attribute) or ""
        layers.append(
            (Origin(f"parent {name}", record.dn), _with_attributes(record, _shared(record, settings), settings))
        )
    layers.append(
        (Origin("node", lineage.node.dn), _with_attributes(lineage.node, read(lineage.node, settings), settings))
    )
    return layers


def _with_attributes(record: Record, said: Statement, settings: NodeSettings) -> Statement:
    """Add the entry's attributes as variables; values that were said as variables win over them here."""
    ignored = _ignored(settings)
    wanted = record.attributes.keys() if settings.attributes == "all" else map(str.lower, settings.attributes)
    variables: dict[str, Value] = {}
    notes = said.notes
    for name in wanted:
        texts = record.attributes.get(name, ())
        if texts and name not in ignored:
            if kept := left_out(record, name, name):
                notes += (kept,)
                continue
            values = [scalar(text) for text in texts]
            variables[name] = values[0] if len(values) == 1 else values
    if not variables and notes is said.notes:
        return said
    variables.update(said.variables)
    return Statement(
        classes=said.classes,
        parameters=said.parameters,
        variables=variables,
        data=said.data,
        environment=said.environment,
        without_classes=said.without_classes,
        without_parameters=said.without_parameters,
        without_variables=said.without_variables,
        region=said.region,
        role=said.role,
        trial=said.trial,
        notes=notes,
    )


@lru_cache(maxsize=8)
def _ignored(settings: NodeSettings) -> frozenset[str]:
    ours = (*settings.class_attributes, *settings.variable_attributes)
    return _QUIET | {
        *(name.lower() for name in ours),
        settings.parent_attribute.lower(),
        settings.environment_attribute.lower(),
    }


@lru_cache(maxsize=4096)
def template_environment(template: str, project: ProjectName) -> EnvironmentName:
    """Return the environment that the configured template gives a project; raise `ClassificationError` if none."""
    name = template.replace("%s", project.replace("-", "_"))
    try:
        return EnvironmentName(name)
    except InvalidName as error:
        record = Record("projects.environment", {})
        raise bad_value(record, template, name, f"not an environment: {EnvironmentName.rule}") from error
