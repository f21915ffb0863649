"""The records of all feeds, in the order in which the server gave them: a part of the copy's SQLite file.

Owns the table of records and how a record is written in it. Each has a number,
by which the rest of the copy knows it, and stays the same through all changes
of the entry.

Not here: by what a node is found (node_index.py), what is decoded once and
kept (source.py), and which names a change reaches (reach.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from enc.answers.database import Database
from enc.answers.plans import Feed
from enc.terms.record import Record

_UNREAD = ""
"""Where a record says that something was left out of it: no attribute has this name."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def decode(dn: str, csn: str, body: str, uuid: str) -> Record:
    """Return the record of a row's columns."""
    attributes: dict[str, Sequence[str]] = json.loads(body)
    unread = attributes.pop(_UNREAD, ("",))[0]
    return Record(dn, {name: tuple(values) for name, values in attributes.items()}, uuid, csn, unread)


def _body(record: Record) -> str:
    return _encode({**record.attributes, _UNREAD: (record.unread,)} if record.unread else record.attributes)


class Records:
    """Of one open copy."""

    def __init__(self, db: Database, changed: Callable[[Feed, int], None]) -> None:
        """`changed` is told feed and number of each record that is not any more what it was."""
        self._db = db
        self._changed = changed

    def get(self, feed: Feed, uuid: str) -> tuple[int, Record] | None:
        """Return number and record of an entry; None if the copy does not have it."""
        row = self._db.execute(
            "SELECT id, dn, csn, body FROM record WHERE feed = ? AND uuid = ?", (feed, uuid)
        ).fetchone()
        return (row[0], decode(row[1], row[2], row[3], uuid)) if row else None

    def put(self, feed: Feed, record: Record) -> tuple[int, Record | None] | None:
        """Store `record`; return its number and what it replaces, or None if it says nothing new."""
        body = _body(record)
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
        return number, decode(dn, csn, old, record.uuid)

    def drop(self, feed: Feed, number: int) -> None:
        """Remove the record with `number`."""
        self._db.execute("DELETE FROM record WHERE id = ?", (number,))
        self._changed(feed, number)

    def holds(self, feed: Feed) -> bool:
        """Tell whether there is any entry of `feed`."""
        return bool(self._db.column("SELECT 1 FROM record WHERE feed = ? LIMIT 1", feed))

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
            yield row[0], decode(*row[1:])

    def count_nodes(self) -> int:
        """Return how many node entries there are."""
        return int(self._db.column("SELECT count(*) FROM record WHERE feed = 'nodes'")[0])
