"""Keeps one process with puppet-lint, and asks it about one manifest after the other.

puppet-lint reads a manifest some hundred times, and some of its checks take the
square of its length: a manifest with 4,096 resources takes minutes. So each has
a moment (`_ANSWER`); after that the process is ended, the manifest was not
checked, and the next one gets a new process. Nothing of a manifest is run
(process.py has the bounds), and no file of the pushed tree is loaded: which
checks there are says this machine, and which of them count a `.puppet-lint.rc`
that operators have, of which only `--CHECK-check` and `--no-CHECK-check` are read.

Failure modes: no Ruby with puppet-lint on this machine: `LintMissing`. What it
could not read: `NotLinted`, which says why.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from enc.terms.errors import ToolkitError
from git_hooks.puppet_code.process import Ended, KeptProcess, Late
from git_hooks.puppet_code.worker import RUBIES

_PROGRAM = Path(__file__).parent / "lint.rb"
_ANSWER = 2.0
"""Seconds for one manifest; one of 200 lines takes 20 ms."""
_ASKED = 5_000
"""After so many questions the process makes way for a new one."""
_OPTION = re.compile(r"\s*--(no-)?([a-z0-9_]{1,80})-check\s*", re.ASCII)
_LINES = 1000


class LintMissing(ToolkitError):
    """There is no puppet-lint on this machine."""


class NotLinted(ToolkitError):
    """puppet-lint has nothing to say of a manifest, because it failed over it or took too long."""


class TooSlow(NotLinted):
    """It took too long."""


class _Failed(NotLinted):
    """The process ended."""


class Remark(NamedTuple):
    """One thing that puppet-lint does not like."""

    line: int
    check: str
    words: str


class Choice(NamedTuple):
    """Which of its checks count, where that is not as puppet-lint has it by itself."""

    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()


def choice(options: bytes) -> Choice:
    """Return what a `.puppet-lint.rc` says about checks; the later line wins, and other options are passed over."""
    said: dict[str, bool] = {}
    for line in options.decode("utf-8", "replace").split("\n")[:_LINES]:
        if match := _OPTION.fullmatch(line):
            said[match[2]] = match[1] is None
    off, on = (tuple(sorted(name for name, is_on in said.items() if is_on == wanted)) for wanted in (False, True))
    return Choice(off, on)


class Linter:
    """Asks puppet-lint. May be used from several threads; they wait for each other, for one manifest at a time."""

    def __init__(self, ruby: Path | None = None) -> None:
        """Start nothing yet. `ruby`: one that has puppet-lint; None: the first of the packages' that has it."""
        self._rubies: Sequence[str] = RUBIES if ruby is None else (str(ruby),)
        self._lock = threading.Lock()
        self._process: KeptProcess | None = None
        self._asked = 0

    def lint(self, path: str, content: bytes, choice: Choice) -> list[Remark]:
        """Return what puppet-lint says of a manifest at `path`; raise `LintMissing` or `NotLinted`."""
        asked = {"path": path, "off": choice.off, "on": choice.on, "length": len(content)}
        question = json.dumps(asked).encode("ascii") + b"\n" + content
        with self._lock:
            if self._asked >= _ASKED:
                self._end()
            fresh = self._process is None
            try:
                return self._ask(question)
            except _Failed:
                if fresh:
                    raise
            # It may have been ended by somebody since the last question, and not over this one.
            return self._ask(question)

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._end()

    def _ask(self, question: bytes) -> list[Remark]:
        process = self._process or self._start()
        self._asked += 1
        try:
            answer = json.loads(process.ask(question, _ANSWER))
            if "fault" in answer:
                raise NotLinted(str(answer["fault"]))
            return [Remark(int(line), str(check), str(words)) for line, check, words in answer["problems"]]
        except Late as error:
            self._end()
            raise TooSlow(f"puppet-lint does not finish within {_ANSWER:.0f} s") from error
        except (Ended, ValueError, KeyError, TypeError) as error:
            self._end()
            raise _Failed("puppet-lint fails over it") from error

    def _start(self) -> KeptProcess:
        for ruby in self._rubies:
            try:
                self._process = KeptProcess([ruby, str(_PROGRAM)])
            except (OSError, Ended):
                continue  # not there, or it does not have puppet-lint
            self._rubies, self._asked = (ruby,), 0
            return self._process
        raise LintMissing(
            f"puppet-lint is not installed for {' or '.join(self._rubies)} (apt install puppet-lint, or name the Ruby "
            "that has it in pushes.lint_ruby)"
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()
