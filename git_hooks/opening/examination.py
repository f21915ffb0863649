"""Has objects examined by several processes (examiner.py), and tells how far they are.

Chunks are handed out as they are asked for, so a process that has the large files gets fewer. Each process has two: it
does not wait. None outlives the examination.

Failure modes: a process that fails ends the examination with its own words; what was examined is kept.
"""

from __future__ import annotations

import os
import pickle
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import IO, NamedTuple

from enc.settings import Settings
from enc.terms.errors import ToolkitError
from git_hooks.opening.journal import Journal

_CHUNK = 200
_AT_ONCE = 2
"""Chunks that a process has at once."""
_FEW = 4000
"""Objects for which one process is enough: another takes half a second to begin."""
_LOOK = 0.5
_CHECKPOINT = 20.0
"""Seconds between two checkpoints of the journal."""


class ToExamine(NamedTuple):
    """An object that is to be examined."""

    name: str
    kind: str
    path: str
    """Where it stands; empty: nowhere."""


class _Process(NamedTuple):
    popen: subprocess.Popen[bytes]
    words: IO[bytes]
    waiting: list[int]
    """How many objects there are in each chunk that it has."""


def examine(
    settings: Settings, journal: Journal, objects: Sequence[ToExamine], progress: Callable[[int], None]
) -> None:
    """Have all `objects` examined; `progress` is told how many are, now and then. Raise `ToolkitError`."""
    if not objects:
        return
    chunks = _chunks(objects)
    number = 1 if len(objects) <= _FEW else settings.branches.opening.processes
    done, noted = 0, time.monotonic()
    with ExitStack() as held:
        pipes = held.enter_context(selectors.DefaultSelector())
        for place in range(number):
            process = _started(settings, place, held)
            _feed(process, chunks, _AT_ONCE)
            assert process.popen.stdout is not None
            pipes.register(process.popen.stdout, selectors.EVENT_READ, process)
        while pipes.get_map():
            for key, _ in pipes.select(timeout=_LOOK):
                process = key.data
                octets = os.read(key.fd, 64)
                done += sum(process.waiting.pop(0) for _ in octets)
                if octets:
                    _feed(process, chunks, len(octets))
                else:
                    pipes.unregister(key.fileobj)
                    _ended(process)
            progress(done)
            if time.monotonic() - noted > _CHECKPOINT:
                journal.checkpoint()
                noted = time.monotonic()
    journal.checkpoint()


def _chunks(objects: Sequence[ToExamine]) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(objects), _CHUNK):
        part = objects[start : start + _CHUNK]
        lines = (f"{one.name} {one.kind} {one.path.replace(chr(10), '?')}\n" for one in part)
        yield len(part), "".join(lines).encode("utf-8", "surrogateescape") + b"\n"


def _feed(process: _Process, chunks: Iterator[tuple[int, bytes]], most: int) -> None:
    """Give a process more, or tell it that there is no more."""
    stream = process.popen.stdin
    assert stream is not None
    with suppress(BrokenPipeError):  # it has ended, and its words say why
        for _ in range(most):
            size, lines = next(chunks, (0, b""))
            if not size:
                stream.close()
                return
            process.waiting.append(size)
            stream.write(lines)
            stream.flush()


def _started(settings: Settings, number: int, held: ExitStack) -> _Process:
    words = tempfile.TemporaryFile()  # noqa: SIM115 - `held` closes it
    held.callback(words.close)
    try:
        popen = subprocess.Popen(
            [sys.executable, "-I", "-m", "git_hooks.opening.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            process_group=0,  # an interrupt at a terminal is the audit's, which ends them
            cwd="/",
        )
    except OSError as error:
        raise ToolkitError(f"a process of the audit cannot be started: {error.strerror}") from error
    process = _Process(popen, words, [])
    held.callback(_end, process)
    assert popen.stdin is not None
    with suppress(BrokenPipeError):
        popen.stdin.write(pickle.dumps((settings, number)))
        popen.stdin.flush()
    return process


def _ended(process: _Process) -> None:
    """Raise `ToolkitError` if a process ended before it was done."""
    status = process.popen.wait()
    if status or process.waiting:
        process.words.seek(0)
        said = process.words.read(65_536).decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise ToolkitError(f"a process of the audit ended with status {status}: {said or 'it said nothing'}")


def _end(process: _Process) -> None:
    for stream in (process.popen.stdin, process.popen.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.popen.kill()  # nothing, if it has ended
    process.popen.wait()
