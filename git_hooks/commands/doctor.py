"""`branch-manager doctor`: look at everything that branches need, say what is wrong and what to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from enc.commands.call import Call
from enc.commands.doctor import doctor_options, tell
from enc.doctor.account import account
from enc.doctor.eyes import OwnersEyes
from enc.doctor.findings import Finding
from git_hooks.commands import repository
from git_hooks.doctor import (
    catalogs,
    code,
    cost,
    installation,
    liveness,
    opening,
    promotion,
    puppet,
    remote,
    services,
)

SUMMARY = "check hooks, store, service, puppetserver and forge; say what is wrong and what to do"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    doctor_options(parser)
    parser.add_argument(
        "--puppetserver-conf", type=Path, metavar="DIR", help="puppetserver's conf.d, if it is not in the usual place"
    )


def run(call: Call) -> int:
    """Run all checks."""
    return tell(call, _examine(call))


def _examine(call: Call) -> Iterator[Finding]:
    """Make each check as whom it is about: the repository's owner, puppetserver, or us for Puppet's configuration."""
    settings, config = call.settings, call.config_path
    who, owner = account(call.arguments.user), OwnersEyes("store-owner", lambda: repository(call))
    yield from owner.findings(lambda: installation.check(config, settings))
    yield from installation.readable(settings.branches, who)
    yield from services.check(settings, config)
    yield from owner.findings(
        lambda: liveness.check(settings),
        lambda: promotion.check(settings),
        lambda: cost.check(settings.branches),
        lambda: code.check(settings.branches, settings.pushes),
        lambda: opening.check(settings),
    )
    facts = puppet.gather(call.arguments.puppet_confdir, call.arguments.puppetserver_conf)
    yield from puppet.judge(facts, config, settings.branches)
    yield from owner.findings(lambda: remote.check(settings.branches), lambda: catalogs.check(settings))
