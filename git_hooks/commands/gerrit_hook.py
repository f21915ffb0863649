"""`branch-manager gerrit-hook`: what Gerrit's hooks plugin calls, through a script of two lines."""

from __future__ import annotations

import argparse
import os
import sys
import time

from enc.commands.call import Call
from enc.programs.telling import tell
from enc.terms.errors import ExitStatus, ToolkitError
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.push import gerrit
from git_hooks.push.membership import Membership
from git_hooks.push.pre_receive import Judge
from git_hooks.push.verdict import refusal

SUMMARY = "check a push that bypasses review, or deploy a ref that Gerrit updated; called by Gerrit's hooks plugin"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("hook", metavar="HOOK", choices=gerrit.KINDS, help=", ".join(gerrit.KINDS))
    parser.add_argument(
        "words", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="the arguments with which Gerrit calls the hook"
    )


def run(call: Call) -> int:
    """Do the work of one hook; whatever goes wrong before a ref moves refuses it."""
    event = gerrit.read(call.arguments.words)
    if not gerrit.concerns(call.settings, os.environ):
        return ExitStatus.DONE
    if call.arguments.hook == "ref-updated":
        return _after(call, event)
    try:
        allowed, lines = _update(call, event) if call.arguments.hook == "ref-update" else _commit(call, event)
    except ToolkitError as error:
        allowed, lines = False, [refusal(error)]
    for line in lines:
        print(line)
    return ExitStatus.DONE if allowed else ExitStatus.FAILED


def _update(call: Call, event: gerrit.Event) -> tuple[bool, list[str]]:
    membership = Membership(call.settings, time.time)
    try:
        judge = Judge(call.settings, membership, Usage(call.settings))
        answer = gerrit.before(judge, event, os.environ, os.getuid())
    finally:
        membership.close()
    return answer.allowed, answer.lines


def _commit(call: Call, event: gerrit.Event) -> tuple[bool, list[str]]:
    verdict = gerrit.received(call.settings, event, os.environ)
    return verdict.allowed, verdict.lines()


def _after(call: Call, event: gerrit.Event) -> int:
    if not event.ours:
        return ExitStatus.DONE
    with Deployer(call.settings.branches, domains=call.settings.domains) as deployer:
        report = gerrit.after(call.settings, deployer, Usage(call.settings), event, os.environ, os.getuid())
        for line in report:
            tell(line, sys.stdout)  # if nobody listens: the work goes on, and its record tells
    return ExitStatus.DONE if report.good else ExitStatus.FAILED
