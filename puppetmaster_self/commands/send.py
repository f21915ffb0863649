"""`puppetmaster-self send`: one local patch to the central repository."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus
from puppetmaster_self.commands.session import alone_here
from puppetmaster_self.commands.syncing import queue_here

SUMMARY = "push a single local patch to the project's branch or for review"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("number", metavar="N", type=int, help="its number in `sync --dry-run`, from 1")
    parser.add_argument("--review", action="store_true", help="to self_master.sync.review_ref instead of the branch")
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if the patch does not fit alone or is not taken."""
    with alone_here(call) as (journal, machine):
        queue = queue_here(call, journal, machine)
        review = call.settings.self_master.sync.review_ref.replace("%{branch}", queue.branch)
        ref = review if call.arguments.review else queue.branch.ref
        patch, commit = queue.send(call.arguments.number, ref)
    document = {"number": call.arguments.number, "subject": patch.subject, "commit": commit, "ref": ref}
    call.show(document, f"{patch.told} is {commit.abbreviated} at {ref}")
    return ExitStatus.DONE
