"""`branch-manager wait`: until a commit is live, for jobs that go on then."""

from __future__ import annotations

import argparse
import re
import time

from enc.commands.call import Call, json_option
from enc.settings import Duration
from enc.terms.errors import ExitStatus, ToolkitError, UsageError, bounded, one_line
from enc.terms.names import EnvironmentName
from git_hooks.branches.arrival import Arrival, look, mark
from git_hooks.commands import target
from git_hooks.commands.target import opened
from git_hooks.mirror.failing import failing
from git_hooks.push.refusals import everybodys

SUMMARY = "wait until a commit is live everywhere it belongs; fail as soon as it is certain that it will not be"

_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
_PAUSE = 0.25
"""Seconds between two looks at whether anything has changed."""
_ANYWAY = 10.0
"""Seconds after which everything is looked at though nothing seems to have changed."""
_MOST_SAID = 500
"""Characters of why a commit was refused; `refusals` has all."""


class NotLive(ToolkitError):
    """The commit does not go live, or did not in time."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("commit", metavar="COMMIT", help="its id, or at least the first 7 characters")
    parser.add_argument("--environment", metavar="ENVIRONMENT", help="only in this environment, or that of this branch")
    parser.add_argument("--timeout", metavar="TIME", default="5m", help="wait at most this long: 30s, 10m (default 5m)")
    json_option(parser)


def run(call: Call) -> int:
    """Wait; exit status 1 and the reason if it does not go live."""
    arguments = call.arguments
    commit = arguments.commit.lower()
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"{one_line(arguments.commit[:70])!r} is not a commit id: write at least 7 hexadecimal digits")
    only = None if arguments.environment is None else target.environment(arguments.environment, call)
    try:
        longest = Duration.parse(arguments.timeout)
    except ValueError as error:
        raise UsageError(f"--timeout {one_line(arguments.timeout[:60])!r}: write {error}") from error
    began = time.monotonic()
    found = _wait(call, commit, only, began + longest)
    if found.over:
        raise NotLive(bounded(found.over, _MOST_SAID), where=commit[:10])
    if found.waits:
        raise NotLive(f"not live after {arguments.timeout}: {found.waits}", where=commit[:10])
    took = time.monotonic() - began
    document = {"commit": found.commit, "environments": list(found.live), "waited_seconds": round(took, 3)}
    call.show(document, f"{commit[:10]} is live in {', '.join(found.live)}")
    return ExitStatus.DONE


def _wait(call: Call, commit: str, only: EnvironmentName | None, until: float) -> Arrival:
    settings = call.settings.branches
    while True:
        before, looked = mark(settings), time.monotonic()
        with opened(call) as (deployer, refs):
            found = look(commit, only, deployer, refs, lambda name: _refused(call, name))
        if found.over or not found.waits or time.monotonic() >= until:
            return found
        while mark(settings) == before and time.monotonic() < min(until, looked + _ANYWAY):
            time.sleep(min(_PAUSE, max(0.0, until - time.monotonic())))


def _refused(call: Call, commit: str) -> str:
    """Return why a commit was refused that no branch has: here, or as the forge has it."""
    for one in failing(call.settings.branches).tries:
        if one.commit and one.commit.startswith(commit):
            return f"{one.subject}: {one.reason}"
    for refusal in reversed(everybodys(str(call.settings.branches.repository))):
        if refusal.new.startswith(commit):
            return f"push {refusal.push} of {refusal.who}: {refusal.verdict}"
    return ""
