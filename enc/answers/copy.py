"""The follower's copy of the directory: an SQLite file that can be thrown away at any time.

It holds the records of each feed (nodes, projects, groups, site) in the order
in which the server gave them, what is needed to find them again (names,
parents, projects), each feed's sync cookie, and the list of names whose answers
have to be made anew (worklist.py). Changes, the cookie that stands for them and
the names are committed together; a name is taken off the list when its answer is
on disk. So a process that is killed
loses nothing: it either asks the server again from the older cookie, or
finds the names on the list.

It is a `Source` for the classification. The records of projects, prefixes,
groups and the site are decoded once and stay the same objects until they
change, because the classification keeps what it has parsed of them.

Not here: which names a change reaches (reach.py), what an answer says, and
files. A damaged or foreign file is `CopyDamaged`: delete it and begin anew.
A full disk is `CopyFailed`: nothing was committed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from enc.answers.places import Places
from enc.answers.worklist import Worklist
from enc.programs import log
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.filters import folded
from enc.terms.names import ProjectName
from enc.terms.record import Record

Feed = Literal["nodes", "projects", "groups", "site"]

_VERSION = 2
_SCHEMA = """
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE feed (name TEXT PRIMARY KEY, cookie BLOB, complete INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE record (id INTEGER PRIMARY KEY, feed TEXT NOT NULL, uuid TEXT NOT NULL, dn TEXT NOT NULL,
                     csn TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (feed, uuid));
CREATE TABLE name (name TEXT, id INTEGER, PRIMARY KEY (name, id)) WITHOUT ROWID;
CREATE INDEX name_of ON name (id);
CREATE TABLE parent (name TEXT, id INTEGER, PRIMARY KEY (name, id)) WITHOUT ROWID;
CREATE TABLE member (project TEXT, id INTEGER, PRIMARY KEY (project, id)) WITHOUT ROWID;
CREATE TABLE dirty (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE dirty_project (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE written (name TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE problem (name TEXT PRIMARY KEY, message TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE expiry (name TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tombstone (name TEXT PRIMARY KEY, deleted INTEGER NOT NULL) WITHOUT ROWID;
"""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_SIDE_FILES = ("", "-wal", "-shm", "-journal")


class CopyDamaged(ToolkitError):
    """The file is no copy of ours, or not whole. It can be deleted without loss."""


class CopyFailed(ToolkitError):
    """The copy could not be read or written just now (disk full, permissions, busy)."""


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn SQLite's errors inside the block into `CopyDamaged` and `CopyFailed`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CopyFailed(f"the copy of the directory cannot be used: {error}", where=str(path)) from error
    except sqlite3.DatabaseError as error:
        raise CopyDamaged(f"the copy of the directory is damaged: {error}", where=str(path)) from error


def discard(path: Path) -> None:
    """Delete the copy at `path`; answers on disk are not touched."""
    for ending in _SIDE_FILES:
        path.with_name(path.name + ending).unlink(missing_ok=True)


class Copy:
    """One open copy; used by one thread."""

    def __init__(self, path: Path, settings: Settings, *, read_only: bool = False) -> None:
        """Open the copy at `path`, making it if need be; raise `CopyDamaged` or `CopyFailed`."""
        self.path = path
        self._settings = settings
        self.places = Places(settings)
        with guarded(path):
            self._db = self._opened(read_only)
            try:
                self._prepare(read_only)
            except BaseException:
                self._db.close()
                raise
        self.worklist = Worklist(self._db, self.transaction)
        self._decoded: dict[int, Record] = {}
        self._shared: _Shared | None = None
        self._primed: dict[str, list[Record]] = {}
        self._parents: dict[str, list[Record]] = {}
        self._parent_names: frozenset[str] | None = None

    def _opened(self, read_only: bool) -> sqlite3.Connection:
        if not read_only:
            return sqlite3.connect(self.path, isolation_level=None, timeout=5, check_same_thread=False)
        address = f"file:{quote(str(self.path))}?mode=ro"
        if not self.path.with_name(self.path.name + "-wal").exists():
            # Nobody has it open. A reader without the right to write the directory could not make the
            # log's index file, and need not.
            address += "&immutable=1"
        return sqlite3.connect(address, uri=True, isolation_level=None, timeout=2, check_same_thread=False)

    def _prepare(self, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not read_only:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise CopyDamaged(f"the copy has format {version}, this program writes {_VERSION}", where=str(self.path))
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-32000")

    def check(self) -> None:
        """Raise `CopyDamaged` if the file is not whole."""
        with guarded(self.path):
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise CopyDamaged(f"the copy of the directory is damaged: {found}", where=str(self.path))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside the block together, or nothing of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._forget()
            raise
        self._db.execute("COMMIT")

    def _forget(self) -> None:
        self._decoded.clear()
        self._shared = None
        self._primed.clear()
        self._parents.clear()
        self._parent_names = None

    def _column(self, query: str, *values: object) -> list[Any]:
        return [row[0] for row in self._db.execute(query, values)]

    # Facts and cookies

    def fact(self, key: str) -> str | None:
        """Return what was kept under `key`."""
        found = self._column("SELECT value FROM fact WHERE key = ?", key)
        return found[0] if found else None

    def keep_fact(self, key: str, value: str) -> None:
        """Keep `value` under `key`."""
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (key, value))

    def cookie(self, feed: Feed) -> bytes | None:
        """Return the cookie that stands for what the copy holds of `feed`."""
        found = self._column("SELECT cookie FROM feed WHERE name = ?", feed)
        return found[0] if found else None

    def keep_cookie(self, feed: Feed, cookie: bytes | None) -> None:
        """Keep the cookie for `feed`; None: begin from the start next time."""
        self._db.execute(
            "INSERT INTO feed (name, cookie) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET cookie = ?2",
            (feed, cookie),
        )

    def complete(self, feed: Feed) -> bool:
        """Tell whether `feed` was read to its end at least once."""
        return self._column("SELECT complete FROM feed WHERE name = ?", feed) == [1]

    def keep_complete(self, feed: Feed) -> None:
        """Note that `feed` was read to its end."""
        self._db.execute(
            "INSERT INTO feed (name, complete) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET complete = 1", (feed,)
        )

    # Records

    def _decode(self, dn: str, csn: str, body: str, uuid: str) -> Record:
        attributes: Mapping[str, Sequence[str]] = json.loads(body)
        return Record(dn, {name: tuple(values) for name, values in attributes.items()}, uuid, csn)

    def record(self, feed: Feed, uuid: str) -> tuple[int, Record] | None:
        """Return number and record of an entry; None if the copy does not have it."""
        row = self._db.execute(
            "SELECT id, dn, csn, body FROM record WHERE feed = ? AND uuid = ?", (feed, uuid)
        ).fetchone()
        return (row[0], self._decode(row[1], row[2], row[3], uuid)) if row else None

    def put(self, feed: Feed, record: Record) -> tuple[int, Record | None] | None:
        """Store `record`; return its number and what it replaces, or None if it says nothing new."""
        body = _encode(record.attributes)
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO record (feed, uuid, dn, csn, body) VALUES (?, ?, ?, ?, ?)",
            (feed, record.uuid, record.dn, record.csn, body),
        )
        if cursor.rowcount:
            assert cursor.lastrowid is not None
            self._changed(feed, cursor.lastrowid)
            return cursor.lastrowid, None
        row = self._db.execute(
            "SELECT id, dn, csn, body FROM record WHERE feed = ? AND uuid = ?", (feed, record.uuid)
        ).fetchone()
        number, dn, csn, old = row
        if (dn, csn, old) == (record.dn, record.csn, body):
            return None
        self._db.execute(
            "UPDATE record SET dn = ?, csn = ?, body = ? WHERE id = ?", (record.dn, record.csn, body, number)
        )
        self._changed(feed, number)
        return number, self._decode(dn, csn, old, record.uuid)

    def drop(self, feed: Feed, number: int) -> None:
        """Remove the record with `number`."""
        self._db.execute("DELETE FROM record WHERE id = ?", (number,))
        self._changed(feed, number)

    def _changed(self, feed: Feed, number: int) -> None:
        if feed == "nodes":
            self._parents.clear()
            self._primed.clear()
        else:
            self._decoded.pop(number, None)
            self._shared = None

    def index(self, number: int, names: Iterable[str], parents: Iterable[str], project: str | None) -> None:
        """Make a node findable by its names, its parents' names and its project."""
        self._db.executemany("INSERT OR IGNORE INTO name VALUES (?, ?)", [(name, number) for name in names])
        above = [(name, number) for name in parents]
        if above:
            self._db.executemany("INSERT OR IGNORE INTO parent VALUES (?, ?)", above)
            self._parent_names = None
        if project:
            self._db.execute("INSERT OR IGNORE INTO member VALUES (?, ?)", (project, number))

    def unindex(self, number: int, names: Iterable[str], parents: Iterable[str], project: str | None) -> None:
        """Take back what `index` did with the same arguments."""
        self._db.executemany("DELETE FROM name WHERE name = ? AND id = ?", [(name, number) for name in names])
        self._db.executemany("DELETE FROM parent WHERE name = ? AND id = ?", [(name, number) for name in parents])
        if project:
            self._db.execute("DELETE FROM member WHERE project = ? AND id = ?", (project, number))

    def uuids(self, feed: Feed) -> set[str]:
        """Return the entryUUIDs of all records of `feed`."""
        return set(self._column("SELECT uuid FROM record WHERE feed = ?", feed))

    def holds(self, feed: Feed) -> bool:
        """Tell whether there is any entry of `feed`."""
        return bool(self._column("SELECT 1 FROM record WHERE feed = ? LIMIT 1", feed))

    def versions(self, feed: Feed, uuids: Sequence[str]) -> dict[str, tuple[int, tuple[str, str]]]:
        """Return number and (entryCSN, DN) of those entries with `uuids` that the copy has; a thousand at most."""
        marks = ",".join("?" * len(uuids))
        query = f"SELECT uuid, id, csn, dn FROM record WHERE feed = ? AND uuid IN ({marks})"  # noqa: S608 - marks only
        return {uuid: (number, (csn, dn)) for uuid, number, csn, dn in self._db.execute(query, (feed, *uuids))}

    def all_versions(self, feed: Feed) -> Iterator[tuple[int, str, str, str]]:
        """Yield number, entryUUID, entryCSN and DN of each entry."""
        return iter(self._db.execute("SELECT id, uuid, csn, dn FROM record WHERE feed = ?", (feed,)))

    def nodes(self) -> Iterator[tuple[int, Record]]:
        """Yield every node's number and record."""
        for row in self._db.execute("SELECT id, dn, csn, body, uuid FROM record WHERE feed = 'nodes'"):
            yield row[0], self._decode(*row[1:])

    def count_nodes(self) -> int:
        """Return how many node entries there are."""
        return int(self._column("SELECT count(*) FROM record WHERE feed = 'nodes'")[0])

    def node_names(self) -> list[str]:
        """Return every name that some node answers to."""
        return self._column("SELECT DISTINCT name FROM name")

    def names_of(self, number: int) -> list[str]:
        """Return the names of the node with `number`."""
        return self._column("SELECT name FROM name WHERE id = ?", number)

    def children_of(self, name: str) -> list[int]:
        """Return the nodes that name `name` as their parent."""
        return self._column("SELECT id FROM parent WHERE name = ?", name)

    def names_in(self, project: str) -> list[str]:
        """Return the names of all nodes of a project."""
        return self._column("SELECT n.name FROM member m JOIN name n ON n.id = m.id WHERE m.project = ?", project)

    def is_parent(self, name: str) -> bool:
        """Tell whether some node names `name` as its parent."""
        if self._parent_names is None:
            self._parent_names = frozenset(self._column("SELECT DISTINCT name FROM parent"))
        return name in self._parent_names

    # Source

    def nodes_named(self, name: str) -> Sequence[Record]:
        """Return the nodes that answer to `name`, in the server's order."""
        key = folded(name)
        found = self._primed.get(key)
        if found is None:
            found = self._parents.get(key)
        if found is None:
            found = [
                self._decode(*row)
                for row in self._db.execute(
                    "SELECT r.dn, r.csn, r.body, r.uuid FROM name n JOIN record r ON r.id = n.id"
                    " WHERE n.name = ? ORDER BY n.id",
                    (key,),
                )
            ]
            if self.is_parent(key):
                self._parents[key] = found
        return found

    def prime(self, names: Sequence[str]) -> None:
        """Read the records of `names` at one go, so that `nodes_named` has them at hand."""
        self._primed = {name: [] for name in names}
        if names:
            marks = ",".join("?" * len(names))
            for name, *row in self._db.execute(
                "SELECT n.name, r.dn, r.csn, r.body, r.uuid FROM name n JOIN record r ON r.id = n.id"  # noqa: S608
                f" WHERE n.name IN ({marks}) ORDER BY n.name, n.id",  # nothing but question marks
                names,
            ):
                self._primed[name].append(self._decode(*row))

    @property
    def _common(self) -> _Shared:
        if self._shared is None:
            shared = _Shared({}, {}, [], None)
            for number, feed in self._db.execute("SELECT id, feed FROM record WHERE feed != 'nodes' ORDER BY id"):
                if number not in self._decoded:
                    row = self._db.execute("SELECT dn, csn, body, uuid FROM record WHERE id = ?", (number,)).fetchone()
                    self._decoded[number] = self._decode(*row)
                try:
                    self._place(shared, feed, self._decoded[number])
                except Exception:  # one entry of many: it is nobody's project, prefix or site then
                    log.get("follower").exception("%s: cannot be placed", self._decoded[number].dn)
            self._shared = shared
        return self._shared

    def _place(self, shared: _Shared, feed: Feed, record: Record) -> None:
        if feed == "groups":
            shared.groups.append(record)
        elif feed == "site":
            if self.places.is_site(record):
                shared.site = record
        else:
            project, is_prefix = self.places.in_projects(record)
            if project and is_prefix:
                shared.prefixes.setdefault(project, []).append(record)
            elif project:
                shared.projects[project] = record

    def project(self, name: ProjectName) -> Record | None:
        """Return the entry of a project."""
        return self._common.projects.get(name)

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


@dataclass(slots=True)
class _Shared:
    """The records that many nodes share, by how they are asked for."""

    projects: dict[str, Record]
    prefixes: dict[str, list[Record]]
    groups: list[Record]
    site: Record | None


def deleted_at(path: Path, settings: Settings, name: str) -> int | None:
    """Return when the follower saw the node deleted (epoch seconds); None if it did not.

    Raise `CopyDamaged` or `CopyFailed` if the copy cannot say.
    """
    with guarded(path):
        copy = Copy(path, settings, read_only=True)
        try:
            return copy.worklist.deleted(name)
        finally:
            copy.close()
