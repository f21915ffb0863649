"""`branch-manager rollback`: an environment goes back, and stays there."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.edits.audit import check_reason
from enc.terms.errors import ExitStatus
from enc.terms.names import EnvironmentName
from git_hooks.branches.missed import missed
from git_hooks.commands import views
from git_hooks.commands.target import dry_run_option, environment, opened, reason_option, who
from git_hooks.deploy.decision import ROLLBACK
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import told
from git_hooks.repository.refs import ObjectId

SUMMARY = "let an environment show an earlier commit and hold it there until `release`"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("environment", metavar="ENVIRONMENT|BRANCH")
    parser.add_argument("commit", metavar="COMMIT", nargs="?", help="default: what was live before")
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
            plan = deployer.plan_rollback(name, commit)
            old, new = ("nothing" if one is None else one.abbreviated for one in (plan.old, plan.new))
            would = f"{name} would show {new} in place of {old} and be held there"
            call.show(views.would_deploy([plan], ROLLBACK + reason), would)
            _warn(call, deployer, name, plan.new)
            return ExitStatus.DONE
        record = deployer.rollback(name, commit, who(), reason)
        call.show(views.deploys([record]), f"{told(record)}, and held there until `branch-manager release {name}`")
        if record.good:
            _warn(call, deployer, name, record.new)
    return ExitStatus.DONE if record.good else ExitStatus.FAILED


def _warn(call: Call, deployer: Deployer, name: EnvironmentName, commit: ObjectId | None) -> None:
    """Say what the nodes miss there. Afterwards: whoever goes back is in a hurry, and it is their decision."""
    if commit is not None:
        for what in missed(call.settings, deployer.repository, name, commit, deployer.layout.version(name, commit)):
            call.say(f"warning: {name}: {what}")
