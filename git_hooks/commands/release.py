"""`branch-manager release`: the end of a hold."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus, NotFound
from git_hooks.commands import views
from git_hooks.commands.target import environment, opened, places, who
from git_hooks.deploy.records import told
from git_hooks.deploy.targets import Tip

SUMMARY = "end a hold and let the environment show its branch again"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("environment", metavar="ENVIRONMENT|BRANCH")
    json_option(parser)


def run(call: Call) -> int:
    """Release and deploy; exit status 1 if the deploy failed."""
    name = environment(call.arguments.environment, call)
    with opened(call) as (deployer, _):
        if not deployer.release(name):
            raise NotFound("is not held", where=name)
        place = places(call, deployer).get(name)
        if place is None:
            call.say(f"{name} is released, but no branch becomes this environment")
            call.show(views.deploys(()), ())
            return ExitStatus.DONE
        record = deployer.deploy(name, Tip(place.branch), who(), "release")
    call.show(views.deploys([record]), told(record))
    return ExitStatus.DONE if record.good else ExitStatus.FAILED
