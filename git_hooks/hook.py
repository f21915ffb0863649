"""What a hook runs when no service answers: the same work in a process of its own.

    python -I -m git_hooks.hook CONFIGURATION pre-receive|post-receive    <git's lines

Lines for the person who pushes go to stdout. Exit status 0: the push may go on
(pre-receive), all environments show what they should (post-receive); anything
else: refused, or not all. pre-receive is refused by whatever goes wrong.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from enc.programs import log
from enc.programs.entrypoint import run
from enc.programs.telling import tell
from enc.settings import Settings, config
from enc.terms.errors import ExitStatus, UsageError
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.push.membership import Membership
from git_hooks.push.post_receive import Report
from git_hooks.push.pre_receive import Judge

KINDS = ("pre-receive", "post-receive")


def main(arguments: list[str], updates: bytes) -> int:
    """Do the work of one hook."""
    if len(arguments) != 2 or arguments[1] not in KINDS:
        raise UsageError(f"use: CONFIGURATION {'|'.join(KINDS)}")
    os.umask(0o022)  # puppetserver reads what is made
    settings = config.load(Path(arguments[0]))
    log.setup(settings.log)
    return _pre(settings, updates) if arguments[1] == "pre-receive" else _post(settings, updates)


def _pre(settings: Settings, updates: bytes) -> int:
    membership = Membership(settings, time.time)
    try:
        answer = Judge(settings, membership, Usage(settings)).answer(updates, os.environ, os.getuid())
    finally:
        membership.close()
    for line in answer.lines:
        print(line)
    return ExitStatus.DONE if answer.allowed else ExitStatus.FAILED


def _post(settings: Settings, updates: bytes) -> int:
    # The push is in. A developer who hangs up now must not leave an old environment behind.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    effects = None
    if settings.pushes.effects == "compile" and settings.branches.puppetserver.urls:
        from git_hooks.effects.running import Effects  # where nobody compiles, nobody waits for it

        effects = Effects()
    with Deployer(settings.branches, domains=settings.domains) as deployer:
        report = Report(settings, deployer, Usage(settings), updates, os.environ, os.getuid(), effects=effects)
        for line in report:
            tell(line, sys.stdout)  # if nobody listens any more: the work goes on, and its record tells
    if effects is not None:
        effects.close()
    return ExitStatus.DONE if report.good else ExitStatus.FAILED


if __name__ == "__main__":
    sys.exit(run(sys.argv[-1], lambda: main(sys.argv[1:], sys.stdin.buffer.read())))
