"""`branch-manager audit-secrets`: every object of the repository, with all its history, examined for secrets."""

from __future__ import annotations

import argparse
import sys
import time

from enc.commands.call import Call, json_option
from enc.programs.telling import tell
from enc.terms.errors import ExitStatus
from git_hooks.opening.audit import alone, audit, current
from git_hooks.opening.rules import Rules

SUMMARY = "look for secrets and private keys in the whole history, and write the verdict that publish needs"

_EVERY = 5.0
"""Seconds between two lines about how far it is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--last", action="store_true", help="show the verdict that is kept; look at nothing")
    json_option(parser)


def run(call: Call) -> int:
    """Audit; exit status 4 if anything is open or was not looked at."""
    if call.arguments.last:
        verdict = current(call.settings)
    else:
        with alone(call.settings):
            verdict, _ = audit(call.settings, Rules(call.settings), Told())
    call.show(verdict.document(), list(verdict.lines()))
    return ExitStatus.DONE if verdict.is_clean else ExitStatus.FOUND


class Told:
    """Tells on stderr how far an audit is: at each step, and now and then within one that takes long."""

    def __init__(self) -> None:
        self._last = ("", 0.0)

    def __call__(self, what: str, done: int, of: int) -> None:
        """Be told by the audit."""
        before, at = self._last
        now = time.monotonic()
        if what == before and (now - at < _EVERY or not of):
            return
        self._last = (what, now)
        if not of:
            tell(f"{what} …")
        elif what == before or sys.stderr.isatty():
            tell(f"{what}: {done:,} of {of:,} objects ({100 * done // of} %)")
