"""`branch-manager propose`: a change that others are to see and approve before it goes on."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus
from git_hooks.commands import promoting
from git_hooks.commands.promote import wish, wish_options
from git_hooks.promotion.kept import NEW

SUMMARY = "propose a change for a rung, so that others see it with its effect and approve it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    wish_options(parser, "BRANCH", "the branch with the change", to=True)
    json_option(parser)


def run(call: Call) -> int:
    """Propose; exit status 1 if it could never go."""
    with promoting.desk(call) as desk:
        looked = desk.propose(wish(call, desk))
        call.show(promoting.looked(looked, desk.difference(looked)), promoting.lines(looked))
    return ExitStatus.FAILED if looked.promotion.id == NEW else ExitStatus.DONE
