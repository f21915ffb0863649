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
caller refuses what it cannot decide.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from git_hooks.puppet_code.calls import Kind, ParserMissing, Reading, UnsoundAnswer, parse
from git_hooks.puppet_code.process import MEMORY, Ended, KeptProcess, Late

_PROGRAM = Path(__file__).parent / "reader.rb"
RUBIES = ("/opt/puppetlabs/puppet/bin/ruby", "/usr/bin/ruby")
"""Where Puppet's own packages and Debian's have the Ruby that knows Puppet."""
_ANSWER = 10.0
"""Seconds for one piece of code; what people write takes a fraction of one."""
_MORE = 5.0
"""Seconds more until a process that has not stopped by itself is ended."""
_ASKED = 20_000
"""After so many questions the process makes way for a new one."""
_REMEMBERED = 100_000
"""Calls and pieces of code that are remembered together; some 30 MB. Code that means harm can have 100,000 in one."""


class Worker:
    """Reads Puppet code. May be used from several threads; they wait for each other (fairly: parser.py)."""

    def __init__(self, ruby: Path | None = None) -> None:
        """Start nothing yet. `ruby`: one that has Puppet's library; None: that of the packages."""
        self._ruby = ruby
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._process: KeptProcess | None = None
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
        except Ended as error:
            late = isinstance(error, Late)
            self._end()
        if not fresh and not late:
            # It may have been ended by somebody since the last question, and not over this one.
            try:
                return self._ask(kind, content, longest)
            except Ended as error:
                late = isinstance(error, Late)
                self._end()
        words = f"Puppet's parser did not finish (within {longest:.1f} s and {MEMORY >> 20} MB)"
        return Reading((), words, late=late)

    def _ask(self, kind: Kind, content: bytes, longest: float) -> Reading:
        process = self._process or self._start()
        self._asked += 1
        question = b"%s %d %.3f\n" % (kind.encode(), len(content), longest) + content
        try:
            return parse(process.ask(question, longest + _MORE))
        except UnsoundAnswer as error:
            raise Ended from error

    def _start(self) -> KeptProcess:
        ruby = self._ruby or next((path for path in map(Path, RUBIES) if path.exists()), None)
        if ruby is None:
            raise ParserMissing(
                f"Puppet code cannot be read: no Ruby with Puppet at {' or '.join(RUBIES)}; "
                "install puppet-agent, or name the Ruby that has Puppet's library in branches.ruby"
            )
        try:
            self._process = KeptProcess([str(ruby), str(_PROGRAM)])
        except OSError as error:
            raise ParserMissing(f"Puppet code cannot be read: {ruby} cannot be started: {error.strerror}") from error
        except Ended as error:
            raise ParserMissing(
                f"Puppet code cannot be read: `{ruby} {_PROGRAM}` does not start; run it to see why"
            ) from error
        self._asked = 0
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.end()
