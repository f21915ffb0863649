"""The list of answers that must be rewritten, and the results; part of the copy's SQLite file.

The list of names whose answers have to be made anew ("dirty"), the digest of
what was written for each, until when it is good, what is wrong with entries,
and which nodes were seen to be deleted. A name is put on the list in the
transaction that brings the change, and taken off when its answer is on disk:
that is what a killed follower goes on from.

Not here: the records themselves (records.py), and the file (database.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from enc.answers.database import Database
from enc.programs.elapsed import Count


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one name whose answer was to be made anew."""

    name: str
    digest: str | None
    """Of what is on disk now: the answer, or the line that names another server; None: neither."""
    problem: str | None = None
    gone: bool = False
    """The directory has no entry of this name any more."""
    wrote: bool = False
    until: int | None = None
    """The answer is good until then only (seconds since 1970); None: until something changes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry that cannot be classified."""

    name: str
    message: str
    since: int


class Worklist:
    """The list in one open copy; used by the same thread."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def mark(self, names: Iterable[str]) -> None:
        """Put names on the list of those whose answers have to be made anew."""
        self._db.executemany("INSERT OR IGNORE INTO dirty VALUES (?)", [(name,) for name in names])

    def mark_all(self, projects: Iterable[str], *, rewrite: bool = False) -> None:
        """Put every name and all `projects` on the list; with `rewrite`, trust nothing that is on disk."""
        if rewrite:
            self._db.execute("INSERT OR IGNORE INTO dirty SELECT name FROM written")
            self._db.execute("DELETE FROM written")
        self._db.execute("INSERT OR IGNORE INTO dirty SELECT name FROM name")
        self.mark_projects(projects)

    def mark_projects(self, projects: Iterable[str]) -> None:
        """Put projects on the list of those whose hiera data has to be written anew."""
        self._db.executemany("INSERT OR IGNORE INTO dirty_project VALUES (?)", [(name,) for name in projects])

    def mark_missing(self, on_disk: set[str]) -> None:
        """Put names on the list whose answers should be on disk and are not."""
        missing = [(name,) for name in self._db.column("SELECT name FROM written") if name not in on_disk]
        self._db.executemany("DELETE FROM written WHERE name = ?", missing)
        self._db.executemany("INSERT OR IGNORE INTO dirty VALUES (?)", missing)

    def mark_over(self, now: float) -> None:
        """Put names on the list whose answers were good until now (seconds since 1970)."""
        self._db.execute("INSERT OR IGNORE INTO dirty SELECT name FROM expiry WHERE until <= ?", (now,))

    def doubt(self) -> None:
        """Forget what was written for the names on the list: the last attempt may have got half-way."""
        self._db.execute("DELETE FROM written WHERE name IN (SELECT name FROM dirty)")

    def dirty_count(self) -> int:
        """Return how many names are on the list."""
        return int(self._db.column("SELECT count(*) FROM dirty")[0])

    def dirty_bounds(self, parts: int) -> list[tuple[str, str | None]]:
        """Cut the list into `parts` ranges of names [first, end) of about the same length."""
        total = self.dirty_count()
        starts = [""] + [
            self._db.column("SELECT name FROM dirty ORDER BY name LIMIT 1 OFFSET ?", total * part // parts)[0]
            for part in range(1, parts)
        ]
        return list(zip(starts, [*starts[1:], None], strict=True))

    def dirty(self, limit: int, after: str = "", before: str | None = None) -> list[tuple[str, str | None]]:
        """Return up to `limit` names of the list in [after, before), each with the digest of its answer on disk."""
        return self._db.execute(
            "SELECT d.name, w.digest FROM dirty d LEFT JOIN written w ON w.name = d.name"
            " WHERE d.name >= ?1 AND (?2 IS NULL OR d.name < ?2) ORDER BY d.name LIMIT ?3",
            (after, before, limit),
        ).fetchall()

    def dirty_projects(self) -> list[str]:
        """Return the projects whose hiera data has to be written anew."""
        return self._db.column("SELECT name FROM dirty_project")

    def settle(self, outcomes: Sequence[Outcome], now: int) -> None:
        """Take names off the list and note what became of them."""
        with self._db.transaction():
            self._db.executemany("DELETE FROM dirty WHERE name = ?", [(o.name,) for o in outcomes])
            self._db.executemany(
                "INSERT OR REPLACE INTO written VALUES (?, ?)", [(o.name, o.digest) for o in outcomes if o.digest]
            )
            self._db.executemany("DELETE FROM written WHERE name = ?", [(o.name,) for o in outcomes if not o.digest])
            self._db.executemany("DELETE FROM expiry WHERE name = ?", [(o.name,) for o in outcomes if not o.until])
            self._db.executemany(
                "INSERT OR REPLACE INTO expiry VALUES (?, ?)", [(o.name, o.until) for o in outcomes if o.until]
            )
            self._db.executemany("DELETE FROM problem WHERE name = ?", [(o.name,) for o in outcomes if not o.problem])
            self._db.executemany(
                "INSERT INTO problem VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET message = ?2",
                [(o.name, o.problem, now) for o in outcomes if o.problem],
            )
            self._db.executemany("DELETE FROM tombstone WHERE name = ?", [(o.name,) for o in outcomes if not o.gone])
            self._db.executemany(
                "INSERT OR REPLACE INTO tombstone VALUES (?, ?)", [(o.name, now) for o in outcomes if o.gone]
            )

    def settle_project(self, project: str, problem: str | None, now: int) -> None:
        """Take a project off the list and note what is wrong with its data."""
        key = f"project {project}"
        with self._db.transaction():
            self._db.execute("DELETE FROM dirty_project WHERE name = ?", (project,))
            if problem is None:
                self._db.execute("DELETE FROM problem WHERE name = ?", (key,))
            else:
                self._db.execute(
                    "INSERT INTO problem VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET message = ?2",
                    (key, problem, now),
                )

    def report(self, kind: str, problems: Mapping[str, str], now: int) -> None:
        """Make `problems` (name to what is wrong) all that is wrong with things of `kind`, such as groups."""
        with self._db.transaction():
            keys = {f"{kind} {name}": message for name, message in problems.items()}
            for old in self._db.column("SELECT name FROM problem WHERE name GLOB ?", f"{kind} *"):
                if old not in keys:
                    self._db.execute("DELETE FROM problem WHERE name = ?", (old,))
            self._db.executemany(
                "INSERT INTO problem VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET message = ?2",
                [(key, message, now) for key, message in keys.items()],
            )

    def note_entry(self, dn: str, message: str | None, now: int) -> None:
        """Note, inside a transaction, what is wrong with an entry that could not be looked at; None: nothing."""
        if message is None:
            self._db.execute("DELETE FROM problem WHERE name = ?", (f"entry {dn}",))
        else:
            self._db.execute(
                "INSERT INTO problem VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET message = ?2",
                (f"entry {dn}", message, now),
            )

    def problems(self) -> list[Problem]:
        """Return the entries that cannot be classified, by name."""
        return [Problem(*row) for row in self._db.execute("SELECT name, message, since FROM problem ORDER BY name")]

    def count_problems(self) -> int:
        """Return how many entries cannot be classified."""
        return int(self._db.column("SELECT count(*) FROM problem")[0])

    def count_entries(self) -> int:
        """Return how many entries could not be looked at."""
        return int(self._db.column("SELECT count(*) FROM problem WHERE name GLOB 'entry *'")[0])

    def deleted(self, name: str) -> int | None:
        """Return when a node was seen to be deleted (epoch seconds); None if it was not."""
        found = self._db.column("SELECT deleted FROM tombstone WHERE name = ?", name)
        return found[0] if found else None

    def bury(self, count: Count, after: float) -> None:
        """Forget deletions that are older than `after` seconds."""
        for deleted in self._db.column("SELECT DISTINCT deleted FROM tombstone"):
            if count.now - count.of(deleted) > after:
                self._db.execute("DELETE FROM tombstone WHERE deleted = ?", (deleted,))
