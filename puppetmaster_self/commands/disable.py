"""`puppetmaster-self disable`: back to the central master."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.errors import ExitStatus, ToolkitError
from enc.names import Certname
from puppetmaster_self import departure
from puppetmaster_self.clients import clients
from puppetmaster_self.commands.session import alone_here, places
from puppetmaster_self.journal import Journal
from puppetmaster_self.machine import Machine
from puppetmaster_self.presence import announce
from puppetmaster_self.states import after
from puppetmaster_self.steps import agent
from puppetmaster_self.transaction import disable, interruptible

SUMMARY = "go back to the central master; local commits are kept"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--unverified", action="store_true", help="also if the central master does not serve us now")
    parser.add_argument("--leave-clients", action="store_true", help="also if others have this master")
    parser.add_argument("--dry-run", action="store_true", help="show what would be undone, and undo nothing")
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if the instance stays its own master."""
    timeout = float(call.settings.self_master.run_timeout)
    with alone_here(call) as (journal, machine):
        after(journal.state, "disable")
        if call.arguments.dry_run:
            steps = [begun.step for begun in journal.standing()]
            call.show({"undo": steps}, [f"undo {step}" for step in steps])
            return ExitStatus.DONE

        if not call.arguments.leave_clients:
            _refuse_with_clients(call, journal)

        def before() -> None:
            for line in departure.keep_commits(journal, machine, call.settings.self_master):
                call.say(line)

        def verify() -> None:
            if call.arguments.unverified:
                return
            output = agent.run(machine, "--noop", timeout=timeout)
            for line in ("the central master serves us; its differences:", *agent.differences(output)):
                call.say(line)

        with interruptible():
            disable(journal, machine, before, verify, call.say)
        announce(call.settings, machine, journal, call.say)
        _last_run(call, machine, timeout)
    call.show({"state": "client"}, "the central master serves this instance")
    return ExitStatus.DONE


def _refuse_with_clients(call: Call, journal: Journal) -> None:
    if not journal.opened.get("for_project"):
        return
    server = Certname(journal.opened["certname"])
    if found := clients(call.settings, places(call).authority, server):
        raise ToolkitError(
            f"others have this master: {', '.join(found)}; let them go back first (puppetmaster-self invite NODE tells "
            "how), or go with --leave-clients: then they go back by themselves, each after its give_up_after"
        )


def _last_run(call: Call, machine: Machine, timeout: float) -> None:
    """Let the central master put right what differs. It does so at the next run in any case."""
    if call.arguments.unverified:
        return
    try:
        agent.run(machine, timeout=timeout)
    except ToolkitError as error:
        call.say(f"the agent's run failed, and will be tried again as always: {error}")
