"""Differences of catalogs as people read them in full: resource by resource, texts line by line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import unified_diff
from itertools import islice

from enc.catalogs.compare import Change, ParameterChange, Value
from enc.catalogs.effect import Effect, NodeEffect, named
from enc.terms.counted import counted
from enc.terms.errors import one_line

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_LINES = 60
"""Lines of one text's difference."""


def whole(effect: Effect) -> Iterator[str]:
    """Yield everything, equal differences once."""
    yield from effect.summary()[:1]
    for failing in effect.failing():
        yield ""
        yield f"{named(failing.nodes)}: {failing.words()}:"
        yield f"  {one_line(failing.error)}"
    for group in effect.groups():
        yield ""
        yield f"on {named(group.nodes)}:"
        for change in group.changes:
            yield from (f"  {line}" for line in change_lines(change))
    if effect.unchecked:
        yield ""
        yield from (f"not checked: {name}: {one_line(why)}" for name, why in sorted(effect.unchecked.items()))


def node_lines(one: NodeEffect) -> Iterator[str]:
    """Yield what happens to one node."""
    yield f"{one.certname}: {one.state}" + (" (nothing that it depends on changed)" if one.skipped else "")
    if one.by_name:
        yield "  its catalog depends on the environment's name: differences for that name alone are not shown"
    if one.error:
        yield f"  {one_line(one.error)}"
    if one.state == "error before":
        yield f"  after the change: {one_line(one.error_after) or 'it compiles'}"
    for change in one.changes:
        yield from (f"  {line}" for line in change_lines(change))


def change_lines(change: Change) -> Iterator[str]:
    """Yield what happens to one resource."""
    place = f"  ({one_line(change.file)}:{change.line})" if change.file else ""
    exported = "exported " if change.exported else ""
    yield f"{_SIGNS[change.kind]} {exported}{one_line(str(change.key))}{place}"
    for one in change.parameters:
        yield from (f"    {line}" for line in _parameter(one))


def _parameter(one: ParameterChange) -> Iterator[str]:
    old, new = one.old.shown, one.new.shown
    if isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new):
        yield f"{one_line(one.name)}:"
        lines = unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
        told = [line for line in islice(lines, 2, None) if not line.startswith("@@")]
        yield from (f"  {one_line(line)}" for line in told[:_LINES])
        if len(told) > _LINES:
            yield f"  … {counted(len(told) - _LINES, 'more line')}"
        if not told:
            yield "  the end of the last line"
        return
    if one.old.there and one.new.there:
        yield f"{one_line(one.name)}: {_shown(one.old)} → {_shown(one.new)}"
    else:
        yield f"{one_line(one.name)}: {_shown(one.new if one.new.there else one.old)}" + (
            "" if one.new.there else " → not set"
        )


def _shown(value: Value) -> str:
    return one_line(value.shown) if isinstance(value.shown, str) else json.dumps(value.shown, ensure_ascii=False)
