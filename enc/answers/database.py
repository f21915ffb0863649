"""The SQLite file of the follower's copy: its format, opening it, transactions, and what its errors mean.

Owns the file and all that SQLite is told about it. It can be thrown away at
any time: what it holds comes back from LDAP. A write-ahead log lets others
read while one writes; a kill or a power cut leaves what was committed.

Failure modes: a damaged file, or one of another format, is `CopyDamaged`:
delete it and begin anew. A full disk, missing rights, and somebody who holds
it for seconds are `CopyFailed`: nothing was committed.

Not here: what stands in the tables (progress.py, records.py, node_index.py,
worklist.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from enc.terms.errors import ToolkitError

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


def make_private(path: Path, *others: Path) -> None:
    """Let nobody but the follower's account read the copy at `path`, which is made if need be, and `others`.

    It holds all of LDAP; SQLite gives its other files the mode of this one.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    for file in (*(path.with_name(path.name + ending) for ending in _SIDE_FILES), *others):
        with suppress(FileNotFoundError):
            file.chmod(0o600)


class Database:
    """One open file; used by one thread."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        """Open the file at `path`, making it if need be; raise `CopyDamaged` or `CopyFailed`."""
        self.path = path
        self._read_only = read_only
        with guarded(self.path):
            self._connection = self._connected()
            self.execute = self._connection.execute
            self.executemany = self._connection.executemany
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _connected(self) -> sqlite3.Connection:
        if not self._read_only:
            return sqlite3.connect(self.path, isolation_level=None, timeout=5, check_same_thread=False)
        address = f"file:{quote(str(self.path))}?mode=ro"
        if not self.path.with_name(self.path.name + "-wal").exists():
            # Nobody has it open. A reader without the right to write the directory could not make the
            # log's index file, and need not.
            address += "&immutable=1"
        return sqlite3.connect(address, uri=True, isolation_level=None, timeout=2, check_same_thread=False)

    def _prepare(self) -> None:
        version = self.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._read_only:
            self.execute("PRAGMA journal_mode=WAL")
            self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise CopyDamaged(f"the copy has format {version}, this program writes {_VERSION}", where=str(self.path))
        self.execute("PRAGMA synchronous=NORMAL")
        self.execute("PRAGMA cache_size=-32000")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def check(self) -> None:
        """Raise `CopyDamaged` if the file is not whole."""
        with guarded(self.path):
            found = self.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise CopyDamaged(f"the copy of the directory is damaged: {found}", where=str(self.path))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside the block together, or nothing of it."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def column(self, query: str, *values: object) -> list[Any]:
        """Return the first column of what `query` finds."""
        return [row[0] for row in self.execute(query, values)]
