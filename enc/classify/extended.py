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

from functools import lru_cache
from typing import Any

from enc.classify.kinds import CLASSES, DATA, ENVIRONMENT, MERGED, OTHERS, PARAMETERS, PARTS, VARIABLES, WITHOUT
from enc.classify.model import Classification, Event, Lineage, Origin, Value
from enc.classify.statements import OURS, Statement, bad_value, by_class, left_out, read
from enc.classify.texts import scalar
from enc.settings import NodeSettings, ProjectSettings
from enc.terms.errors import InvalidName
from enc.terms.names import ClassName, EnvironmentName, ProjectName
from enc.terms.record import Record

_QUIET = frozenset({"objectclass", "dn", *(name.lower() for name in OURS)})


@lru_cache(maxsize=20_000)
def _shared(record: Record, settings: NodeSettings) -> Statement:
    """Parse a record that many nodes share; records compare by identity, so a changed one is read anew."""
    return read(record, settings)


class _Merge:
    """The answer while the layers are laid on it."""

    __slots__ = ("events", "found", "notes", "wanted")

    def __init__(self, wanted: bool, notes: tuple[str, ...]) -> None:
        """`wanted`: whether the history of each part is kept."""
        self.wanted = wanted
        self.found: dict[str, dict[Any, Any]] = {part: {} for part in MERGED}
        self.events: list[Event] = []
        self.notes = list(notes)

    def lay(self, origin: Origin, statement: Statement) -> None:
        """Put one layer on the answer: removals first, then what it says itself."""
        said = statement.said
        if WITHOUT.part in said:
            self._remove(origin, statement)
        for part, values in said.items():
            if part in MERGED:
                target = self.found[part]
                if self.wanted:
                    self._tell(origin, part, values, target)
                target.update(values)
        self.notes.extend(statement.notes)

    def _remove(self, origin: Origin, statement: Statement) -> None:
        for part, key in sorted(statement.of(WITHOUT).values()):
            self.found[part].pop(key, None)
            if part == CLASSES.part:
                parameters = self.found[PARAMETERS.part]
                for belonging in [path for path in parameters if path[0] == key]:
                    del parameters[belonging]
            if self.wanted:
                self.events.append(Event(PARTS[part][0].told(key), origin, "removed"))

    def choose(self, origin: Origin, environment: EnvironmentName) -> None:
        """Let a layer set the environment."""
        target = self.found[ENVIRONMENT.part]
        if self.wanted:
            self._tell(origin, ENVIRONMENT.part, {"": environment}, target)
        target[""] = environment

    @property
    def environment(self) -> EnvironmentName | None:
        """The environment so far."""
        found: EnvironmentName | None = self.found[ENVIRONMENT.part].get("")
        return found

    def _tell(self, origin: Origin, part: str, values: dict[Any, Any], below: dict[Any, Any]) -> None:
        kind = PARTS[part][0]
        for key, value in values.items():
            self.events.append(Event(kind.told(key), origin, "replaced" if key in below else "set", value))

    def orphans(self) -> list[str]:
        """Return notes on parameters of classes that no layer assigns."""
        classes = self.found[CLASSES.part]
        orphans: dict[ClassName, list[str]] = {}
        for path in self.found[PARAMETERS.part]:
            if path[0] not in classes:
                orphans.setdefault(path[0], []).append(PARAMETERS.name(path))
        return [
            f"{', '.join(orphans[name])}: set, but nothing assigns the class {name}" for name in sorted(orphans)
        ]


def classify(
    lineage: Lineage, settings: NodeSettings, projects: ProjectSettings, *, events: bool = False
) -> Classification:
    """Merge the layers of `lineage`; raise `ClassificationError` at the first bad value of any of them."""
    merge = _Merge(events, lineage.notes)
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
        if ENVIRONMENT.part not in said.said:
            continue
        if origin.layer.startswith("project "):
            decided = said.environment
        elif origin.layer.startswith("group ") and decided is not None:
            merge.choose(Origin(f"project {lineage.project_name}"), decided)
            merge.notes.append(f"{origin}: its environment {said.environment} does not override the project's")
    merge.notes += merge.orphans()
    own = rest[-1][1]
    assert own is not None
    parameters = by_class(merge.found[PARAMETERS.part])
    return Classification(
        certname=lineage.certname,
        environment=merge.environment,
        classes={name: parameters.get(name, {}) for name in merge.found[CLASSES.part]},
        variables=merge.found[VARIABLES.part],
        data=own.data,
        shared_data=tuple(
            said.of(DATA) for origin, said in rest if said is not None and said.of(DATA) and _has_data(origin)
        ),
        project=lineage.project_name,
        said=_others(merge, own),
        prefixes=tuple(name for name, _ in lineage.prefixes),
        trial=own.trial,
        version=max((record.csn for record in _records(lineage)), default=""),
        events=tuple(merge.events),
        notes=tuple(merge.notes),
    )


def _others(merge: _Merge, own: Statement) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for part, kind in OTHERS.items():
        if said := own.of(kind) if kind.merge == "own" else merge.found[part]:
            found[part] = kind.shown(said)
    return found


def _has_data(origin: Origin) -> bool:
    """Tell whether it is a layer that nodes share and whose hiera data counts."""
    return origin.layer.startswith(("project ", "prefix "))


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
        held = record.attributes.get(name, ())
        if held and name not in ignored:
            if kept := left_out(record, name):
                notes += (kept,)
                continue
            values = [scalar(text) for text in held]
            variables[name] = values[0] if len(values) == 1 else values
    if not variables and notes is said.notes:
        return said
    variables.update(said.variables)
    return Statement({**said.said, VARIABLES.part: variables}, notes)


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
