"""Lets the checks of one push ask Puppet's parser, for a bounded time in all.

The parser is this process's, whoever asks: it is kept by a service, and ends
with a hook.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from git_hooks.puppet_code.calls import Kind, Reading

if TYPE_CHECKING:
    from git_hooks.puppet_code.parser import Parser

_LONGEST = 60.0
"""Seconds of the parser for one push, waiting for others not counted; a thousand changed manifests take a few."""


@cache
def _parser(ruby: Path | None) -> Parser:
    from git_hooks.puppet_code.parser import Parser  # most pushes to projects' branches bring Puppet code, others none

    return Parser(ruby)


class CodeReader:
    """Reads the code of one push."""

    def __init__(self, ruby: Path | None, who: str, longest: float = _LONGEST) -> None:
        """Start nothing yet. `who` pushes; `longest`: seconds for all code together."""
        self._ruby = ruby
        self._who = who
        self._longest = longest
        self._took = 0.0

    def read(self, name: str, kind: Kind, content: Callable[[], bytes]) -> Reading:
        """Return what the code calls; raise `ParserMissing` if nobody can tell."""
        if self._took > self._longest:
            words = f"the push has more Puppet code than can be read in {self._longest:.0f} s; push it in parts"
            return Reading((), words)
        reading, took = _parser(self._ruby).read(self._who, name, kind, content)
        self._took += took
        return reading
