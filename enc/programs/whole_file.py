"""Files that are whole whenever somebody looks: written aside, then moved into place by one rename.

A reader sees the old content or the new, never half of one and never none.
What that is worth after a power cut is each use's choice (`Strength`). What a
file is like (mode, owner) is said by the caller and never left to the umask.

Aside means a name of its own in the same directory: `.puppetmaster-new-`, then
64 random bits. Nobody can have put a link there beforehand, and if something
stands there all the same, it is not followed (O_EXCL, O_NOFOLLOW). It is
removed when anything goes wrong.

What a kill -9 leaves there does no harm: it begins with a dot, has no ending
that anybody looks for (`*.json`, `*.prom`, `*.service`), and readers know
whole names only. It goes all the same: who writes holds a lock (flock) on the
file aside, which the kernel frees with the process; and each write in a
directory, if that is large the first of each process, removes the files there
that nobody holds (`collect`). Links cannot be locked and go after an hour.

The place itself is not followed either: a link that stands there is replaced. All is done in the directory that was
opened first (directories.py), so root is not led elsewhere by whoever owns one on the way.

Failure modes: `NotWritten`, an expected error that says what to do; what was
there before then still is, whole. With `Strength.POWER_CUT` one thing more can
fail, the directory's own sync: the new content is in place by then.

Not here: directories (a rename moves them whole; who makes them does that),
files that only grow (json_lines.py), and locks between writers of one file:
of two at once, the last one's content stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from types import TracebackType

from enc.programs import directories
from enc.programs.machine_trouble import reason
from enc.terms.errors import ToolkitError

_NAME = ".puppetmaster-new-"
_LEFT = re.compile(re.escape(_NAME) + r"[0-9a-f]{16}(\.lock)?", re.ASCII)
"""git puts its own lock beside a bundle that it writes."""
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS_STAY = 3600.0
"""Seconds; making a link aside and renaming it takes far below one."""

_LARGE = 500
"""Names; to list so many takes a tenth of a millisecond."""

_collected: set[str] = set()
"""Large directories that this process has collected in."""


class Strength(IntEnum):
    """What a whole file survives."""

    KILL = 1
    """kill -9: old or new. After a power cut it may be empty: for what is made anew, and whose reader finds out."""
    ORDER = 2
    """A power cut too: old or new, for the content is on disk before the name. Which of them is not promised."""
    POWER_CUT = 3
    """New once the call has returned, whatever happens then: content and name are on disk."""


class NotWritten(ToolkitError, OSError):
    """A file could not be written, and what was there before still is.

    It is an OSError as well, with its number, for callers whose rule is about the machine and not about us.
    """

    def __init__(self, error: OSError, place: str) -> None:
        self.why = reason(error)
        """What the system says, and what to do, for a message of the caller's own."""
        ToolkitError.__init__(self, f"cannot be written: {self.why}", where=place)
        OSError.__init__(self, error.errno, error.strerror or str(error), place)
        self.args = (self.message,)


def write(
    place: str | Path,
    content: bytes | str,
    *,
    mode: int,
    survives: Strength,
    owner: tuple[int, int] | None = None,
) -> None:
    """Make `content` (text as UTF-8) the file at `place`; raise `NotWritten`.

    `owner`: user and group by number; None: of whom writes it.
    """
    with written(place, mode=mode, survives=survives, owner=owner) as descriptor, _told(place):
        _fill(descriptor, content)


@contextmanager
def written(place: str | Path, *, mode: int, survives: Strength, owner: tuple[int, int] | None = None) -> Iterator[int]:
    """Give a descriptor of a new file (0600), which becomes the one at `place` when the block ends.

    If the block fails, the file goes, and `place` stays as it was. Raise `NotWritten` for our part of it.
    """
    with _beside(place) as aside:
        yield aside.descriptor
        with _told(place):
            _finish(aside.descriptor, mode, survives, owner)
            aside.move()
            aside.settle(survives)


