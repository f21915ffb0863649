"""`branch-manager revert`: a change goes from every rung, and stays away."""

from __future__ import annotations

import argparse
import time

from enc.commands.call import Call, json_option
from enc.edits.audit import check_reason
from enc.service.history import moment
from enc.terms.errors import ExitStatus, UsageError
from git_hooks.commands import promoting
from git_hooks.promotion.kept import Promotion

SUMMARY = "undo a change on every rung that has it, and hold it off until somebody lifts the hold"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", metavar="ID|COMMIT", help="a promotion's id, or a commit")
    parser.add_argument("--reason", required=True, help="reason; kept in the commits, the holds and the history")
    words = "when the hold's owner is asked whether it is still needed (2026-12-31); default: promotion.hold_time"
    parser.add_argument("--until", metavar="WHEN", help=words)
    promoting.as_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Revert; exit status 1 if a rung that has the change still has it afterwards."""
    words, now = call.arguments, time.time()
    until = moment(words.until, now) if words.until is not None else None
    if until is not None and until <= now:
        raise UsageError("is in the past; write a future date or time", where="--until")
    found: dict[str, Promotion] = {}
    with promoting.desk(call) as desk:
        for remark in desk.reverting.revert(words.what, promoting.acting(call), check_reason(words.reason), until):
            call.say(remark.text)
            found[remark.promotion.id] = remark.promotion
        holds = [one for one in desk.holds.all() if one.id in {id for kept in found.values() for id in kept.holds}]
    document = {
        "reverts": [promoting.promotion(one) for one in found.values()],
        "holds": [promoting.hold(one) for one in holds],
    }
    call.show(document, [f"held off {one.branch}: {one.told()}" for one in holds])
    done = bool(found) and all(one.state == "done" for one in found.values())
    return ExitStatus.DONE if done else ExitStatus.FAILED
