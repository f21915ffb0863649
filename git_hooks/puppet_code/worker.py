"""Keeps one process with Puppet's parser, and asks it about one piece of code after the other.

Starting Ruby with Puppet takes most of a second, an answer a millisecond; so a
service keeps the process, and a hook that serves itself starts one only when a
push brings Puppet code. Owns the process, its bounds, and what is remembered of
answers (by the code's own name, for code does not change under its object id).

The code that is asked about is hostile. The parser (reader.rb) evaluates
nothing, and the process has no more than it needs: an empty environment, no
files to write, bounded memory and time. It stops by itself over what takes too
long; if it does not, or ends over a piece of code, it is ended, that piece is
unreadable, and the next one gets a new process.

Failure modes: no Ruby with Puppet on this machine: `ParserMissing`, and the
caller refuses what it cannot decide. Killed at any moment: nothing is left, the
process ends with its standard input, or with its time of the processor.
"""

from __future__ import annotations

import os
import resource
import select
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from git_hooks.puppet_code.calls import Kind, ParserMissing, Reading, UnsoundAnswer, parse

_PROGRAM = Path(__file__).parent / "reader.rb"
RUBIES = ("/opt/puppetlabs/puppet/bin/ruby", "/usr/bin/ruby")
"""Where Puppet's own packages and Debian's have the Ruby that knows Puppet."""
_START = 60.0
"""Seconds until the process must say that it is there: a machine under load takes many times the usual second."""
_ANSWER = 10.0
"""Seconds for one piece of code; what people write takes a fraction of one."""
_MORE = 5.0
"""Seconds more until a process that has not stopped by itself is ended."""
_MEMORY = 1 << 30
"""Bytes of address space. Ruby with Puppet has 300 MB of it."""
_LONGEST = 32 << 20
"""Bytes of an answer that are read."""
_ASKED = 20_000
"""After so many questions the process makes way for a new one."""
_REMEMBERED = 100_000
"""Calls and pieces of code that are remembered together; some 30 MB. Code that means harm can have 100,000 in one."""
_PROCESSOR = 600
"""Seconds of the processor for one process: the end of one that nobody is left to end, whose hook was killed."""

_BOUNDS = (
    (resource.RLIMIT_AS, _MEMORY),
    (resource.RLIMIT_CPU, _PROCESSOR),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 64),
)


class _Ended(Exception):
    """The process is gone, or answers with nonsense."""


class _Late(_Ended):
    """It has not answered in time."""


class Worker:
    """Reads Puppet code. May be used from several threads; they wait for each other (fairly: parser.py)."""

    def __init__(self, ruby: Path | None = None) -> None:
        """Start nothing yet. `ruby`: one that has Puppet's library; None: that of the packages."""
        self._ruby = ruby
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._asked = 0
        self._known: dict[tuple[str, Kind], Reading] = {}
        self._remembered = 0

    def read(self, name: str, kind: Kind, content: Callable[[], bytes], longest: float | None = None) -> Reading:
        """Return what the code `name` (its object id) calls; `content` is fetched if that is not known yet.

        `longest`: seconds that it may take; None: as long as any code. Raise `ParserMissing` where no Puppet can be
        asked.
        """
        with self._lock:
            known = self.known(name, kind)
            if known is None:
                known = self._read(kind, content(), _ANSWER if longest is None else longest)
                self._remember((name, kind), known)
            return known

    def known(self, name: str, kind: Kind) -> Reading | None:
        """Return what is known of the code, without waiting for anybody."""
        with self._looking:
            return self._known.get((name, kind))

    def start(self) -> None:
        """Have the process there; raise `ParserMissing` where no Puppet can be asked."""
        with self._lock:
            if self._asked >= _ASKED:
                self._end()
            if self._process is None:
                self._start()

    def _remember(self, code: tuple[str, Kind], reading: Reading) -> None:
        if reading.fault and not reading.syntax:
            return  # the parser failed, perhaps because the machine was busy: it may be asked again
        if reading.texts:
            return  # there may be secrets among them
        with self._looking:
            self._remembered += 1 + reading.size
            if self._remembered > _REMEMBERED:
                self._known.clear()
                self._remembered = 1 + reading.size
            self._known[code] = reading

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._end()

    def _read(self, kind: Kind, content: bytes, longest: float) -> Reading:
        if self._asked >= _ASKED:
            self._end()
        fresh = self._process is None
        late = False
        try:
            return self._ask(kind, content, longest)
        except _Ended as error:
            late = isinstance(error, _Late)
            self._end()
        if not fresh and not late:
            # It may have been ended by somebody since the last question, and not over this one.
            try:
                return self._ask(kind, content, longest)
            except _Ended as error:
                late = isinstance(error, _Late)
                self._end()
        words = f"Puppet's parser did not finish (within {longest:.1f} s and {_MEMORY >> 20} MB)"
        return Reading((), words, late=late)

    def _ask(self, kind: Kind, content: bytes, longest: float) -> Reading:
        process = self._process or self._start()
        self._asked += 1
        self._send(process, b"%s %d %.3f\n" % (kind.encode(), len(content), longest) + content)
        try:
            return parse(self._line(process, longest + _MORE))
        except UnsoundAnswer as error:
            raise _Ended from error

    def _start(self) -> subprocess.Popen[bytes]:
        ruby = self._ruby or next((path for path in map(Path, RUBIES) if path.exists()), None)
        if ruby is None:
            raise ParserMissing(
                f"Puppet code cannot be read: no Ruby with Puppet at {' or '.join(RUBIES)}; "
                "install puppet-agent, or name the Ruby that has Puppet's library in branches.ruby"
            )
        try:
            process = subprocess.Popen(
                [str(ruby), str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Nothing of ours: no RUBYOPT, no git's variables, no home with settings in it.
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ParserMissing(f"Puppet code cannot be read: {ruby} cannot be started: {error.strerror}") from error
        self._process, self._unread, self._asked = process, b"", 0
        for bound, most in _BOUNDS:
            resource.prlimit(process.pid, bound, (most, most))
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        try:
            self._line(process, _START)
        except _Ended as error:
            self._end()
            raise ParserMissing(
                f"Puppet code cannot be read: `{ruby} {_PROGRAM}` does not start; run it to see why"
            ) from error
        return process

    def _send(self, process: subprocess.Popen[bytes], question: bytes) -> None:
        assert process.stdin is not None
        left = memoryview(question)
        while left:
            if not select.select([], [process.stdin], [], _ANSWER)[1]:
                raise _Ended
            try:
                left = left[os.write(process.stdin.fileno(), left) :]
            except OSError as error:
                raise _Ended from error

    def _line(self, process: subprocess.Popen[bytes], longest: float) -> bytes:
        """Return the next line of the process's output, which must be there within `longest` seconds."""
        from time import monotonic

        assert process.stdout is not None
        until = monotonic() + longest
        parts = [self._unread]
        size = len(self._unread)
        while b"\n" not in parts[-1]:
            left = until - monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise _Late
            if size > _LONGEST:
                raise _Ended
            part = os.read(process.stdout.fileno(), 1 << 20)
            if not part:
                raise _Ended
            parts.append(part)
            size += len(part)
        line, self._unread = b"".join(parts).split(b"\n", 1)
        return line

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
