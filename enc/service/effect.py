"""What an edit does to a node's classification, told before it is made. Pure apart from asking the `Source`.

The classification after the edit is computed by the one classifier over the
directory as it would be, so a dry run shows what the real run does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enc.classify import values
from enc.classify.classify import Classifier
from enc.classify.entitled import NotEntitled
from enc.classify.kind import Kind
from enc.classify.kinds import OTHERS
from enc.classify.model import Classification, Source, Value
from enc.classify.trial import Trial
from enc.directory.ldap_store import name_of
from enc.edits import differences
from enc.edits.change import Step, after
from enc.edits.differences import Bounds
from enc.programs.documents import moment
from enc.programs.times import iso
from enc.settings import Settings
from enc.terms import dn, environments
from enc.terms.counted import counted
from enc.terms.errors import ClassificationError, NotFound, one_line
from enc.terms.filters import NodeFilter, folded, parse
from enc.terms.names import Certname, ProjectName
from enc.terms.record import Record

_MOST_NAMES = 10
"""Nodes that are named where many have the same; who asks for all that there is gets all."""


class Overlay:
    """A `Source` as it would be after some steps."""

    def __init__(self, below: Source, changed: Mapping[str, Record | None], settings: Settings) -> None:
        """`changed`: normalised DN to the entry as it will be, None for one that will be gone."""
        self._below = below
        self._changed = changed
        self._settings = settings
        node_filter = NodeFilter(settings.nodes.filter)
        self._nodes: dict[str, list[Record]] = {}
        self._others: dict[str, Record] = {}
        """What will be and is no node's entry: an edit of many nodes has many entries of nodes, and few others."""
        for place, record in changed.items():
            if record is not None and dn.is_below(place, settings.nodes_base):
                for name in node_filter.names(record):
                    self._nodes.setdefault(name, []).append(record)
            elif record is not None:
                self._others[place] = record

    def nodes_named(self, name: str) -> Sequence[Record]:
        """Return the entries that answer to `name`."""
        return self._without_changed(self._below.nodes_named(name)) + self._nodes.get(folded(name), [])

    def project(self, name: ProjectName) -> Record | None:
        """Return a project's entry."""
        place = dn.normalise(dn.build("cn", name, self._settings.projects_base))
        return self._changed[place] if place in self._changed else self._below.project(name)

    def projects_like(self, folded: str) -> Sequence[ProjectName]:
        """Return the projects of that name, whichever separators it has."""
        base = dn.normalise(self._settings.projects_base)
        changed = {place for place in self._changed if dn.parent(place) == base}
        kept = [
            name
            for name in self._below.projects_like(folded)
            if dn.normalise(dn.build("cn", name, base)) not in changed
        ]
        added = (name_of(record) for place in changed if (record := self._changed[place]) is not None)
        return [*kept, *(name for name in added if name is not None and environments.folded(name) == folded)]

    def prefixes(self, project: ProjectName) -> Sequence[Record]:
        """Return a project's prefixes."""
        place = dn.normalise(dn.build("cn", project, self._settings.projects_base))
        added = [
            record
            for key, record in self._others.items()
            if dn.parent(key) == place and "puppetmasterscope" in map(folded, record.all("objectClass"))
        ]
        return self._without_changed(self._below.prefixes(project)) + added

    def groups(self) -> Sequence[Record]:
        """Return all groups."""
        is_group = parse(self._settings.groups.filter)
        added = [
            record
            for key, record in self._others.items()
            if dn.is_below(key, self._settings.groups_base) and is_group.matches(record)
        ]
        return self._without_changed(self._below.groups()) + added

    def site(self) -> Record | None:
        """Return the site's default."""
        place = dn.normalise(self._settings.site_dn)
        return self._changed[place] if place in self._changed else self._below.site()

    def _without_changed(self, records: Iterable[Record]) -> list[Record]:
        return [record for record in records if dn.normalise(record.dn) not in self._changed]


@dataclass(frozen=True)
class Effect:
    """One node's classification before and after an edit."""

    certname: Certname
    before: Classification | None
    after: Classification | None
    trouble_before: str = ""
    """Why there is no classification; empty if there is one, or if there is no such node."""
    trouble_after: str = ""
    not_entitled: bool = False
    """Whether that is because its environment is another project's."""

    def lines(self, bounds: Bounds = differences.SHORT) -> list[str]:
        """Return what becomes different, for people, within `bounds`."""
        return _of_some([str(self.certname)], self, bounds)

    def _changes(self, bounds: Bounds) -> list[str]:
        old, new = flat(self.before), flat(self.after)
        found = []
        for part in sorted(old.keys() | new.keys()):
            if part not in new:
                found.append(f"  - {part}{differences.excerpt(old[part], bounds.width)}")
            elif part not in old:
                found.append(f"  + {part}{differences.excerpt(new[part], bounds.width)}")
            elif old[part] != new[part]:
                before, later = (side[part].removeprefix(" = ") for side in (old, new))
                found += [f"  {line}" for line in differences.of_texts(f"~ {part}", before, later, bounds)]
        return found

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {"before": document(self.before), "after": document(self.after)}


