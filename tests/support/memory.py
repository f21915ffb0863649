"""A `Source` in memory, and LDIF read into records: for tests of the pure core."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from enc.settings import Settings
from enc.terms import dn
from enc.terms.filters import NodeFilter, folded
from enc.terms.names import ProjectName
from enc.terms.record import Record


def record(place: str, csn: str = "", **attributes: str | Sequence[str]) -> Record:
    """Make a record; a single text stands for one value."""
    values = {k.lower(): (v,) if isinstance(v, str) else tuple(v) for k, v in attributes.items()}
    return Record(place, values, csn=csn)


def read_ldif(path: Path) -> list[Record]:
    """Read plain LDIF (no changes, no URLs); values that are not UTF-8 are left out."""
    records = []
    for block in path.read_text(encoding="utf-8").replace("\n ", "").split("\n\n"):
        attributes: dict[str, list[str]] = {}
        place = ""
        for line in block.splitlines():
            if not line or line.startswith("#"):
                continue
            name, _, value = line.partition(":")
            try:
                value = base64.b64decode(value[1:]).decode() if value.startswith(":") else value.removeprefix(" ")
            except UnicodeDecodeError:
                continue  # the adapter leaves such values out as well
            if name == "dn":
                place = value
            else:
                attributes.setdefault(name.lower(), []).append(value)
        if place:
            records.append(Record(place, {k: tuple(v) for k, v in attributes.items()}))
    return records


class MemorySource:
    """Records in a list, found as a directory would find them."""

    def __init__(self, records: Iterable[Record], settings: Settings) -> None:
        self._records = list(records)
        self._settings = settings
        self._filter = NodeFilter(settings.nodes.filter)

    def _below(self, base: str, kind: str) -> list[Record]:
        wanted = folded(kind)
        return [r for r in self._records if dn.is_below(r.dn, base) and wanted in map(folded, r.all("objectclass"))]

    @cached_property
    def _by_name(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        for node in self._below(self._settings.nodes_base, "puppetClient"):
            for name in self._filter.names(node):
                found.setdefault(name, []).append(node)
        return found

    def nodes_named(self, name: str) -> Sequence[Record]:
        return self._by_name.get(folded(name), [])

    def project(self, name: ProjectName) -> Record | None:
        place = dn.normalise(dn.build("cn", name, self._settings.projects_base))
        return next((r for r in self._records if dn.normalise(r.dn) == place), None)

    def projects_like(self, folded: str) -> Sequence[ProjectName]:
        names = [r.first("cn") or "" for r in self._below(self._settings.projects_base, "groupOfNames")]
        return [ProjectName(name) for name in names if name.replace("-", "_") == folded]

    def prefixes(self, project: ProjectName) -> Sequence[Record]:
        return self._below(dn.build("cn", project, self._settings.projects_base), "puppetmasterScope")

    def groups(self) -> Sequence[Record]:
        return self._below(self._settings.groups_base, "groupOfURLs")

    def site(self) -> Record | None:
        place = dn.normalise(self._settings.site_dn)
        return next((r for r in self._records if dn.normalise(r.dn) == place), None)
