"""The follower's copy of the directory: an SQLite file that can be thrown away at any time.

It holds the records of each feed (records.py) and by what nodes are found
(node_index.py), how far each feed was read (progress.py), and the list of
names whose answers have to be made anew (worklist.py); the classification asks
it as it would ask LDAP (source.py).

Owns that these belong together. Changes, the cookie that stands for them and
the names they reach are committed in one transaction; a name is taken off the
list when its answer is on disk. So a process that is killed loses nothing: it
either asks the server again from the older cookie, or finds the names on the
list. After a transaction that failed nothing is believed that was read in it.

Failure modes: see database.py.

Not here: which names a change reaches (reach.py), what an answer says, and
files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enc.answers.database import Database, guarded
from enc.answers.node_index import NodeIndex
from enc.answers.places import Places
from enc.answers.progress import Progress
from enc.answers.records import Records
from enc.answers.source import CopySource
from enc.answers.worklist import Worklist
from enc.settings import Settings


class Copy:
    """One open copy; used by one thread."""

    def __init__(self, path: Path, settings: Settings, *, read_only: bool = False) -> None:
        """Open the copy at `path`, making it if need be; raise `CopyDamaged` or `CopyFailed`."""
        self._db = Database(path, read_only=read_only)
        self.places = Places(settings)
        self.progress = Progress(self._db)
        self.index = NodeIndex(self._db)
        self.source = CopySource(self._db, self.index, self.places)
        self.records = Records(self._db, self.source.changed)
        self.worklist = Worklist(self._db)

    def check(self) -> None:
        """Raise `CopyDamaged` if the file is not whole."""
        self._db.check()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside the block together, or nothing of it."""
        try:
            with self._db.transaction():
                yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self.source.forget()
        self.index.forget()


@contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Copy]:
    """Have the copy at `path` open for reading; raise `CopyDamaged` or `CopyFailed`, inside the block too."""
    with guarded(path):
        copy = Copy(path, settings, read_only=True)
        try:
            yield copy
        finally:
            copy.close()


def deleted_at(path: Path, settings: Settings, name: str) -> int | None:
    """Return when the follower saw the node deleted (epoch seconds); None if it did not.

    Raise `CopyDamaged` or `CopyFailed` if the copy cannot say.
    """
    with opened(path, settings) as copy:
        return copy.worklist.deleted(name)
