"""The records of a classification, asked for in LDAP itself, one search for each question.

Used where there is no follower's copy: `enc` for a certname without an answer,
and `enc-admin`. What is asked for is decided by the caller; where it stands is
decided by the settings. Nothing is kept.

A base that does not exist holds no entries. Everything else that is not an
answer is an error (`DirectoryUnreachable`, `DirectoryRefused`), never emptiness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from enc.directory.connection import Closing, Connection, open_connection
from enc.directory.entries import ALL
from enc.directory.messages import Scope
from enc.settings import Settings
from enc.terms import dn, environments
from enc.terms.errors import DirectoryUnreachable, InvalidName, NotFound
from enc.terms.filters import NodeFilter, escape
from enc.terms.names import ProjectName
from enc.terms.record import Record

T = TypeVar("T")

PREFIX_FILTER = "(objectClass=puppetmasterScope)"


def name_of(record: Record) -> ProjectName | None:
    """Return the project that an entry below the projects' base is; LDAP knows it by its name in any case."""
    try:
        name = dn.rdn(record.dn)[1].lower()
    except InvalidName:
        return None
    return ProjectName(name) if ProjectName.accepts(name) else None


class LdapSource(Closing):
    """A `Source` (enc.classify.model) over one connection, opened when first needed. Use it in a `with`."""

    def __init__(self, settings: Settings) -> None:
        """Read below the bases of `settings`, as the reading account."""
        self._settings = settings
        self._filter = NodeFilter(settings.nodes.filter)
        self._connection: Connection | None = None

    def close(self) -> None:
        """Close the connection, if there is one; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def nodes_named(self, name: str) -> Sequence[Record]:
        """Return the entries that the node filter finds for `name`."""
        return self.search(self._settings.nodes_base, self._filter.for_name(name))

    def all_nodes(self) -> Sequence[Record]:
        """Return every entry that the node filter finds for some name."""
        return self.search(self._settings.nodes_base, self._filter.for_all())

    def project(self, name: ProjectName) -> Record | None:
        """Return the entry cn=`name` below the projects' base, if it satisfies the projects' filter."""
        return self._one(self._project_dn(name), self._settings.projects.filter)

    def projects(self) -> Sequence[Record]:
        """Return the entries of all projects."""
        return self.search(self._settings.projects_base, self._settings.projects.filter, Scope.ONE_LEVEL)

    def project_names(self) -> frozenset[ProjectName]:
        """Return which projects there are, and ask for nothing else of them; names that are none are left out."""
        return frozenset(self._names(self._settings.projects.filter))

    def projects_like(self, folded: str) -> Sequence[ProjectName]:
        """Return the projects whose name is `folded` once '_' stands for every '-'; asks for no attribute of them."""
        words = "*".join(escape(word) for word in folded.split("_"))
        found = self._names(f"(&{self._settings.projects.filter}(cn={words}))")
        return [name for name in found if environments.folded(name) == folded]

    def prefixes(self, project: ProjectName) -> Sequence[Record]:
        """Return the prefix entries directly below a project."""
        return self.search(self._project_dn(project), PREFIX_FILTER, Scope.ONE_LEVEL)

    def groups(self) -> Sequence[Record]:
        """Return the entries below the groups' base that satisfy the groups' filter."""
        return self.search(self._settings.groups_base, self._settings.groups.filter)

    def site(self) -> Record | None:
        """Return the entry of the site's default."""
        return self._one(self._settings.site_dn, "(objectClass=*)")

    def read(self, place: str) -> Record | None:
        """Return the entry with the DN `place`."""
        return self._one(place, "(objectClass=*)")

    def search(
        self, base: str, filter_text: str, scope: Scope = Scope.SUBTREE, attributes: Sequence[str] = ALL
    ) -> list[Record]:
        """Return what the filter finds; none if the base does not exist. `filter_text` is escaped by the caller."""
        try:
            return self._ask(lambda connection: list(connection.read_all(base, filter_text, scope, attributes)))
        except NotFound:
            return []

    def finds_any(self, base: str, filter_text: str) -> bool:
        """Tell whether the filter finds anything below `base`, without reading it."""
        try:
            return self._ask(lambda connection: connection.finds_any(base, filter_text))
        except NotFound:
            return False

    def _names(self, filter_text: str) -> Iterator[ProjectName]:
        found = self.search(self._settings.projects_base, filter_text, Scope.ONE_LEVEL, ("1.1",))
        return (name for name in map(name_of, found) if name is not None)

    def _one(self, place: str, filter_text: str) -> Record | None:
        found = self.search(place, filter_text, Scope.BASE)
        return found[0] if found else None

    def _project_dn(self, name: ProjectName) -> str:
        return dn.build("cn", name, self._settings.projects_base)

    def _ask(self, question: Callable[[Connection], T]) -> T:
        """Ask on the open connection; if it broke since its last use, once more on a new one."""
        if self._connection is not None:
            try:
                return question(self._connection)
            except DirectoryUnreachable:
                self.close()
        self._connection = open_connection(self._settings.directory)
        try:
            return question(self._connection)
        except DirectoryUnreachable:
            self.close()
            raise
