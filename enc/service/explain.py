"""Where each part of a node's classification comes from, and what it overrode. Only reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from enc.classify.classify import Classifier
from enc.classify.gather import gather
from enc.classify.model import Classification, Event, Lineage, Origin, Source, Value
from enc.classify.statements import read
from enc.service import effect
from enc.settings import Settings
from enc.terms.errors import one_line
from enc.terms.names import Certname

_ORDER = {"environment": 0, "trial": 0, "class": 1, "parameter": 2, "variable": 3, "data": 4}


@dataclass
class Part:
    """The history of one part, in the order of the layers."""

    name: str
    events: list[Event] = field(default_factory=list)

    @property
    def deciding(self) -> Event:
        """The event that the part's state comes from."""
        said = [event for event in self.events if event.did not in ("kept", "ignored")]
        return said[-1] if said else self.events[-1]

    @property
    def value(self) -> Value:
        """The final value."""
        return self.deciding.value

    def lines(self) -> list[str]:
        """Return the part for people."""
        last = self.deciding
        is_class = self.name.startswith("class ")
        if last.did == "removed":
            head = f"{self.name}: removed by {last.origin}"
        else:
            head = f"{self.name}{'' if is_class else f' = {effect.shown(last.value)}'}  from {last.origin}"
        lines = [head]
        for event in self.events:
            if event is last:
                continue
            value = "" if is_class or event.did == "removed" else f" {effect.shown(event.value)}"
            what = {"removed": "was removed by", "kept": "does not count:"}.get(event.did, "overrides:")
            if is_class and event.did not in ("removed", "kept"):
                what = "also said by"
            lines.append(f"    {what}{value} {'' if is_class or event.did == 'removed' else 'from '}{event.origin}")
        return [one_line(line) for line in lines]


@dataclass(frozen=True)
class Explanation:
    """A classification with the history of its parts."""

    classification: Classification
    lineage: Lineage
    parts: tuple[Part, ...]

    def lines(self) -> list[str]:
        """Return it for people."""
        found = self.classification
        head = f"{found.certname}: entry {self.lineage.node.dn}, project {found.project or '-'}"
        head += "" if self.lineage.matched == found.certname else f" (found as {self.lineage.matched})"
        lines = [one_line(head)]
        for part in self.parts:
            lines += part.lines()
        return lines + [one_line(f"note: {note}") for note in found.notes]

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {
            **(effect.document(self.classification) or {}),
            "dn": self.lineage.node.dn,
            "found_as": self.lineage.matched,
            "parts": [
                {
                    "part": part.name,
                    "removed": part.deciding.did == "removed",
                    "value": part.value,
                    "layer": part.deciding.origin.layer,
                    "dn": part.deciding.origin.dn,
                    "history": [
                        {"layer": e.origin.layer, "dn": e.origin.dn, "did": e.did, "value": e.value}
                        for e in part.events
                    ],
                }
                for part in self.parts
            ],
        }


def explain(certname: Certname, source: Source, settings: Settings) -> Explanation:
    """Return the explanation; raise what `Classifier.classify` raises."""
    lineage = gather(certname, source, settings)
    classification = Classifier(settings).judge(lineage, events=True)
    if classification.trial is not None:
        trial = Event("trial", Origin("node", lineage.node.dn), "set", effect.told(classification.trial))
        classification = replace(classification, events=(*classification.events, trial))
    parts: dict[str, Part] = {}
    events = [*classification.events, *(_data(lineage, settings) if settings.nodes.semantics == "extended" else ())]
    for event in events:
        parts.setdefault(event.part, Part(event.part)).events.append(event)
    ordered = sorted(parts.values(), key=lambda part: (_ORDER.get(part.name.partition(" ")[0], 9), part.name))
    return Explanation(classification, lineage, tuple(ordered))


def _data(lineage: Lineage, settings: Settings) -> list[Event]:
    """Return who says which hiera data, in hiera's order reversed: project, prefixes, node."""
    layers = [(f"project {lineage.project_name}", lineage.project)] if lineage.project else []
    layers += [(f"prefix {name}", record) for name, record in lineage.prefixes]
    layers.append(("node", lineage.node))
    seen: set[str] = set()
    events = []
    for layer, record in layers:
        if record is None:
            continue
        for key, value in read(record, settings.nodes).data.items():
            events.append(Event(f"data {key}", Origin(layer, record.dn), "replaced" if key in seen else "set", value))
            seen.add(key)
    return events
