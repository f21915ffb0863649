"""Writes the tree of a pushed commit out for a while, so that a sandbox can be shown it.

Owns a directory below /var/tmp: on disk, reachable for nobody's account (which is
who root's sandboxes are), and private to the service where systemd runs it. Its
inner name is a secret, and the outer directory cannot be listed. What stands in it
is what a deploy would lay out (trees.unfit), written anew: no file is shared with
the store, and no link leads out.

Failure modes: `NotWritten`. Killed at any moment, it leaves
a directory, which the next one removes when it is a day old.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from enc.programs.machine_trouble import reason
from enc.terms.errors import ToolkitError
from git_hooks.push.incoming import Incoming
from git_hooks.repository.trees import DIRECTORY, LINK, LONGEST_TARGET, PROGRAM, SUBMODULE, Entry, join, unfit
from git_hooks.store.files import write_file

_PLACE = "/var/tmp"  # noqa: S108 - names there are secret, and made anew
_PREFIX = "puppetmaster-check-"
_FILES = 200_000
_BYTES = 2 << 30
"""What is written out at most: thirty times the largest tree that is known."""
_TOGETHER = 4 << 20
"""Bytes of contents in memory at a time."""
_OLD = 86_400.0


class NotWritten(ToolkitError):
    """A tree with more than is written out, or a disk that does not take it."""


@contextmanager
def checkout(objects: Incoming, tree: str) -> Iterator[Path]:
    """Give a directory with the files of `tree`; raise `NotWritten`."""
    _sweep()
    outer = Path(_PLACE, f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}")
    inner = outer / secrets.token_hex(16)
    try:
        try:
            outer.mkdir(mode=0o711)
            inner.mkdir(mode=0o755)
            _write(objects, tree, inner)
        except OSError as error:
            raise NotWritten(f"the pushed tree cannot be written out below {_PLACE}: {reason(error)}") from error
        yield inner
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _write(objects: Incoming, tree: str, place: Path) -> None:
    files: list[tuple[str, Entry]] = []
    for path, entry in _entries(objects, tree, ""):
        target = place / path
        if entry.mode in (DIRECTORY, SUBMODULE):
            target.mkdir(mode=0o755)
        elif entry.mode == LINK:
            target.symlink_to(objects.blob(entry.id).decode("utf-8", "surrogateescape"))
        else:
            files.append((str(target), entry))
        if len(files) > _FILES:
            raise NotWritten(f"the tree has more than {_FILES} files")
    sizes = objects.sizes(entry.id for _, entry in files)
    if sum(sizes[entry.id] for _, entry in files) > _BYTES:
        raise NotWritten(f"the tree has more than {_BYTES >> 20} MB")
    part: list[tuple[str, Entry]] = []
    together = 0
    for file in files:
        part.append(file)
        together += sizes[file[1].id]
        if together > _TOGETHER:
            _write_all(objects, part)
            part, together = [], 0
    _write_all(objects, part)


def _write_all(objects: Incoming, files: list[tuple[str, Entry]]) -> None:
    contents = objects.blobs(entry.id for _, entry in files)
    for (target, entry), content in zip(files, contents, strict=True):
        write_file(target, content, 0o555 if entry.mode == PROGRAM else 0o444, sync=False)


def _entries(objects: Incoming, tree: str, path: str) -> Iterator[tuple[str, Entry]]:
    """Yield what a deploy would lay out, directories before what is in them."""
    seen = set()
    for entry in objects.raw_tree(tree):
        if entry.name in seen or unfit(entry, path, lambda name: _target(objects, name)):
            continue
        seen.add(entry.name)
        where = join(path, entry.name)
        yield where, entry
        if entry.mode == DIRECTORY:
            yield from _entries(objects, entry.id, where)


def _target(objects: Incoming, name: str) -> bytes | None:
    return objects.content(Entry(LINK, "", name), LONGEST_TARGET)


def _sweep() -> None:
    for left in Path(_PLACE).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = left.lstat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _OLD:
                shutil.rmtree(left, ignore_errors=True)
