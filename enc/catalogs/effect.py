"""What a change does to the nodes that use a branch: the state of each, equal differences told once, one digest. Pure.

The states of a node are four: `same`, `differs`, `error before` (its catalog
did not compile before the change; whether it does now is said beside it), and
`error after` (the change breaks it). What was not compiled has no state, and
is told with the reason.

The digest is a hash over nodes, states and differences, without places in
files: an approval that is bound to it (promotion) is void as soon as the
change would do anything else to any node.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from enc.catalogs.catalog import Key
from enc.catalogs.compare import UNSET, Change, Kind, ParameterChange, Value
from enc.terms.counted import counted
from enc.terms.errors import bounded, one_line

State = Literal["same", "differs", "error before", "error after"]
STATES: tuple[State, ...] = ("error after", "error before", "differs", "same")
"""Those that need a look first."""
_NAMED = 3
"""So many nodes of a group are named in a summary."""
_TOLD = 8
"""So many groups a summary has, and resources of one group."""
_LONGEST = 300
"""Characters of an error in a summary."""


class NodeEffect(NamedTuple):
    """What a change does to one node."""

    certname: str
    state: State
    changes: tuple[Change, ...] = ()
    error: str = ""
    """Of `error after` why it does not compile; of `error before` why it did not."""
    error_after: str = ""
    """Of `error before`: why it does not compile now either; empty: it does."""
    skipped: bool = False
    """Of `same`: nothing that its catalog depends on changed, so it was not compiled again."""
    by_name: bool = False
    """Its catalog depends on the environment's name, so what differs for that name only is not seen."""


class Group(NamedTuple):
    """Differences that the same nodes have."""

    nodes: tuple[str, ...]
    changes: tuple[Change, ...]


class Failing(NamedTuple):
    """An error that the same nodes have."""

    nodes: tuple[str, ...]
    state: State
    error: str
    """The one after the change, if there is one then."""
    mended: bool = False
    """Of `error before`: they compile now."""

    def words(self) -> str:
        """Return what stands before the error."""
        one = len(self.nodes) == 1
        if self.mended:
            return f"{'compiles' if one else 'compile'} now; before"
        if self.state == "error after":
            return f"{'does' if one else 'do'} not compile any more"
        return f"{'does' if one else 'do'} not compile, as before"


class Effect(NamedTuple):
    """What a change does to all nodes that were looked at."""

    nodes: tuple[NodeEffect, ...]
    """Sorted by name."""
    unchecked: Mapping[str, str]
    """Nodes that could not be looked at, and why."""

    @property
    def digest(self) -> str:
        """A hash of all that this effect is (64 hex digits); what was not checked is a part of it."""
        told = [
            [one.certname, one.state, one.error, one.error_after, sorted(_plain(change) for change in one.changes)]
            for one in sorted(self.nodes)
        ]
        text = json.dumps([told, sorted(self.unchecked)], sort_keys=True, ensure_ascii=True, default=str)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @property
    def breaks(self) -> tuple[NodeEffect, ...]:
        """The nodes that compiled before and do not after."""
        return tuple(one for one in self.nodes if one.state == "error after")

    def count(self, state: State) -> int:
        """Return how many nodes are in a state."""
        return sum(one.state == state for one in self.nodes)

    def of(self, certname: str) -> NodeEffect | None:
        """Return what happens to one node; None: it was not compiled."""
        return next((one for one in self.nodes if one.certname == certname), None)

    def groups(self) -> tuple[Group, ...]:
        """Return each difference once, together with those that the very same nodes have; the odd ones first."""
        holders: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
        first: dict[tuple[object, ...], Change] = {}
        for one in self.nodes:
            for change in one.changes:
                holders[change.identity()].append(one.certname)
                first.setdefault(change.identity(), change)
        together: defaultdict[tuple[str, ...], list[Change]] = defaultdict(list)
        for identity, nodes in holders.items():
            together[tuple(nodes)].append(first[identity])
        found = [Group(nodes, tuple(sorted(changes, key=_order))) for nodes, changes in together.items()]
        return tuple(sorted(found, key=lambda group: (len(group.nodes), group.nodes, _order(group.changes[0]))))

    def failing(self) -> tuple[Failing, ...]:
        """Return each error once; those that the change brings first, then the rarest."""
        nodes: defaultdict[tuple[State, str, bool], list[str]] = defaultdict(list)
        for one in self.nodes:
            if one.error:
                mended = one.state == "error before" and not one.error_after
                nodes[one.state, one.error_after or one.error, mended].append(one.certname)
        found = [Failing(tuple(names), *rest) for rest, names in nodes.items()]
        return tuple(sorted(found, key=lambda one: (STATES.index(one.state), len(one.nodes), one.nodes)))

    def headline(self) -> str:
        """Return one line with the number of nodes in each state."""
        words: dict[State, str] = {
            "error after": "no longer compile" if self.count("error after") != 1 else "no longer compiles",
            "error before": "did not compile before",
            "differs": "differ" if self.count("differs") != 1 else "differs",
            "same": "stay as they are" if self.count("same") != 1 else "stays as it is",
        }
        said = [f"{counted(self.count(state), 'node')} {words[state]}" for state in STATES if self.count(state)]
        if self.unchecked:
            said.append(f"{counted(len(self.unchecked), 'node')} not checked")
        return ", ".join(said) or "no node uses it"

    def summary(self) -> tuple[str, ...]:
        """Return some lines for a push's output: the headline, then errors and differences, each once."""
        lines = [f"effect: {self.headline()}"]
        for failing in self.failing()[:_TOLD]:
            lines.append(f"  {named(failing.nodes)}: {failing.words()}: {bounded(one_line(failing.error), _LONGEST)}")
        groups = self.groups()
        for group in groups[:_TOLD]:
            told = [told_shortly(change) for change in group.changes[:_TOLD]]
            if len(group.changes) > _TOLD:
                told.append(f"{len(group.changes) - _TOLD} more")
            lines.append(f"  {named(group.nodes)}: {', '.join(told)}")
        if len(groups) > _TOLD:
            lines.append(f"  … and {counted(len(groups) - _TOLD, 'other group')} of nodes")
        for why, number in sorted(_reasons(self.unchecked).items()):
            lines.append(f"  not checked: {counted(number, 'node')} ({why})")
        return tuple(one_line(line) for line in lines)


