"""Questions about many nodes at once: who uses a class, which nodes a project has.

The directory is read once (`Snapshot`, a `Source` in memory) and every node is
classified from that; 100,000 nodes take some seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from enc.classify.classify import Classifier
from enc.classify.gather import names_of, project_of
from enc.classify.model import Classification
from enc.classify.statements import PARAMETER, REMOVE
from enc.directory.ldap_store import PREFIX_FILTER, LdapSource, name_of
from enc.directory.messages import Scope
from enc.edits.sheet import part_of
from enc.settings import Settings
from enc.terms import dn, environments
from enc.terms.errors import ClassificationError, InvalidName
from enc.terms.filters import NodeFilter, folded
from enc.terms.names import Certname, ClassName, ProjectName
from enc.terms.record import Record


class Snapshot:
    """Everything that bears on nodes, as LDAP had it at one time."""

    def __init__(self, source: LdapSource, settings: Settings) -> None:
        """Read it all."""
        self._settings = settings
        self.nodes = list(source.all_nodes())
        self._filter = NodeFilter(settings.nodes.filter)
        self._by_name: dict[str, list[Record]] = {}
        for record in self.nodes:
            for name in names_of(record, self._filter):
                self._by_name.setdefault(name, []).append(record)
        extended = settings.nodes.semantics == "extended"
        self._projects = {dn.normalise(r.dn): r for r in source.projects()} if extended else {}
        self._alike: dict[str, list[ProjectName]] = {}
        for record in self._projects.values():
            if (named := name_of(record)) is not None:
                self._alike.setdefault(environments.folded(named), []).append(named)
        self._prefixes: dict[str, list[Record]] = {}
        if extended:
            for record in source.search(settings.projects_base, PREFIX_FILTER):
                self._prefixes.setdefault(dn.normalise(dn.parent(record.dn)), []).append(record)
        self._groups = list(source.groups()) if extended else []
        self._site = source.site() if extended else None

    def _place(self, project: ProjectName) -> str:
        return dn.normalise(dn.build("cn", project, self._settings.projects_base))

    def nodes_named(self, name: str) -> Sequence[Record]:
        """Return the entries that answer to `name`."""
        return self._by_name.get(folded(name), [])

    def project(self, name: ProjectName) -> Record | None:
        """Return a project's entry."""
        return self._projects.get(self._place(name))

    def projects_like(self, folded: str) -> Sequence[ProjectName]:
        """Return the projects of that name, whichever separators it has."""
        return self._alike.get(folded, ())

    def prefixes(self, project: ProjectName) -> Sequence[Record]:
        """Return a project's prefixes."""
        return self._prefixes.get(self._place(project), [])

    def groups(self) -> Sequence[Record]:
        """Return all groups."""
        return self._groups

    def site(self) -> Record | None:
        """Return the site's default."""
        return self._site

    def names_of(self, record: Record) -> Iterator[Certname]:
        """Yield the certnames that a node's entry answers to."""
        for name in names_of(record, self._filter):
            if Certname.accepts(name):
                yield Certname(name)

    def everything(self) -> Iterator[Record]:
        """Yield every entry: site, projects, prefixes, groups, nodes."""
        if self._site is not None:
            yield self._site
        yield from self._projects.values()
        for records in self._prefixes.values():
            yield from records
        yield from self._groups
        yield from self.nodes


@dataclass(frozen=True)
class Row:
    """One node in a list."""

    certname: Certname
    dn: str
    project: ProjectName | None
    classification: Classification | None
    trouble: str = ""
    """Why it cannot be classified."""


def nodes_of(project: ProjectName, source: LdapSource, settings: Settings) -> list[Record]:
    """Return the entries of a project's nodes."""
    if settings.nodes.project == "container":
        base = dn.build("ou", project, settings.nodes_base)
        return source.search(base, NodeFilter(settings.nodes.filter).for_all())
    return [record for record in source.all_nodes() if project_if_told(record, settings) == project]


def names(records: Iterable[Record], settings: Settings) -> list[str]:
    """Return the names that the entries answer to."""
    node_filter = NodeFilter(settings.nodes.filter)
    return [name for record in records for name in node_filter.names(record)]


def project_if_told(record: Record, settings: Settings) -> ProjectName | None:
    """Return the project of a node's entry, None if the entry does not tell it."""
    try:
        return project_of(record, settings)
    except ClassificationError:
        return None


def rows(
    snapshot: Snapshot, settings: Settings, wanted: Callable[[Row], bool] = lambda _: True, now: float | None = None
) -> list[Row]:
    """Return all nodes, classified, that are `wanted`; sorted by name.

    With `now` (seconds since 1970) they have the environments that they try then.
    """
    classifier = Classifier(settings)
    found: dict[str, Row] = {}
    for record in snapshot.nodes:
        project = project_if_told(record, settings)
        for name in snapshot.names_of(record):
            try:
                found_now = classifier.classify(name, snapshot)
                row = Row(name, record.dn, project, found_now if now is None else found_now.at(now))
            except ClassificationError as error:
                row = Row(name, record.dn, project, None, str(error))
            if wanted(row):
                found[name] = row
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True)
class Use:
    """One entry that says something about a class."""

    dn: str
    says: str
    """`assigns`, `sets parameters of`, `removes`."""


def uses(name: ClassName, records: Iterable[Record], settings: Settings) -> list[Use]:
    """Return what the entries say about a class."""
    found = []
    for record in records:
        if _says(record, settings.nodes.class_attributes, name, settings):
            found.append(Use(record.dn, "assigns"))
        parameters = (part_of(PARAMETER, value, settings.nodes) for value in record.all(PARAMETER))
        if any(path.rpartition("::")[0] == name for path in parameters):
            found.append(Use(record.dn, "sets parameters of"))
        if f"class {name}" in map(folded, record.all(REMOVE)):
            found.append(Use(record.dn, "removes"))
    return found


def _says(record: Record, attributes: Iterable[str], name: ClassName, settings: Settings) -> bool:
    return any(part_of(a, value, settings.nodes) == name for a in attributes for value in record.all(a))


@dataclass(frozen=True)
class ProjectRow:
    """One project in a list."""

    name: str
    members: tuple[str, ...]
    admins: tuple[str, ...]
    environment: str | None
    description: str | None
    record: Record


def projects(source: LdapSource, settings: Settings, shown: Callable[[str], str]) -> list[ProjectRow]:
    """Return all projects by name; `shown` turns a person's DN into what people read."""
    role = settings.projects.admin_role
    admins: dict[str, tuple[str, ...]] = {}
    for held in source.search(settings.projects_base, "(objectClass=organizationalRole)"):
        if dn.rdn(held.dn) == ("cn", role):
            admins[dn.normalise(dn.parent(held.dn))] = tuple(map(shown, held.all("roleOccupant")))
    found = []
    for record in source.projects():
        try:
            name = dn.rdn(record.dn)[1]
        except InvalidName:
            continue
        found.append(
            ProjectRow(
                name,
                tuple(map(shown, record.all("member"))),
                admins.get(dn.normalise(record.dn), ()),
                record.first(settings.nodes.environment_attribute),
                record.first("description"),
                record,
            )
        )
    return sorted(found, key=lambda row: row.name)


def below(project: ProjectName, source: LdapSource, settings: Settings) -> list[Record]:
    """Return the prefix entries of a project, by name."""
    place = dn.build("cn", project, settings.projects_base)
    return sorted(source.search(place, PREFIX_FILTER, Scope.ONE_LEVEL), key=lambda record: record.dn)
