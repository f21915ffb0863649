"""One process that is kept, and answers a line for each question: how it is started, bounded, asked and ended.

What it is asked about is hostile. So it has no more than it needs: an empty
environment, no files to write, bounded memory, time and processor time. Killed
at any moment: nothing is left; it ends with its standard input.

Owns the process. Not here: what is asked (worker.py, lint.py). Failure modes:
`Ended`, `Late`, after which the caller ends it; OSError if it cannot be started.
"""

from __future__ import annotations

import os
import resource
import select
import subprocess
from collections.abc import Sequence
from time import monotonic

START = 60.0
"""Seconds until the process must say that it is there: a machine under load takes many times the usual second."""
MEMORY = 1 << 30
"""Bytes of address space. Ruby with Puppet has 300 MB of it."""
_WRITE = 10.0
_LONGEST = 32 << 20
"""Bytes of an answer that are read."""
_PROCESSOR = 600
"""Seconds of the processor for one process: the end of one that nobody is left to end, whose hook was killed."""

_BOUNDS = (
    (resource.RLIMIT_AS, MEMORY),
    (resource.RLIMIT_CPU, _PROCESSOR),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 64),
)


class Ended(Exception):
    """The process is gone, or answers with nonsense."""


class Late(Ended):
    """It has not answered in time."""


class KeptProcess:
    """A program that is asked one question after the other. For one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it, and wait for its first line; raise OSError or `Ended`."""
        self._unread = b""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Nothing of ours: no RUBYOPT, no git's variables, no home with settings in it.
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"},
            cwd="/",
            start_new_session=True,
        )
        for bound, most in _BOUNDS:
            resource.prlimit(self._process.pid, bound, (most, most))
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        try:
            self._line(START)
        except Ended:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, question: bytes, longest: float) -> bytes:
        """Return the line that answers a question within `longest` seconds; raise `Ended` or `Late`."""
        self._send(question)
        return self._line(longest)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, question: bytes) -> None:
        assert self._process.stdin is not None
        left = memoryview(question)
        while left:
            if not select.select([], [self._process.stdin], [], _WRITE)[1]:
                raise Ended
            try:
                left = left[os.write(self._process.stdin.fileno(), left) :]
            except OSError as error:
                raise Ended from error

    def _line(self, longest: float) -> bytes:
        """Return the next line of the process's output, which must be there within `longest` seconds."""
        assert self._process.stdout is not None
        until = monotonic() + longest
        parts = [self._unread]
        size = len(self._unread)
        while b"\n" not in parts[-1]:
            left = until - monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Late
            if size > _LONGEST:
                raise Ended
            part = os.read(self._process.stdout.fileno(), 1 << 20)
            if not part:
                raise Ended
            parts.append(part)
            size += len(part)
        line, self._unread = b"".join(parts).split(b"\n", 1)
        return line
