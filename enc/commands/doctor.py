"""`enc-admin doctor`: checks everything and says what is wrong and what to do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from enc.commands.call import Call, json_option
from enc.doctor import (
    account,
    authority,
    configuration,
    contents,
    directory,
    follower,
    keys,
    members,
    numbers,
    projects,
    puppet,
    separation,
    services,
    signing,
)
from enc.doctor.eyes import OwnersEyes
from enc.doctor.findings import Finding, document, lines, verdict
from enc.terms.names import Certname

SUMMARY = "check configuration, LDAP, follower, answers and puppetserver; say what is wrong and what to do"


def doctor_options(parser: argparse.ArgumentParser) -> None:
    """Offer what every doctor takes."""
    parser.add_argument("--user", help="run the checks as this account; default for root: puppet")
    words = "confdir of a puppetserver that is not the machine's"
    parser.add_argument("--puppet-confdir", type=Path, metavar="DIR", help=words)
    json_option(parser)


def tell(call: Call, examined: Iterable[Finding]) -> int:
    """Show what was found; return the exit status, 4 if anything has to be mended."""
    findings = list(examined)
    call.show(document(findings), lines(findings))
    return verdict(findings)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    doctor_options(parser)
    parser.add_argument("--node", type=str, metavar="CERTNAME", help="try enc with this node; default: any node")


def run(call: Call) -> int:
    """Run all checks."""
    return tell(call, _examine(call))


def _examine(call: Call) -> Iterator[Finding]:
    settings, config = call.settings, call.config_path.absolute()
    node = Certname(call.arguments.node) if call.arguments.node else None
    who = account.account(call.arguments.user)
    yield from configuration.local(config, settings)
    yield from directory.check(settings)
    yield from directory.check_service(settings)
    answers = OwnersEyes("answers-directory", lambda: (settings.answers.directory,))
    yield from answers.findings(lambda: follower.check(config, settings))
    yield from services.check(settings, config)
    facts = puppet.gather(settings, call.arguments.puppet_confdir)
    yield from puppet.judge(facts, config, settings)
    yield from projects.check(settings)
    yield from members.check(settings)
    yield from numbers.check(settings)
    yield from answers.findings(lambda: contents.check(facts, settings))
    yield from signing.check(facts, who, settings)
    yield from authority.check(settings)
    yield from keys.check(facts, call.arguments.user, settings)
    yield from separation.check(facts, who, settings)
    yield from account.check(who, config, settings, _enc(facts), node)


def _enc(facts: puppet.PuppetFacts | str) -> list[str]:
    """Return the command that puppetserver runs; without one, the enc beside this program."""
    command = "" if isinstance(facts, str) else facts.settings.get("external_nodes", "")
    words = command.split()
    if words and words[0] in (facts.executable if not isinstance(facts, str) else ()):
        return words
    return [str(Path(sys.argv[0]).absolute().with_name(puppet.PROGRAM))]
