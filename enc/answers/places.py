"""What an entry of the copy is, judged by where it stands. Pure."""

from __future__ import annotations

from enc.settings import Settings
from enc.terms import dn as names_of_entries
from enc.terms.errors import InvalidName
from enc.terms.filters import parse
from enc.terms.names import ProjectName
from enc.terms.record import Record


class Places:
    """What entries are by where they stand. A feed's search is wider than what is meant: it takes whole subtrees."""

    def __init__(self, settings: Settings) -> None:
        self._projects = names_of_entries.normalise(settings.projects_base)
        self._filter = parse(settings.projects.filter, where="projects.filter")
        self._groups = parse(settings.groups.filter, where="groups.filter")
        self._site = names_of_entries.normalise(settings.site_dn)

    def is_site(self, record: Record) -> bool:
        """Tell whether this is the entry with the site's default."""
        try:
            return names_of_entries.normalise(record.dn) == self._site
        except InvalidName:
            return False

    def is_group(self, record: Record) -> bool:
        """Tell whether this is a group of nodes, and not of people; one that was not read whole may be."""
        of_people = "groupofnames" in map(str.lower, record.all("objectClass"))
        return self._groups.matches(record) or (bool(record.unread) and not of_people)

    def in_projects(self, record: Record) -> tuple[str | None, bool]:
        """Return the project that an entry belongs to, and whether it is a prefix of it; (None, False) for others."""
        try:
            above = names_of_entries.parent(record.dn)
            if names_of_entries.normalise(above) == self._projects:
                project, is_prefix = names_of_entries.rdn(record.dn)[1].lower(), False
                meant = self._filter.matches(record)
            else:
                project, is_prefix = names_of_entries.rdn(above)[1].lower(), True
                meant = names_of_entries.normalise(names_of_entries.parent(above)) == self._projects
                meant = meant and "puppetmasterscope" in map(str.lower, record.all("objectClass"))
        except InvalidName:
            return None, False
        return (project, is_prefix) if meant and ProjectName.accepts(project) else (None, False)