def write_at(directory: int, name: str, content: bytes, *, mode: int, aside: int) -> None:
    """Do what `write` does with `Strength.KILL`, in an open directory; raise `NotWritten`.

    For who writes very many. The file is made in the directory that is open as
    `aside`, on the same file system; what a kill leaves there is the caller's to remove.
    """
    made = _random()
    try:
        descriptor = os.open(made, _FLAGS, 0o600, dir_fd=aside)
        try:
            _fill(descriptor, content)
            os.fchmod(descriptor, mode)
            os.rename(made, name, src_dir_fd=aside, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(made, dir_fd=aside)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotWritten(error, name) from error


def make(place: str | Path, content: bytes | str, *, mode: int, survives: Strength) -> bool:
    """Do what `write` does, but only if nothing is there yet; return whether it was made. Raise `NotWritten`.

    Of two that make it at once, the first one's content stays, and both know which.
    """
    with _beside(place) as aside, _told(place):
        _fill(aside.descriptor, content)
        _finish(aside.descriptor, mode, survives, None)
        here = aside.directory
        try:
            os.link(aside.name, aside.final, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            os.unlink(aside.name, dir_fd=here)
        aside.settle(survives)
        return True


def link(place: str | Path, target: str | Path, *, survives: Strength, owner: tuple[int, int] | None = None) -> bool:
    """Let the symbolic link at `place` lead to `target`; return whether that had to change. Raise `NotWritten`."""
    wanted = os.fspath(target)
    with suppress(OSError):
        if owner is None and os.readlink(place) == wanted:
            return False
    with _told(place), directories.held(os.fspath(place)) as (directory, name):
        _tidy(_directory(place))
        aside = _random()
        os.symlink(wanted, aside, dir_fd=directory)
        try:
            if owner is not None:
                _give_link(aside, directory, owner)
            os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(aside, dir_fd=directory)
            raise
        if survives >= Strength.POWER_CUT:
            directories.sync(directory)
    return True


@contextmanager
def filled(place: str | Path, *, mode: int, survives: Strength, owner: tuple[int, int] | None = None) -> Iterator[Path]:
    """Give an empty file (0600) for somebody else to fill, and make it the one at `place` when the block ends.

    For another program's output, and for copies. The program may as well put another file under the same name. If the
    block fails, the file goes, and `place` stays as it was. Raise `NotWritten` for our part of it.
    """
    with _beside(place) as aside:
        os.fchmod(aside.descriptor, 0o600)  # whatever the umask is
        yield Path(_directory(place), aside.name)
        with _told(place):
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(aside.name, flags, dir_fd=aside.directory)
            try:
                _finish(descriptor, mode, survives, owner)
            finally:
                os.close(descriptor)
            aside.move()
            aside.settle(survives)


def sync(path: str | Path) -> None:
    """Return when a file's content, or the names in a directory, are on disk; raise `NotWritten`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotWritten(error, os.fspath(path)) from error


def is_aside(path: str) -> bool:
    """Tell whether a path is that of a file of ours that has not come to its place."""
    return _LEFT.fullmatch(os.path.basename(path)) is not None


def collect(directory: str | Path, *, links: float = _LINKS_STAY) -> int:
    """Remove what killed processes left aside in `directory`, and links older than `links` seconds; return how many.

    What cannot be looked at or removed stays: it does no harm.
    """
    return _collect(os.fspath(directory), links)[0]


class _Aside:
    """A new file beside a place, which nobody else has; it goes if the block fails."""

    def __init__(self, directory: int, final: str) -> None:
        self.directory = directory
        self.final = final
        """The name that it will have."""
        while True:
            self.name = _random()
            self.descriptor = os.open(self.name, _FLAGS, 0o600, dir_fd=directory)
            if _hold(self.descriptor):
                break
            os.close(self.descriptor)

    def move(self) -> None:
        """Bring it to its place."""
        os.rename(self.name, self.final, src_dir_fd=self.directory, dst_dir_fd=self.directory)

    def settle(self, survives: Strength) -> None:
        """Let its name be on disk, if that was asked for."""
        if survives >= Strength.POWER_CUT:
            directories.sync(self.directory)

    def __enter__(self) -> _Aside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            for name in (self.name, f"{self.name}.lock"):
                with suppress(OSError):
                    os.unlink(name, dir_fd=self.directory)
        os.close(self.descriptor)  # and the lock with it, now that the name is gone


@contextmanager
def _beside(place: str | Path) -> Iterator[_Aside]:
    with ExitStack() as stack:
        with _told(place):
            _tidy(_directory(place))
            directory, name = stack.enter_context(directories.held(os.fspath(place)))
            aside = stack.enter_context(_Aside(directory, name))
        yield aside


@contextmanager
def _told(place: str | Path) -> Iterator[None]:
    """Let what the system refuses be an expected error about `place`."""
    try:
        yield
    except OSError as error:
        raise NotWritten(error, os.fspath(place)) from error


def _directory(place: str | Path) -> str:
    return os.path.dirname(os.fspath(place)) or "."


def _tidy(directory: str) -> None:
    if directory not in _collected and _collect(directory, _LINKS_STAY)[1] > _LARGE:
        _collected.add(directory)


def _collect(directory: str, links: float) -> tuple[int, int]:
    """Return how many files went, and how many names there were."""
    count, names = 0, []
    with suppress(OSError):
        names = os.listdir(directory)
    for name in names:
        if name.startswith(_NAME) and _LEFT.fullmatch(name):
            path = f"{directory}/{name}"
            with suppress(OSError):
                count += _removed_if_dead(path, links)
    return count, len(names)


def _hold(descriptor: int) -> bool:
    """Lock a file that was just made; return False if somebody who collects came between the two."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: nobody can tell that it is dead, so nobody takes it away
    return os.fstat(descriptor).st_nlink > 0


def _removed_if_dead(path: str, links: float) -> bool:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        if time.time() - status.st_mtime <= links:
            return False
        os.unlink(path)
        return True
    if not stat.S_ISREG(status.st_mode):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        # While the lock is held: who has just made it, and has not locked it yet, finds out by that (`_hold`).
        os.unlink(path)
        return True
    finally:
        os.close(descriptor)


def _random() -> str:
    return _NAME + os.urandom(8).hex()


def _fill(descriptor: int, content: bytes | str) -> None:
    left = memoryview(content.encode() if isinstance(content, str) else content)
    while left:
        left = left[os.write(descriptor, left) :]


def _finish(descriptor: int, mode: int, survives: Strength, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode)  # after the owner, whose change takes some bits away
    if survives >= Strength.ORDER:
        os.fsync(descriptor)


def _give_link(name: str, directory: int, owner: tuple[int, int]) -> None:
    """Change the owner of a link by a descriptor of the link itself: nothing can come into its place."""
    descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        os.chown(f"/proc/self/fd/{descriptor}", *owner)  # that very link (proc_pid_fd(5)), not where it leads
    finally:
        os.close(descriptor)
