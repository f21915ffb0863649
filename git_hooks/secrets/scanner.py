"""The wall to kingfisher's engine: tokens of several hundred services, told by their form. Nobody else loads it.

Only its rules and its scanner are used, which read what they are given and open
no connection. The same package can send what it finds to the service that
issued it, to ask whether it still counts, or to revoke it: no name of that is
imported here, nor may be anywhere (tests/unit/test_walls.py).

Compiling the rules takes some seconds, loading what was compiled half of one;
so it is kept in a directory of ours, which nobody else may write. The engine's
own variable KF_RULE_CACHE_DIR names another one, for several repositories.

Failure modes: the package is not installed, or cannot be loaded: `ScannerMissing`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.counted import counted
from enc.terms.errors import ToolkitError

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner as Native

_OURS = frozenset(("betterleaks.generic-credential-uri", "betterleaks.private-key"))
"""What our own rules tell better: with what is harmless left out, and in more forms."""
_LONGEST = 5.0
"""Seconds for one file; 10 MB of what is worst take two."""


class ScannerMissing(ToolkitError):
    """The engine cannot be used on this machine."""


class Token(NamedTuple):
    """What the engine has found."""

    line: int
    rule: str
    secret: str


class Scanner:
    """Scans contents. May be used from several threads."""

    def __init__(self, cache: Path) -> None:
        """Load the rules; `cache` is made if it is not there. Raise `ScannerMissing`."""
        installed()
        from kingfisher_sdk import Rules
        from kingfisher_sdk import Scanner as Scans

        with suppress(OSError):  # without it, it takes some seconds each time
            cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            rules = Rules(cache_dir=None if "KF_RULE_CACHE_DIR" in os.environ else cache)
            self._scans: Native = Scans(rules)
        except Exception as error:
            raise ScannerMissing(f"tokens of services cannot be recognized: {type(error).__name__}: {error}") from error
        self.version = f"{installed()}, {counted(len(rules), 'rule')}"

    def scan(self, content: bytes) -> Iterator[Token]:
        """Yield what is found; raise TimeoutError."""
        for found in self._scans.scan(content, timeout=_LONGEST):
            if found.visible and found.rule_id not in _OURS:
                yield Token(found.location["line"], found.rule_id, found.secret)


def installed() -> str:
    """Return which engine is installed, without loading its rules; raise `ScannerMissing`."""
    from importlib.metadata import version

    try:
        from kingfisher_sdk import Rules, Scanner  # noqa: F401 - whether it can be loaded

        return f"kingfisher {version('kingfisher-secret-scanner')}"
    except ImportError as error:
        raise ScannerMissing(
            f"tokens of services cannot be recognized: {error}; install kingfisher-secret-scanner"
        ) from error
