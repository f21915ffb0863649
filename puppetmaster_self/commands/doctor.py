"""`puppetmaster-self doctor`: could this instance become its own master; is it a sound one?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from enc.commands.call import Call, json_option
from enc.doctor import puppet
from enc.doctor.findings import Finding, document, fault, lines, ok, verdict
from enc.terms.errors import ToolkitError
from puppetmaster_self.commands.session import places, read_journal
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.standing.classified import of_this_node
from puppetmaster_self.transaction import preflight, readable
from puppetmaster_self.transaction.facts import gather
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.plan import Wish, branch_of, upstream_of
from puppetmaster_self.transaction.steps.master import answers

SUMMARY = "check whether this instance could be its own master, or whether it works as one"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Look; exit status 4 if anything has to be mended."""
    found = list(_examine(call))
    call.show(document(found), lines(found))
    return verdict(found)


def _examine(call: Call) -> Iterator[Finding]:
    journal, machine = read_journal(call), Machine(places(call))
    if journal.state == "serving":
        yield from _serving(call, machine, journal)
    elif journal.state != "client":
        yield fault(
            "state", f"the instance is {journal.state}", "puppetmaster-self recover, unless it is still running"
        )
    else:
        said = of_this_node(call.settings, machine, call.say)
        wish = Wish(environment=said.environment, project=said.project)
        try:
            upstream, branch = upstream_of(wish, call.settings), branch_of(wish, call.settings)
        except ToolkitError as error:
            yield fault("repository", str(error), "or set them in the configuration")
            upstream, branch = None, None
        facts = gather(machine, call.settings, call.config_path.absolute(), upstream, branch)
        yield from preflight.judge(facts, call.settings.self_master)


def _serving(call: Call, machine: Machine, journal: Journal) -> Iterator[Finding]:
    if answers(machine, call.settings.self_master.port):
        yield ok("master", "this instance's puppetserver answers")
    else:
        yield fault("master", "this instance's puppetserver does not answer", "systemctl status puppetserver")
    environment = machine.places.environments / str(journal.opened.get("environment"))
    needed = readable.of_configuration(call.settings, call.config_path.absolute())
    found = readable.in_the_way((*needed, *readable.of_environment(environment)))
    yield from (fault("reading", one.words, one.cure) for one in found)
    if not found:
        yield ok("reading", "puppetserver's account can read what it needs")
    yield from puppet.security(puppet.packages())
    standing = {begun.step for begun in journal.standing()}
    if "switch" in standing:
        yield ok("agent", f"goes to {journal.opened.get('server')}")
    else:
        yield fault("agent", "was not switched", "puppetmaster-self disable, then enable")
