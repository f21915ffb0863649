"""`puppetmaster-self recover`: finish or undo what was interrupted; at boot, by a timer, by hand."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus
from puppetmaster_self.commands.session import alone_here
from puppetmaster_self.standing.presence import announce
from puppetmaster_self.standing.watch import watch
from puppetmaster_self.transaction.journal import Busy
from puppetmaster_self.transaction.transaction import recover

SUMMARY = "finish or undo what was interrupted; needs no network, LDAP or git"

_WAIT = 600.0
"""Seconds to wait for programs that a killed puppetmaster-self left behind."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--watch", action="store_true", help="also go back if this instance's master has been down too long"
    )
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if something could not be undone."""
    watching = call.arguments.watch
    try:
        with alone_here(call, wait=0.0 if watching else _WAIT) as (journal, machine):
            before = journal.state
            if not recover(journal, machine, call.say) and watching:
                watch(journal, machine, call.settings, call.say)
            if watching or before != journal.state:
                announce(call.settings, machine, journal, call.say)
            state = journal.state
    except Busy:
        if watching:  # somebody is at work, and the timer comes again
            call.show({"was": None, "state": None}, ())
            return ExitStatus.DONE
        raise
    told = "there was nothing to recover" if state == before else f"recovered: was {before}"
    call.show({"was": before, "state": state}, f"{told}; this instance is {state}")
    return ExitStatus.DONE
