"""Starts helper programs of the follower when many answers are due, one for each range of the list.

    python -I -m enc.answers.processes    <settings and range, pickled    >outcomes, a JSON list a line

Programs and not forked copies of the follower, which has threads: what one of
them holds at the moment of a fork (a lock of the log) is held in the copy for
ever. A program costs a tenth of a second, which pays from some thousand names on.

Each reads the copy, writes the files of its names, and says what became of
them; only the follower writes to the copy. Each holds the lock of the answers
directory with the follower (lock.py). None outlives `outcomes`: whatever ends
that (a stop, a failure) ends them. If the follower is killed, each ends with
the names that it is at.

Nothing depends on them: what they do not say is done stays on the list, and
is done by the follower itself. So a program that cannot be started, or that
an upgrade has replaced meanwhile, costs time only.

Not here: what is done with a name (work.py), when it pays (session.py).
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import astuple

from enc.answers.copy import opened
from enc.answers.layout import Layout
from enc.answers.work import CHUNK, Worker
from enc.answers.worklist import Outcome
from enc.answers.writer import AnswerWriter
from enc.programs import log
from enc.settings import Settings
from enc.terms.errors import bounded

_LOOK = 0.5
"""Seconds between two looks at whether to go on."""
_PATIENCE = 5.0
"""Seconds that a program has to end once it is told so; one chunk of names takes far less."""

Range = tuple[str, str | None]
"""Names from the first on, up to but without the second; None: to the end of the list."""


def outcomes(settings: Settings, ranges: Sequence[Range], lock: int, go_on: Callable[[], bool]) -> list[Outcome]:
    """Do the names in `ranges`; return what became of those that were done.

    The copy must not be written meanwhile. `lock`: the descriptor of the directory's lock. `go_on` is called every now
    and then, and tells whether to; what it raises ends the programs, too.
    """
    found: dict[int, bytearray] = {}
    with ExitStack() as held:
        pipes = held.enter_context(selectors.DefaultSelector())
        for first, end in ranges:
            process = _started(settings, first, end, lock)
            if process is None:
                continue
            held.callback(_end, process)
            if process.stdout is not None:
                pipes.register(process.stdout, selectors.EVENT_READ)
                found[process.stdout.fileno()] = bytearray()
        while pipes.get_map() and go_on():
            for key, _ in pipes.select(timeout=_LOOK):
                if chunk := os.read(key.fd, 1 << 18):
                    found[key.fd] += chunk
                else:
                    pipes.unregister(key.fileobj)
    # A line without its end says nothing: who wrote it was ended in the middle.
    lines = (line for received in found.values() for line in received.split(b"\n")[:-1])
    return [Outcome(*fields) for line in lines for fields in json.loads(line)]


def _started(settings: Settings, first: str, end: str | None, lock: int) -> subprocess.Popen[bytes] | None:
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lock,),
            process_group=0,  # an interrupt at a terminal is the follower's, which ends them
            cwd="/",
        )
    except OSError as error:
        log.get("follower").warning("cannot start another process to write answers: %s", error.strerror)
        return None
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin:  # it is gone already, and says nothing
            process.stdin.write(pickle.dumps((settings, first, end)))  # names are anything: no arguments
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a program: neither itself nor our ends of its pipes."""
    if process.stdout is not None:
        process.stdout.close()
    process.terminate()  # nothing, if it has ended
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Be one of the programs."""
    parent = os.getppid()
    settings, first, end = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the follower, which started us
    log.setup(settings.log)
    gc.disable()
    layout = Layout(settings.answers.directory)
    try:
        with opened(layout.copy, settings) as copy, AnswerWriter(layout) as writer:
            worker = Worker(layout, settings, writer)
            while os.getppid() == parent and (names := copy.worklist.dirty(CHUNK, first, end)):
                done = [astuple(outcome) for outcome in worker.names(copy, names)]
                sys.stdout.buffer.write(json.dumps(done).encode() + b"\n")
                sys.stdout.buffer.flush()
                first = names[-1][0] + "\0"
    except Exception as error:  # this process's entry point; the follower does what it did not
        words = "a process that writes answers failed: %s: %s"
        log.get("follower").warning(words, type(error).__name__, bounded(str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
