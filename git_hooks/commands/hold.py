"""`branch-manager hold`: an environment stays as it is, whatever is pushed."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.edits.audit import check_reason
from git_hooks.commands import views
from git_hooks.commands.target import environment, opened, reason_option, who

SUMMARY = "keep an environment as it is until `release`; pushes are still accepted, with a notice"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("environment", metavar="ENVIRONMENT|BRANCH")
    reason_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Hold it."""
    name, reason = environment(call.arguments.environment, call), check_reason(call.arguments.reason)
    with opened(call) as (deployer, _):
        held = deployer.hold(name, who(), reason)
    call.say(f"{name} is held: {reason}")
    call.show({"environment": name, **views.hold(held)}, ())
    return 0
