"""Where each part of a node's classification comes from, and what it overrode. Only reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from enc.classify.classify import Classifier
from enc.classify.gather import gather
from enc.classify.kinds import DATA, ENVIRONMENT, KINDS, OTHERS, PARTS, TRIAL
from enc.classify.model import Classification, Event, Lineage, Origin, Source, Value
from enc.classify.statements import read
from enc.service import effect
from enc.settings import Settings
from enc.terms.errors import one_line
from enc.terms.names import Certname

_ORDER = {
    kind.part: (kind.part not in (ENVIRONMENT.part, TRIAL.part), place) for place, kind in reversed([*enumerate(KINDS)])
}
"""The environment and what it is for a while stand first, the rest as in the table."""


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
        bare = PARTS[self.name.partition(" ")[0]][0].shape == "names"
        if last.did == "removed":
            head = f"{self.name}: removed by {last.origin}"
        else:
            head = f"{self.name}{'' if bare else f' = {effect.shown(last.value)}'}  from {last.origin}"
        lines = [head]
        for event in self.events:
            if event is last:
                continue
            value = "" if bare or event.did == "removed" else f" {effect.shown(event.value)}"
            what = {"removed": "was removed by", "kept": "does not count:"}.get(event.did, "overrides:")
            if bare and event.did not in ("removed", "kept"):
                what = "also said by"
            lines.append(f"    {what}{value} {'' if bare or event.did == 'removed' else 'from '}{event.origin}")
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
    classification = Classifier(settings).judge(lineage, source, events=True)
    if classification.trial is not None:
        trial = Event("trial", Origin("node", lineage.node.dn), "set", effect.told(classification.trial))
        classification = replace(classification, events=(*classification.events, trial))
    parts: dict[str, Part] = {}
    events = [*classification.events, *(_unmerged(lineage, settings) if settings.nodes.semantics == "extended" else ())]
    for event in events:
        parts.setdefault(event.part, Part(event.part)).events.append(event)
    ordered = sorted(parts.values(), key=lambda part: (_ORDER[part.name.partition(" ")[0]], part.name))
    return Explanation(classification, lineage, tuple(ordered))


def _unmerged(lineage: Lineage, settings: Settings) -> list[Event]:
    """Return what the merge has no events of: who says which hiera data, in hiera's order reversed, and what only
    the node's own entry can say."""
    layers = [(f"project {lineage.project_name}", lineage.project)] if lineage.project else []
    layers += [(f"prefix {name}", record) for name, record in lineage.prefixes]
    seen: set[str] = set()
    events = []
    for layer, record in [*layers, ("node", lineage.node)]:
        if record is None:
            continue
        said = read(record, settings.nodes)
        for key, value in said.data.items():
            did = "replaced" if key in seen else "set"
            events.append(Event(DATA.told(key), Origin(layer, record.dn), did, value))
            seen.add(key)
        if layer == "node":
            origin, own = Origin(layer, record.dn), [kind for kind in OTHERS.values() if kind.merge == "own"]
            for kind in own:
                events += [Event(kind.told(key), origin, "set", value) for key, value in said.of(kind).items()]
    return events
