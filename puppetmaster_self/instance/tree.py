"""Saves and restores files: content, links, owners, modes, extended attributes.

`look` describes trees, `keep` also copies what files hold, `restoration`
decides what has to be done so that things are as they were, `restore` does it.
Three descriptions are compared, so that nobody's work is lost: how it was
before us, how we left it, how it is now.

    now as before                          nothing to do
    now as we left it                      as before again
    changed since, where we changed it     as before again, and the present file is kept aside
    changed since, where we did not        it stays: it is not ours

Copies stand under the digest of their content and are on disk before `keep`
returns. A file comes back by one rename, so it is never half there; what a
crash leaves aside has a name of its own (whole_file.py) and goes with the next
restoration. Sockets, devices and pipes are not looked at.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from enc.programs import directories, whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError

Kind = Literal["file", "directory", "link"]


class Entry(NamedTuple):
    """What one path is."""

    kind: Kind
    mode: int
    owner: int
    group: int
    content: str
    """Digest of a file's content, target of a link, empty for a directory."""
    attributes: Mapping[str, str]
    """Extended attributes, in hex."""
    time: int
    """Modification time in nanoseconds; it comes back with a file, and is not compared."""

    @property
    def likeness(self) -> tuple[object, ...]:
        """All that must be equal for two entries to count as the same."""
        return self.kind, self.mode, self.owner, self.group, self.content, dict(self.attributes)


Look = Mapping[str, Entry]
Act = Literal["restore", "remove", "replace", "leave"]


class Task(NamedTuple):
    """What has to happen to one path; `replace` keeps what is there now aside, `leave` only tells."""

    act: Act
    path: str


def look(roots: Iterable[Path], without: Iterable[Path] = ()) -> dict[str, Entry]:
    """Describe everything at and below `roots`, but nothing at and below `without`."""
    skipped = {str(path) for path in without}
    found: dict[str, Entry] = {}
    for root in roots:
        for path in _walk(str(root), skipped):
            if path not in found and (entry := _entry(path)) is not None:
                found[path] = entry
    return found


def keep(described: Look, directory: Path) -> None:
    """Copy what the described files hold into `directory`, on disk; what is there already is not copied again.

    Raise `ToolkitError` for a file that changed since it was described.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, entry in described.items():
        place = directory / entry.content
        if entry.kind == "file" and not place.exists():
            with whole_file.filled(place, mode=0o600, survives=Strength.ORDER) as aside:
                shutil.copyfile(path, aside)
                if _digest(str(aside)) != entry.content:
                    raise ToolkitError("changed while being copied; try again when nothing writes there", where=path)
    whole_file.sync(directory)


def restoration(before: Look, left: Look | None, now: Look) -> list[Task]:
    """Decide what brings `before` back, in an order that works. Pure.

    `left` is how we left things; None: we were interrupted, and everything that differs counts as ours.
    """
    tasks = []
    for path in sorted({*before, *now}):
        was, present = _like(before, path), _like(now, path)
        ours = present if left is None or whole_file.is_aside(path) else _like(left, path)
        if present == was:
            continue
        if present == ours:
            tasks.append(Task("restore" if was is not None else "remove", path))
        elif ours == was:
            tasks.append(Task("leave", path))
        else:
            tasks.append(Task("replace", path))
    removals = [task for task in tasks if task.act == "remove"]
    others = [task for task in tasks if task.act != "remove"]
    # What takes a place must find it free, and a directory goes after what was in it.
    return [*reversed(removals), *others]


def restore(tasks: Iterable[Task], before: Look, copies: Path, kept: Path) -> list[str]:
    """Carry out the tasks; return what stayed or was kept aside below `kept`, in words. Can be repeated."""
    told = []
    for act, path in tasks:
        if act == "leave":
            told.append(f"{path} was changed by somebody else and is kept")
            continue
        if act == "replace" and os.path.lexists(path):
            place = kept / path.lstrip("/")
            _set_aside(path, place)
            told.append(f"{path} had been changed since; the changed version is kept as {place}")
        entry = before.get(path)
        if entry is None:
            told += _removed(path)
        else:
            _put(path, entry, copies)
    return told


def as_json(described: Look) -> str:
    """Return a description as text."""
    return json.dumps({path: entry._asdict() for path, entry in described.items()})


def from_json(text: str) -> dict[str, Entry]:
    """Read what `as_json` wrote."""
    return {path: Entry(**fields) for path, fields in json.loads(text).items()}


def _walk(root: str, skipped: set[str]) -> Iterator[str]:
    if root in skipped or not os.path.lexists(root):
        return
    yield root
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if f"{directory}/{name}" not in skipped]
        yield from (f"{directory}/{name}" for name in (*names, *files) if f"{directory}/{name}" not in skipped)


def _entry(path: str) -> Entry | None:
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            kind, content = "link", os.readlink(path)
        elif stat.S_ISDIR(status.st_mode):
            kind, content = "directory", ""
        elif stat.S_ISREG(status.st_mode):
            kind, content = "file", _digest(path)
        else:
            return None
    except FileNotFoundError:
        return None
    attributes = {}
    with contextlib.suppress(OSError):
        names = os.listxattr(path, follow_symlinks=False)
        attributes = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    mode = stat.S_IMODE(status.st_mode)
    return Entry(kind, mode, status.st_uid, status.st_gid, content, attributes, status.st_mtime_ns)  # type: ignore[arg-type]


def _digest(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _like(described: Look, path: str) -> tuple[object, ...] | None:
    entry = described.get(path)
    return None if entry is None else entry.likeness


def _set_aside(path: str, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.path.isdir(path) and not os.path.islink(path):
        return  # its attributes only; what is in it is told one by one
    shutil.copy2(path, place, follow_symlinks=False)


def _removed(path: str) -> list[str]:
    try:
        with directories.held(path) as (directory, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                os.rmdir(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return [f"{path} is kept, because it contains something that is not ours"]
    return []


def _put(path: str, entry: Entry, copies: Path) -> None:
    # By descriptors: it may stand in a directory of puppetserver's account, where a name can be something else by now.
    is_directory = os.path.isdir(path) and not os.path.islink(path)
    if entry.kind == "directory":
        if not is_directory:
            _removed(path)
        _put_directory(path, entry, make=not is_directory)
        return
    if is_directory:
        for told in _removed(path):
            raise ToolkitError(told, where=path)
    if entry.kind == "link":
        owner = (entry.owner, entry.group)
        whole_file.link(path, entry.content, survives=Strength.POWER_CUT, owner=owner)
        return
    with whole_file.written(path, mode=entry.mode, survives=Strength.POWER_CUT) as aside:
        with open(copies / entry.content, "rb") as copy, os.fdopen(os.dup(aside), "wb") as stream:
            shutil.copyfileobj(copy, stream)
        os.fchown(aside, entry.owner, entry.group)  # before the attributes: it takes a program's capabilities away
        for name, value in entry.attributes.items():
            with contextlib.suppress(OSError):
                os.setxattr(aside, name, bytes.fromhex(value))
        os.utime(aside, ns=(entry.time, entry.time))


def _put_directory(path: str, entry: Entry, *, make: bool) -> None:
    with directories.held(path) as (directory, name):
        if make:
            os.mkdir(name, 0o700, dir_fd=directory)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fchown(descriptor, entry.owner, entry.group)
        os.fchmod(descriptor, entry.mode)
    finally:
        os.close(descriptor)
