"""One entry while it is being changed, and which parts of it are touched. Pure.

Which values of an attribute are about the same part tells the table of kinds; an attribute that is no kind's has a
part for each value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from enc.classify.kinds import by_attribute
from enc.classify.statements import PROJECT
from enc.edits.change import Change
from enc.settings import NodeSettings
from enc.terms.filters import folded
from enc.terms.record import Record


def part_of(attribute: str, value: str, settings: NodeSettings) -> str:
    """Return the name of the part that `value` of `attribute` belongs to."""
    name = attribute.lower()
    if (kind := by_attribute(settings).get(name)) is not None:
        return kind.label(value)
    return "" if name == PROJECT.lower() else folded(value)


def slice_of(found: Iterable[str], attribute: str, parts: set[str], settings: NodeSettings) -> tuple[str, ...]:
    """Return those of the values `found` that belong to one of `parts`."""
    return tuple(value for value in found if part_of(attribute, value, settings) in parts)


class Sheet:
    """The values of one entry while they are being changed, and which parts were touched."""

    def __init__(self, record: Record, settings: NodeSettings) -> None:
        """Begin with the entry as it is."""
        self._record = record
        self._settings = settings
        self._now: dict[str, list[str]] = {}
        self._touched: dict[str, tuple[str, set[str]]] = {}

    def now(self, attribute: str) -> list[str]:
        """Return the values as they are by now."""
        return self._now.setdefault(attribute.lower(), list(self._record.all(attribute)))

    def drop(self, attribute: str, matches: Callable[[str], bool]) -> None:
        """Take away the values that `matches` tells."""
        for value in [value for value in self.now(attribute) if matches(value)]:
            self._touch(attribute, value)
            self.now(attribute).remove(value)

    def put(self, attribute: str, value: str) -> None:
        """Let `value` be there."""
        self._touch(attribute, value)
        if value not in self.now(attribute):
            self.now(attribute).append(value)

    def put_only(self, attribute: str, value: str) -> None:
        """Let `value` be the only one of its part."""
        part = part_of(attribute, value, self._settings)
        self.drop(attribute, lambda old: part_of(attribute, old, self._settings) == part and old != value)
        self.put(attribute, value)

    def _touch(self, attribute: str, value: str) -> None:
        parts = self._touched.setdefault(attribute.lower(), (attribute, set()))[1]
        parts.add(part_of(attribute, value, self._settings))

    def changes(self) -> tuple[Change, ...]:
        """Return what has become different."""
        found = []
        for name, (attribute, parts) in self._touched.items():
            before = slice_of(self._record.all(attribute), attribute, parts, self._settings)
            after = slice_of(self._now[name], attribute, parts, self._settings)
            if set(before) != set(after):
                found.append(Change(attribute, before, after))
        return tuple(found)
