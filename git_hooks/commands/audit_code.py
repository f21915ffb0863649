"""`branch-manager audit-code`: what of a branch runs on the master and is not reviewed."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.environments import Rules
from enc.terms.errors import ExitStatus, NotFound
from enc.terms.names import BranchName
from git_hooks.push.audit import unreviewed
from git_hooks.repository.reading import use_library

SUMMARY = "find code in members' branches that runs on the master and is in no operators' branch"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("branches", metavar="BRANCH", nargs="*", help="default: members' branches with an environment")
    json_option(parser)


def run(call: Call) -> int:
    """Look at whole trees; exit status 4 if anything would need review."""
    use_library()
    wanted = [BranchName(text) for text in call.arguments.branches]
    rules = Rules(call.settings.branches.rules)
    for branch in wanted:
        if rules.place_or_none(branch) is None and rules.proposal(branch) is None:
            raise NotFound("no rule makes an environment of this branch (branches.rules)", where=branch)
    found: list[dict[str, object]] = []
    lines: list[str] = []
    for branch, tip, problems in unreviewed(call.settings, wanted):
        found.append({"branch": branch, "commit": tip, "problems": list(problems)})
        # Members move it on meanwhile: what was looked at has this name.
        lines += [*(f"{branch}: {one}" for one in problems), *([f"{branch} is at {tip}"] if problems else [])]
    call.show({"branches": found}, lines or ["everything that runs on the master is reviewed"])
    return ExitStatus.FOUND if lines else ExitStatus.DONE