def lines(effects: Sequence[Effect], bounds: Bounds = differences.SHORT) -> list[str]:
    """Return what becomes different on some nodes, for people; nodes on which it is the same stand together."""
    alike: dict[tuple[str, ...], list[Effect]] = {}
    for one in effects:
        alike.setdefault((one.trouble_before, one.trouble_after, *one._changes(bounds)), []).append(one)
    return [line for some in alike.values() for line in _of_some([str(one.certname) for one in some], some[0], bounds)]


def _of_some(names: Sequence[str], effect: Effect, bounds: Bounds) -> list[str]:
    """Return the lines about nodes on which an edit does the same."""
    most = len(names) if bounds.together is None else _MOST_NAMES
    more = f" and {counted(len(names) - most, 'more node')}" if len(names) > most else ""
    who = ", ".join(names[:most]) + more
    if effect.trouble_after:
        return [one_line(f"{who} cannot be classified: {effect.trouble_after}")]
    found = [f"{who} could not be classified: {effect.trouble_before}"] if effect.trouble_before else []
    found += effect._changes(bounds)
    head = f"{who}: " + ("the classification stays the same" if not found else "the classification:")
    return [one_line(line) for line in (head, *found)]


def flat(classification: Classification | None) -> dict[str, str]:
    """Return the parts of a classification by name, each with its value as text."""
    if classification is None:
        return {}
    parts = {"environment": f" = {classification.environment}"}
    if classification.trial is not None:
        parts["trial"] = f" = {told(classification.trial)}"
        if classification.otherwise is not None:
            parts["trial"] += f"; then {classification.otherwise}"
    if classification.project is not None:
        parts["project"] = f" = {classification.project}"
    for name, kind in OTHERS.items():
        parts |= _flat(kind, classification.said.get(name))
    for class_name, parameters in classification.classes.items():
        parts[f"class {class_name}"] = ""
        parts |= {f"parameter {class_name}::{key}": f" = {shown(value)}" for key, value in parameters.items()}
    parts |= {f"variable {key}": f" = {shown(value)}" for key, value in classification.variables.items()}
    return parts | {f"data {key}": f" = {shown(value)}" for key, value in classification.data.items()}


def _flat(kind: Kind[Any, Any], said: Value) -> dict[str, str]:
    """Return what a node says of a kind without a field of its own, as the kind shows it."""
    if said is None:
        return {}
    if isinstance(said, Mapping):
        return {f"{kind.part} {key}": f" = {shown(value)}" for key, value in said.items()}
    if isinstance(said, Sequence) and not isinstance(said, str):
        return {f"{kind.part} {name}": "" for name in said}
    return {kind.part: f" = {said}"}


def told(trial: Trial) -> str:
    """Return a trial for people."""
    until = iso(trial.until)
    return f"{trial.environment} until {until} ({trial.reason})"


def shown(value: Value) -> str:
    """Return a value as LDAP holds it, on one line."""
    return values.shown(value)


def document(classification: Classification | None) -> dict[str, Any] | None:
    """Return a classification as programs read it."""
    if classification is None:
        return None
    return {
        "certname": classification.certname,
        "environment": classification.environment,
        "trial": trial_document(classification),
        "classes": classification.classes,
        "variables": classification.variables,
        "data": classification.data,
        "project": classification.project,
        **{part: classification.said.get(part) for part in OTHERS},
        "prefixes": list(classification.prefixes),
        "version": classification.version,
        "notes": list(classification.notes),
    }


def trial_document(classification: Classification) -> dict[str, Any] | None:
    """Return a node's trial as programs read it."""
    trial = classification.trial
    if trial is None:
        return None
    return {
        "environment": trial.environment,
        "until": moment(trial.until),
        "reason": trial.reason,
        "otherwise": classification.otherwise,
    }


def changed_by(steps: Iterable[Step], records: Mapping[str, Record | None]) -> dict[str, Record | None]:
    """Return the entries as they are after `steps`, by normalised DN; `records`: as they are now."""
    found: dict[str, Record | None] = {}
    for step in steps:
        place = dn.normalise(step.dn)
        found[place] = after(step, found.get(place, records.get(place)))
    return found


def on_nodes(
    certnames: Iterable[Certname], source: Source, changed: Mapping[str, Record | None], settings: Settings
) -> tuple[Effect, ...]:
    """Return what `changed` does to the classification of each of `certnames`."""
    classifier, later = Classifier(settings), Overlay(source, changed, settings)
    return tuple(_on_node(classifier, certname, source, later) for certname in certnames)


def _on_node(classifier: Classifier, certname: Certname, source: Source, later: Source) -> Effect:
    before, trouble_before = _classify(classifier, certname, source)
    after, trouble_after = _classify(classifier, certname, later)
    return Effect(
        certname, before, after, _told(trouble_before), _told(trouble_after), isinstance(trouble_after, NotEntitled)
    )


def _told(trouble: ClassificationError | None) -> str:
    return "" if trouble is None else str(trouble)


def _classify(
    classifier: Classifier, certname: Certname, source: Source
) -> tuple[Classification | None, ClassificationError | None]:
    try:
        return classifier.classify(certname, source), None
    except NotFound:
        return None, None
    except ClassificationError as error:
        return None, error
