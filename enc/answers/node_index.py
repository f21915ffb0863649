"""The index that finds nodes in the copy by name, parent or project; part of the same SQLite file.

Owns these three tables. Nodes are the numbers of their records.

Not here: which names a node has, and in which project it is (reach.py); the
records themselves (records.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from enc.answers.database import Database


class NodeIndex:
    """Of one open copy."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._parent_names: frozenset[str] | None = None

    def forget(self) -> None:
        """Forget what was read: it may not be so any more."""
        self._parent_names = None

    def add(self, number: int, names: Iterable[str], parents: Iterable[str], project: str | None) -> None:
        """Make a node findable by its names, its parents' names and its project."""
        self._db.executemany("INSERT OR IGNORE INTO name VALUES (?, ?)", [(name, number) for name in names])
        above = [(name, number) for name in parents]
        if above:
            self._db.executemany("INSERT OR IGNORE INTO parent VALUES (?, ?)", above)
            self._parent_names = None
        if project:
            self._db.execute("INSERT OR IGNORE INTO member VALUES (?, ?)", (project, number))

    def remove(self, number: int, names: Iterable[str], parents: Iterable[str], project: str | None) -> None:
        """Take back what `add` did with the same arguments."""
        self._db.executemany("DELETE FROM name WHERE name = ? AND id = ?", [(name, number) for name in names])
        self._db.executemany("DELETE FROM parent WHERE name = ? AND id = ?", [(name, number) for name in parents])
        if project:
            self._db.execute("DELETE FROM member WHERE project = ? AND id = ?", (project, number))

    def names(self) -> list[str]:
        """Return every name that some node answers to."""
        return self._db.column("SELECT DISTINCT name FROM name")

    def names_of(self, number: int) -> list[str]:
        """Return the names of the node with `number`."""
        return self._db.column("SELECT name FROM name WHERE id = ?", number)

    def keys_of(self, number: int) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
        """Return what `add` was told of the node with `number`; takes a look at all nodes."""
        parents = self._db.column("SELECT name FROM parent WHERE id = ?", number)
        projects = self._db.column("SELECT project FROM member WHERE id = ?", number)
        return tuple(self.names_of(number)), tuple(parents), projects[0] if projects else None

    def names_in(self, project: str) -> list[str]:
        """Return the names of all nodes of a project."""
        return self._db.column("SELECT n.name FROM member m JOIN name n ON n.id = m.id WHERE m.project = ?", project)

    def children_of(self, name: str) -> list[int]:
        """Return the nodes that name `name` as their parent."""
        return self._db.column("SELECT id FROM parent WHERE name = ?", name)

    def is_parent(self, name: str) -> bool:
        """Tell whether some node names `name` as its parent."""
        if self._parent_names is None:
            self._parent_names = frozenset(self._db.column("SELECT DISTINCT name FROM parent"))
        return name in self._parent_names
