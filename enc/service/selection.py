"""Which nodes are meant: by their names, or by what they have in common.

All conditions hold together. What a node has (project, class, environment) is
what its classification says now, inherited or not; a filter and a pattern look
at the entry and the name.

Not here: what is done with them (nodes.py), asking whether that is meant (commands/many.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from enc.directory.ldap_store import LdapSource
from enc.service.survey import Row, Snapshot, rows
from enc.settings import Settings
from enc.terms.errors import NotFound
from enc.terms.filters import Filter
from enc.terms.names import ClassName, EnvironmentName, ProjectName


@dataclass(frozen=True)
class Conditions:
    """What nodes have in common. Those that are not given hold for all."""

    project: ProjectName | None = None
    class_name: ClassName | None = None
    environment: EnvironmentName | None = None
    pattern: str | None = None
    """Of the name, as a shell's: `web-*`."""
    filter: Filter | None = None
    """Of the entry."""

    def __bool__(self) -> bool:
        return self != Conditions()

    def hold(self, row: Row) -> bool:
        """Tell whether a node is meant, apart from the filter."""
        found = row.classification
        return (
            self.project in (None, row.project)
            and (self.class_name is None or (found is not None and self.class_name in found.classes))
            and (self.environment is None or (found is not None and self.environment == found.environment))
            and (self.pattern is None or fnmatchcase(row.certname, self.pattern.lower()))
        )


def chosen(conditions: Conditions, source: LdapSource, settings: Settings, now: float) -> list[Row]:
    """Return the nodes for which the conditions hold, by name; raise `NotFound` for a project that does not exist."""
    snapshot = Snapshot(source, settings)
    if (by_entry := conditions.filter) is not None:
        snapshot.nodes = [record for record in snapshot.nodes if by_entry.matches(record)]  # others are parents still
    found = rows(snapshot, settings, conditions.hold, now)
    if conditions.project is not None and not found and source.project(conditions.project) is None:
        raise NotFound(f"no project {conditions.project} below {settings.projects_base}")
    return found
