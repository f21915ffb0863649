"""`branch-manager publish`: chosen branches go to a public copy, if nothing in the history is a secret."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.programs.times import iso
from git_hooks.commands.audit_secrets import Told
from git_hooks.opening.audit import alone
from git_hooks.opening.publish import Tip, check_address, chosen, cleared, push
from git_hooks.opening.rules import Rules

SUMMARY = "push the site's branches to a public copy; refuses without a clean and current verdict of audit-secrets"

_STATES = {
    " ": "moved",
    "+": "moved",
    "*": "new",
    "=": "already there",
}
"""What git's --porcelain says of a ref (git-push(1))."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("remote", metavar="REMOTE", help="https://HOST/PATH or ssh://USER@HOST/PATH")
    parser.add_argument("branches", metavar="BRANCH", nargs="*", help="default: branches.opening.branches")
    parser.add_argument("--dry-run", "-n", action="store_true", help="ask the other side, but push nothing")
    parser.add_argument(
        "--despite-unchecked", action="store_true", help="publish though something could not be examined"
    )
    json_option(parser)


def run(call: Call) -> int:
    """Publish."""
    arguments = call.arguments
    check_address(arguments.remote, call.settings.branches.opening.protocols)
    with alone(call.settings):
        despite = arguments.despite_unchecked
        verdict, now = cleared(call.settings, Rules(call.settings), Told(), despite_unchecked=despite)
        tips = chosen(call.settings, now, arguments.branches)
        said = push(call.settings, arguments.remote, tips, dry_run=arguments.dry_run)
    states = _states(said, tips)
    document = {
        "remote": arguments.remote,
        "dry_run": arguments.dry_run,
        "at": iso(verdict.taken),
        "branches": [{"branch": tip.branch, "commit": tip.commit, "state": states[tip.branch]} for tip in tips],
    }
    would = "would be " if arguments.dry_run else ""
    lines = [f"{tip.branch}: {_told(states[tip.branch], would)} at {tip.commit[:10]}" for tip in tips]
    call.show(document, lines)
    return 0


def _told(state: str, would: str) -> str:
    return state if state == "already there" else f"{would}{state}"


def _states(said: str, tips: list[Tip]) -> dict[str, str]:
    """Return what became of each branch."""
    found = {}
    for line in said.split("\n"):
        flag, _, rest = line.partition("\t")
        ref = rest.partition("\t")[0].rpartition(":")[2]
        if flag in _STATES:
            found[ref.removeprefix("refs/heads/")] = _STATES[flag]
    return {tip.branch: found.get(tip.branch, "moved") for tip in tips}
