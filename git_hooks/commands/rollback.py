"""`branch-manager rollback`: an environment goes back, and stays there."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option, table
from enc.edits.audit import check_reason
from enc.terms.errors import ExitStatus
from git_hooks.commands.target import document, dry_run_option, environment, opened, reason_option, who
from git_hooks.deploy import records
from git_hooks.repository.refs import ObjectId

SUMMARY = "let an environment show an earlier commit, and hold it there until `release`"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("environment", metavar="ENVIRONMENT|BRANCH")
    parser.add_argument("commit", metavar="COMMIT", nargs="?", help="none: what was live before")
    reason_option(parser)
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Roll back; exit status 1 if that failed."""
    arguments = call.arguments
    name, reason = environment(arguments.environment, call), check_reason(arguments.reason)
    with opened(call) as (deployer, _):
        commit: ObjectId | None = deployer.repository.commit_of(arguments.commit) if arguments.commit else None
        if arguments.dry_run:
            chosen, versions = commit or deployer.before(name), deployer.versions.of(name)
            live = next((one.commit for one in versions if one.live), None)
            shown = "nothing" if live is None else live.abbreviated
            told = f"{name} would show {chosen.abbreviated} in place of {shown}, and be held there"
            cells = [(one.commit.abbreviated, "live" if one.live else "on disk") for one in versions]
            call.show([one._asdict() for one in versions], [told, "", *table(("VERSION", "STATE"), cells)])
            return ExitStatus.DONE
        record = deployer.rollback(name, commit, who(), reason)
    call.show(document(record), f"{records.told(record)}, and held there until `branch-manager release {name}`")
    return ExitStatus.DONE if record.good else ExitStatus.FAILED
