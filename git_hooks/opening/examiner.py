"""One of the processes of an audit.

    python -I -m git_hooks.opening.examiner    <settings, pickled, then objects, a line each    >b"." for each chunk

A chunk is lines `NAME KIND PATH`, and an empty line at its end. What is found goes into the journal; a chunk that is
done is told by one octet. It ends when there are no more lines, or with the process that started it.

Each has its own Ruby for Puppet's parser, its own git and its own scanner: the scanner does not let go of Python's
lock, so threads would wait for each other.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from typing import IO

from enc.programs.telling import tell
from enc.settings import Settings
from enc.terms.errors import ToolkitError, bounded, one_line
from git_hooks.opening.journal import Found, Journal, Writer
from git_hooks.opening.rules import PIECE, Rules
from git_hooks.repository.all_objects import Contents
from git_hooks.repository.reading import MISSING


def examine(settings: Settings, number: int, chunks: IO[bytes], done: IO[bytes], parent: int) -> None:
    """Examine all that comes in `chunks`."""
    rules = Rules(settings)
    gc.freeze()  # what is loaded stays, and need not be gone through again and again
    gc.set_threshold(50_000)
    writer = Journal(settings.branches.opening.state).writer(number)
    contents = Contents(str(settings.branches.repository))
    try:
        chunk: dict[str, tuple[str, str]] = {}
        for line in chunks:
            if line != b"\n":
                name, kind, path = line.rstrip(b"\n").decode("utf-8", "surrogateescape").split(" ", 2)
                chunk[name] = kind, path
                continue
            if not _chunk(rules, contents, writer, chunk, parent):
                return
            chunk = {}
            done.write(b".")
            done.flush()
    finally:
        contents.close()
        writer.close()


def _chunk(
    rules: Rules, contents: Contents, writer: Writer, chunk: dict[str, tuple[str, str]], parent: int
) -> bool:
    """Examine some objects; return whether to go on."""
    for name, listed, pieces in contents.read(list(chunk), PIECE):
        if os.getppid() != parent:
            return False
        kind, path = chunk[name]
        if listed.kind == MISSING:
            writer.write(Found(name, kind, path, unchecked=("an object that is not there; run git fsck",)))
        else:
            writer.write(rules.look(name, kind, path, pieces))
    return True


def main() -> int:
    """Be one of the processes."""
    parent = os.getppid()
    settings, number = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the audit, which started us
    try:
        examine(settings, number, sys.stdin.buffer, sys.stdout.buffer, parent)
    except ToolkitError as error:
        tell(one_line(str(error)))
        return 1
    except Exception as error:  # this process's entry point: what was examined is kept, and the audit tells
        tell(f"{type(error).__name__}: {bounded(one_line(str(error)))}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