def named(nodes: tuple[str, ...]) -> str:
    """Return nodes as people read them: some names, and how many there are."""
    if len(nodes) == 1:
        return nodes[0]
    more = ", …" if len(nodes) > _NAMED else ""
    return f"{counted(len(nodes), 'node')} ({', '.join(nodes[:_NAMED])}{more})"


def told_shortly(change: Change) -> str:
    """Return a change in a few words: + and - for what comes and goes, and which parameters change."""
    name = f"{'exported ' if change.exported else ''}{bounded(str(change.key), 120)}"
    if change.kind != "changed":
        return f"{'+' if change.kind == 'added' else '-'} {name}"
    return f"{name} ({', '.join(bounded(one.name, 80) for one in change.parameters[:_TOLD])})"


def _reasons(unchecked: Mapping[str, str]) -> dict[str, int]:
    found: defaultdict[str, int] = defaultdict(int)
    for why in unchecked.values():
        found[why] += 1
    return found


def _order(change: Change) -> tuple[str, str]:
    return str(change.key), change.kind


def _plain(change: Change) -> str:
    return json.dumps(
        [change.kind, str(change.key), change.exported, [list(map(list, _values(change)))]], sort_keys=True, default=str
    )


def _values(change: Change) -> Iterator[tuple[object, ...]]:
    for one in change.parameters:
        yield one.name, list(one.old), list(one.new)


def document(one: NodeEffect) -> dict[str, Any]:
    """Return what is kept of a node, and shown to programs."""
    return {
        "certname": one.certname,
        "state": one.state,
        "error": one.error or None,
        "error_after": one.error_after or None,
        "unaffected": one.skipped,
        "by_environment_name": one.by_name,
        "changes": [change_document(change) for change in one.changes],
    }


def change_document(change: Change) -> dict[str, Any]:
    """Return the same of one change."""
    return {
        "kind": change.kind,
        "type": change.key.type,
        "title": change.key.name,
        "exported": change.exported,
        "file": change.file or None,
        "line": change.line or None,
        "changed_parameters": [
            {
                "name": one.name,
                "set_before": one.old.there,
                "before": one.old.shown,
                "set_after": one.new.there,
                "after": one.new.shown,
            }
            for one in change.parameters
        ],
    }


def read(documents: Iterable[Mapping[str, Any]], unchecked: Mapping[str, str]) -> Effect:
    """Read what was kept; raise KeyError, TypeError or ValueError for what is none."""
    nodes = [
        NodeEffect(
            one["certname"],
            one["state"],
            tuple(_read_change(change) for change in one["changes"]),
            one["error"] or "",
            one["error_after"] or "",
            one["unaffected"],
            one["by_environment_name"],
        )
        for one in documents
    ]
    return Effect(tuple(sorted(nodes, key=lambda one: one.certname)), dict(unchecked))


def _read_change(one: Mapping[str, Any]) -> Change:
    kind: Kind = one["kind"]
    parameters = tuple(
        ParameterChange(
            it["name"],
            Value(True, it["before"]) if it["set_before"] else UNSET,
            Value(True, it["after"]) if it["set_after"] else UNSET,
        )
        for it in one["changed_parameters"]
    )
    key = Key(one["type"], one["title"])
    return Change(kind, key, parameters, one["exported"], one["file"] or "", one["line"] or 0)
