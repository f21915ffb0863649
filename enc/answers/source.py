"""The copy as a `Source` for the classification: the records that bear on a node, at hand without asking LDAP.

Owns what was decoded. The records of projects, prefixes, groups and the site
are decoded once and stay the same objects until they change, because the
classification keeps what it has parsed of them; so are nodes that are
somebody's parent. Nodes that are about to be asked for can be read at one go
(`prime`).

Failure modes: one entry that cannot be placed is logged, and is nobody's
project, prefix or site then.

Not here: the tables (records.py, node_index.py), and what an entry is by where
it stands (places.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enc.answers.database import Database
from enc.answers.node_index import NodeIndex
from enc.answers.places import Places
from enc.answers.plans import Feed
from enc.answers.records import decode
from enc.programs import log
from enc.terms import environments
from enc.terms.filters import folded
from enc.terms.names import ProjectName
from enc.terms.record import Record

_HEAVY = 64 * 1024
"""Characters of a record from which on it is not kept at hand with hundreds of others."""


@dataclass(slots=True)
class _Shared:
    """The records that many nodes share, by how they are asked for."""

    projects: dict[str, Record]
    alike: dict[str, list[ProjectName]]
    """Their names, by what environments make of them."""
    prefixes: dict[str, list[Record]]
    groups: list[Record]
    site: Record | None


class CopySource:
    """Of one open copy."""

    def __init__(self, db: Database, index: NodeIndex, places: Places) -> None:
        self._db = db
        self._index = index
        self._places = places
        self._decoded: dict[int, Record] = {}
        self._shared: _Shared | None = None
        self._primed: dict[str, list[Record]] = {}
        self._parents: dict[str, list[Record]] = {}

    def forget(self) -> None:
        """Forget what was decoded: it may not be so any more."""
        self._decoded.clear()
        self._shared = None
        self._primed.clear()
        self._parents.clear()

    def changed(self, feed: Feed, number: int) -> None:
        """Forget what a record, which changed, had a part in."""
        if feed == "nodes":
            self._parents.clear()
            self._primed.clear()
        else:
            self._decoded.pop(number, None)
            self._shared = None

    def nodes_named(self, name: str) -> Sequence[Record]:
        """Return the nodes that answer to `name`, in the server's order."""
        key = folded(name)
        found = self._primed.get(key)
        if found is None:
            found = self._parents.get(key)
        if found is None:
            found = [
                decode(*row)
                for row in self._db.execute(
                    "SELECT r.dn, r.csn, r.body, r.uuid FROM name n JOIN record r ON r.id = n.id"
                    " WHERE n.name = ? ORDER BY n.id",
                    (key,),
                )
            ]
            if self._index.is_parent(key):
                self._parents[key] = found
        return found

    def prime(self, names: Sequence[str]) -> None:
        """Read the records of `names` at one go, so that `nodes_named` has them at hand."""
        self._primed = {name: [] for name in names}
        if names:
            marks = ",".join("?" * len(names))
            for name, *row in self._db.execute(
                "SELECT n.name, r.dn, r.csn, CASE WHEN length(r.body) < ? THEN r.body END, r.uuid"  # noqa: S608
                " FROM name n JOIN record r ON r.id = n.id"
                f" WHERE n.name IN ({marks}) ORDER BY n.name, n.id",  # nothing but question marks
                (_HEAVY, *names),
            ):
                if row[2] is None:
                    self._primed.pop(name, None)  # read when it is its turn
                elif name in self._primed:
                    self._primed[name].append(decode(*row))

    def project(self, name: ProjectName) -> Record | None:
        """Return the entry of a project."""
        return self._common.projects.get(name)

    def projects_like(self, folded: str) -> Sequence[ProjectName]:
        """Return the projects of that name, whichever separators it has."""
        return self._common.alike.get(folded, ())

    def prefixes(self, project: ProjectName) -> Sequence[Record]:
        """Return all prefix entries of a project."""
        return self._common.prefixes.get(project, [])

    def groups(self) -> Sequence[Record]:
        """Return all group entries."""
        return self._common.groups

    def site(self) -> Record | None:
        """Return the entry with the site's default."""
        return self._common.site

    def project_names(self) -> list[str]:
        """Return the names of all projects that have an entry."""
        return list(self._common.projects)

    @property
    def _common(self) -> _Shared:
        if self._shared is None:
            shared = _Shared({}, {}, {}, [], None)
            for number, feed in self._db.execute("SELECT id, feed FROM record WHERE feed != 'nodes' ORDER BY id"):
                if number not in self._decoded:
                    row = self._db.execute("SELECT dn, csn, body, uuid FROM record WHERE id = ?", (number,)).fetchone()
                    self._decoded[number] = decode(*row)
                try:
                    self._place(shared, feed, self._decoded[number])
                except Exception:  # one entry of many: it is nobody's project, prefix or site then
                    log.get("follower").exception("%s: its place in the tree is unclear", self._decoded[number].dn)
            self._shared = shared
        return self._shared

    def _place(self, shared: _Shared, feed: Feed, record: Record) -> None:
        if feed == "groups":
            if self._places.is_group(record):
                shared.groups.append(record)
        elif feed == "site":
            if self._places.is_site(record):
                shared.site = record
        else:
            project, is_prefix = self._places.in_projects(record)
            if project and is_prefix:
                shared.prefixes.setdefault(project, []).append(record)
            elif project:
                shared.projects[project] = record
                shared.alike.setdefault(environments.folded(project), []).append(ProjectName(project))
