"""`branch-manager promote`: a change goes on to the next rung, if the rung's rules let it."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.edits.audit import check_reason
from enc.terms.errors import ExitStatus, UsageError
from enc.terms.names import BranchName
from git_hooks.commands import promoting
from git_hooks.commands.target import dry_run_option
from git_hooks.promotion.desk import Desk, Wish
from git_hooks.promotion.kept import NEW

SUMMARY = "merge or pick a change into the branch of a rung (test, production), if its rules let it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    wish_options(parser, "BRANCH|ID", "the branch with the change, with --to; or the id of what was proposed", to=False)
    parser.add_argument(
        "--emergency",
        action="store_true",
        help="pass the queue, the soak and the rung below; needs --reason and the approval of a second person",
    )
    dry_run_option(parser)
    json_option(parser)


def wish_options(parser: argparse.ArgumentParser, metavar: str, meaning: str, *, to: bool) -> None:
    """Add what says which change is meant, and where it is to go."""
    parser.add_argument("what", metavar=metavar, help=meaning)
    parser.add_argument("--to", metavar="RUNG", required=to, help="the rung: test, production (promotion.rungs)")
    parser.add_argument("--pick", action="store_true", help="cherry-pick its commits instead of merging the branch")
    words = "pick only this commit of the branch; may be given several times"
    parser.add_argument("--commit", metavar="COMMIT", action="append", default=[], dest="commits", help=words)
    parser.add_argument("--reason", help="reason; kept in the history and in the commit")
    promoting.as_option(parser)


def wish(call: Call, desk: Desk, *, emergency: bool = False) -> Wish:
    """Return what the arguments ask for."""
    words = call.arguments
    reason = check_reason(words.reason) if words.reason is not None else ""
    commits = tuple(desk.commit(text) for text in words.commits)
    return Wish(BranchName(words.what), words.to, promoting.acting(call), reason, words.pick, commits, emergency)


def run(call: Call) -> int:
    """Promote; exit status 1 unless the change got there."""
    words = call.arguments
    if words.emergency and words.reason is None:
        raise UsageError("--emergency needs --reason")
    if words.to is None and (words.pick or words.commits or words.dry_run):
        raise UsageError("name a BRANCH and the rung: --to RUNG")
    with promoting.desk(call) as desk:
        reason = check_reason(words.reason) if words.reason is not None else ""
        if words.to is None:
            id = words.what
        else:
            asked = wish(call, desk, emergency=words.emergency)
            if words.dry_run:
                looked = desk.preview(asked)
                call.show({"dry_run": True, **promoting.looked(looked, "")}, promoting.lines(looked))
                return ExitStatus.DONE if looked.outcome == "go" else ExitStatus.FAILED
            looked = desk.propose(asked)
            id = looked.promotion.id
            if id == NEW:
                for line in promoting.lines(looked):
                    call.say(line)
                call.show({"dry_run": False, **promoting.looked(looked, "")}, ())
                return ExitStatus.FAILED
        for remark in desk.promote(id, promoting.acting(call), emergency=words.emergency, reason=reason):
            call.say(remark.text)
        return promoting.ended(call, desk, id)
