"""`branch-manager doctor`: look at everything that branches need, say what is wrong and what to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.doctor.account import account
from enc.doctor.findings import Finding, document, lines, verdict
from git_hooks.doctor import installation, liveness, puppet, remote

SUMMARY = "look at hooks, store, service, puppetserver and forge; say what is wrong and what to do"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--user", help="look with this account's eyes; default: puppet, if root runs this")
    parser.add_argument("--puppet-confdir", type=Path, metavar="DIR", help="of another puppetserver than the machine's")
    parser.add_argument("--puppetserver-conf", type=Path, metavar="DIR", help="its conf.d, if it stands elsewhere")
    json_option(parser)


def run(call: Call) -> int:
    """Run all checks; exit status 1 if anything has to be mended."""
    findings = list(_examine(call))
    call.show(document(findings), lines(findings))
    return verdict(findings)


def _examine(call: Call) -> Iterator[Finding]:
    settings, config = call.settings, call.config_path.absolute()
    yield from installation.check(config, settings, account(call.arguments.user))
    yield from liveness.check(settings)
    facts = puppet.gather(call.arguments.puppet_confdir, call.arguments.puppetserver_conf)
    yield from puppet.judge(facts, config, settings.branches)
    yield from remote.check(settings.branches)
