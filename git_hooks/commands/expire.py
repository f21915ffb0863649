"""`branch-manager expire`: short-lived branches that nobody uses are archived."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.programs.documents import moment
from enc.programs.times import day
from enc.terms.errors import Conflict, ExitStatus
from git_hooks.branches.expiry import Expiry, Judged
from git_hooks.commands.target import dry_run_option, opened, settled, who
from git_hooks.deploy.records import told

SUMMARY = (
    "archive short-lived branches that no node uses and that had no push for a long time; `restore` brings them back"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Archive what ended; exit status 1 if something could not be."""
    status = ExitStatus.DONE
    outcomes: list[tuple[Judged, str]] = []
    ended: dict[str, str] = {}
    with opened(call) as (deployer, refs):
        if not call.arguments.dry_run:
            settled(call, deployer)
        count = deployer.counted(remember=not call.arguments.dry_run)
        expiry = Expiry(call.settings, deployer, refs)
        if not call.arguments.dry_run:
            expiry.remember(count)
        for judged in list(expiry.judged(count)):
            if judged.reason or call.arguments.dry_run:
                outcomes.append((judged, judged.reason or "would be archived"))
                continue
            try:
                kept, record = expiry.end(judged, who(), count.now)
            except Conflict as conflict:
                outcomes.append((judged, str(conflict)))
                continue
            ended[judged.topic.branch] = kept.name
            outcomes.append((judged, f"archived as {kept.ref}{'; ' + told(record) if record else ''}"))
            status = status if record is None or record.good else ExitStatus.FAILED
    rows = [(one.topic.branch, day(one.ends), text) for one, text in outcomes]
    branches = [
        {
            "branch": one.topic.branch,
            "ends": moment(one.ends),
            "stays": bool(one.reason),
            "archived_as": ended.get(one.topic.branch),
            "outcome": text,
        }
        for one, text in outcomes
    ]
    document = {"dry_run": call.arguments.dry_run, "branches": branches}
    call.show_rows(document, ("BRANCH", "ENDS", "OUTCOME"), rows, "no short-lived branches")
    return status
