"""`puppetmaster-self disable`: back to the central master."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from enc.commands.call import Call, json_option
from enc.programs.documents import Document
from enc.terms.errors import ExitStatus, ToolkitError
from enc.terms.names import Certname
from puppetmaster_self.commands.session import alone_here, places, settle
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.standing.clients import clients
from puppetmaster_self.standing.presence import announce
from puppetmaster_self.transaction import departure
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.states import after
from puppetmaster_self.transaction.steps import agent

SUMMARY = "go back to the central master; local commits are kept"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--unverified", action="store_true", help="even if the central master does not serve this instance now"
    )
    parser.add_argument("--leave-clients", action="store_true", help="even if other instances use this master")
    parser.add_argument(
        "--assigned",
        action="store_true",
        help="for the Puppet class: wait for the agent's run to end; succeed if the central master already serves",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be undone and undo nothing")
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if the instance stays its own master."""
    own = call.settings.self_master
    if call.arguments.assigned:
        agent.await_end(Machine(places(call)))
    with alone_here(call) as (journal, machine):
        settle(call, journal, machine)
        if call.arguments.assigned and journal.state == "client":
            call.show(_document(call, journal, ()), "the central master already serves this instance")
            return ExitStatus.DONE
        after(journal.state, "disable")
        steps = [begun.step for begun in journal.standing()]
        if call.arguments.dry_run:
            call.show(_document(call, journal, steps), [f"undo {step}" for step in steps])
            return ExitStatus.DONE
        # A wish in LDAP is not refused: nobody would read why. Its clients go back by themselves.
        if not (call.arguments.leave_clients or call.arguments.assigned):
            _refuse_with_clients(call, journal)
        departure.depart(journal, machine, call.settings, call.say, verified=not call.arguments.unverified)
        announce(call.settings, machine, journal, call.say)
        if not call.arguments.unverified:
            departure.last_run(machine, own, call.say)
        document = _document(call, journal, steps)
    call.show(document, "the central master serves this instance")
    return ExitStatus.DONE


def _document(call: Call, journal: Journal, undone: Sequence[str]) -> Document:
    return {"dry_run": call.arguments.dry_run, "state": journal.state, "undone": list(undone)}


def _refuse_with_clients(call: Call, journal: Journal) -> None:
    if not journal.opened.get("for_project"):
        return
    server = Certname(journal.opened["certname"])
    if found := clients(call.settings, places(call).authority, server):
        raise ToolkitError(
            f"other instances use this master: {', '.join(found)}; let them go back first (puppetmaster-self invite "
            "NODE shows how), or use --leave-clients: each then goes back on its own after its give_up_after"
        )
