"""`branch-manager restore`: an archived branch comes back."""

from __future__ import annotations

import argparse
import time

from enc.commands.call import Call, json_option, table
from enc.errors import ExitStatus
from enc.names import BranchName
from git_hooks.commands.target import document, dry_run_option, opened, who
from git_hooks.expiry import Expiry
from git_hooks.records import told

SUMMARY = "bring an archived branch and its environment back; without a name, list what is archived"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("branch", metavar="BRANCH", nargs="?")
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Restore, or list; exit status 1 if the environment is not live then."""
    with opened(call) as (deployer, refs):
        if call.arguments.branch is None:
            found = refs.archived()
            rows = [
                (one.branch, one.commit.abbreviated, time.strftime("%Y-%m-%d", time.gmtime(one.at))) for one in found
            ]
            call.show([one._asdict() for one in found], table(("BRANCH", "COMMIT", "ARCHIVED"), rows))
            return ExitStatus.DONE
        expiry = Expiry(call.settings, deployer, refs)
        kept = expiry.find(BranchName(call.arguments.branch))
        if call.arguments.dry_run:
            call.show(kept._asdict(), f"{kept.branch} would come back at {kept.commit.abbreviated}")
            return ExitStatus.DONE
        record = expiry.restore(kept, who())
    call.show(document(record), told(record))
    return ExitStatus.DONE if record.good else ExitStatus.FAILED
