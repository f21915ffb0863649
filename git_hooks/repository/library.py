"""Reads a bare repository through libgit2; the only module that imports pygit2.

Traps of libgit2 that are met here: it would read the configuration of root and
of the machine (`prepare` leaves it none); it refuses repositories of other
owners, though who is let at this one was decided by whoever configured its path
(git's program, told by --git-dir, does not refuse either); looking an object up
takes its whole content into memory, so the header is read first; and it keeps
packs open that a gc has removed, so the repository is opened anew when its
packs change.

An object whose content is not its name's is not read: libgit2 looks.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import suppress
from itertools import islice

import pygit2
from pygit2.enums import ConfigLevel, ObjectType, RepositoryOpenFlag, SortMode

from git_hooks.repository.reading import MISSING, RepositoryError, Seen, Wanted

# By plain numbers: looking an enum's member up takes longer, and a push has thousands of files.
_KINDS = {
    int(number): kind
    for number, kind in (
        (ObjectType.COMMIT, "commit"),
        (ObjectType.TREE, "tree"),
        (ObjectType.BLOB, "blob"),
        (ObjectType.TAG, "tag"),
    )
}
_WHOLE = 40
"""Letters of the name of an object: sha1, the only one that libgit2 has here."""
_ABSENT = (KeyError, ValueError)
"""What pygit2 raises for what is not there, is ambiguous, or is no name."""


def prepare() -> None:
    """Let libgit2 take nobody's configuration, and decide about owners ourselves; for the whole process."""
    pygit2.settings.owner_validation = False
    for level in (ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM, ConfigLevel.PROGRAMDATA):
        pygit2.settings.search_path[level] = ""


class ByLibrary:
    """One bare repository, through libgit2."""

    def __init__(self, path: str, quarantine: str | None) -> None:
        """Open nothing yet; `quarantine` is the directory of the objects that pre-receive has not let in."""
        self._path = path
        self._quarantine = quarantine
        self._opened: pygit2.Repository | None = None
        self._packs: int | None = None

    def resolve(self, revision: str) -> str | None:
        """See Reader."""
        if "\0" in revision or "\n" in revision:
            return None
        repository = self._repository()
        try:
            found = repository.revparse_single(revision)
            return str(found.peel(pygit2.Commit).id)
        except (*_ABSENT, UnicodeError):
            return None
        except pygit2.GitError as error:
            raise self._failed(error) from error

    def look(self, names: Sequence[str], wanted: Wanted) -> Generator[Seen]:
        """See Reader."""
        database = self._repository().odb
        for name in names:
            ((kind, size),) = self._heads(database, (name,))
            if kind == MISSING or not wanted(name, kind, size):
                yield Seen(kind, size)
                continue
            try:
                yield Seen(kind, size, database.read(name)[1])
            except (*_ABSENT, pygit2.GitError) as error:
                raise self._failed(error) from error

    def heads(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """See Reader."""
        return self._heads(self._repository().odb, names)

    def _heads(self, database: pygit2.Odb, names: Sequence[str]) -> list[tuple[str, int]]:
        read, found = database.read_header, list[tuple[str, int]]()
        for name in names:
            try:
                if len(name) != _WHOLE:  # libgit2 takes the beginning of a name for it
                    raise KeyError(name)
                number, size = read(name)
            except _ABSENT:
                found.append((MISSING, 0))
            except pygit2.GitError as error:
                raise self._failed(error) from error
            else:
                found.append((_KINDS.get(number, "unknown"), size))
        return found

    def refs(self, below: str) -> list[tuple[str, str]]:
        """See Reader."""
        repository, beginning = self._repository(), below.encode()
        found = []
        try:
            for reference in repository.references.iterator():
                if reference.raw_name.startswith(beginning):
                    name = reference.raw_name.decode("utf-8", "surrogateescape")
                    found.append((name, str(reference.resolve().target)))
        except (*_ABSENT, pygit2.GitError) as error:
            raise self._failed(error) from error
        return found

    def contains(self, commit: str, other: str) -> bool:
        """See Reader."""
        try:
            return bool(self._repository().descendant_of(pygit2.Oid(hex=commit), pygit2.Oid(hex=other)))
        except (*_ABSENT, pygit2.GitError):
            return False

    def merge_base(self, first: str, second: str) -> str | None:
        """See Reader."""
        try:
            found = self._repository().merge_base(pygit2.Oid(hex=first), pygit2.Oid(hex=second))
        except (*_ABSENT, pygit2.GitError):
            return None
        return None if found is None else str(found)

    def fresh(self, commit: str, known: Sequence[str], most: int) -> list[str]:
        """See Reader."""
        repository = self._repository()
        try:
            walk = repository.walk(pygit2.Oid(hex=commit), SortMode.TIME)
        except (*_ABSENT, pygit2.GitError):
            return []
        for name in known:
            with suppress(*_ABSENT, pygit2.GitError):
                found = repository.get(name)
                if found is not None:
                    walk.hide(found.peel(pygit2.Commit).id)
        try:
            return [str(one.id) for one in islice(walk, most)]
        except (*_ABSENT, pygit2.GitError) as error:
            raise self._failed(error) from error

    def divergence(self, first: str, second: str) -> tuple[int, int] | None:
        """See Reader."""
        try:
            ahead, behind = self._repository().ahead_behind(pygit2.Oid(hex=first), pygit2.Oid(hex=second))
        except (*_ABSENT, pygit2.GitError):
            return None
        return ahead, behind

    def close(self) -> None:
        """See Reader."""
        if self._opened is not None:
            self._opened.free()
            self._opened = None

    def _repository(self) -> pygit2.Repository:
        """Return the repository, opened anew if its packs are others than they were."""
        packs = self._packs_changed_at()
        if self._opened is not None and packs != self._packs:
            self.close()
        if self._opened is None:
            flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE
            try:
                self._opened = pygit2.Repository(self._path, flags)
                if self._quarantine is not None:
                    self._opened.odb.add_disk_alternate(self._quarantine)
            except (*_ABSENT, pygit2.GitError) as error:
                raise self._failed(error) from error
            self._packs = packs
        return self._opened

    def _packs_changed_at(self) -> int | None:
        try:
            return os.stat(f"{self._path}/objects/pack").st_mtime_ns
        except OSError:
            return None

    def _failed(self, error: Exception) -> RepositoryError:
        return RepositoryError(f"cannot be read: {error}", where=self._path)
