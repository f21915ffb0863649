"""`puppetmaster-self sync`: the local patches onto what the central branch shows now."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from enc.commands.call import Call, json_option
from enc.programs.documents import Document
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus
from enc.terms.names import BranchName
from puppetmaster_self.commands.session import alone_here
from puppetmaster_self.commands.syncing import queue_here, refuse_together
from puppetmaster_self.standing.presence import announce
from puppetmaster_self.sync import results as sync_results
from puppetmaster_self.sync.sync import Result, Sync
from puppetmaster_self.sync.upstream import GOOD
from puppetmaster_self.transaction.journal import Busy

SUMMARY = "rebase the local patches onto the present central branch, or leave everything as it is"
_NEWEST = ""
_WAIT = 300.0
"""Seconds that the timer waits for others; it comes again much later."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--dry-run", action="store_true", help="fetch, and show what would happen to each patch")
    parser.add_argument("--unpark", action="store_true", help="also try the patches that were set aside")
    parser.add_argument(
        "--forecast", metavar="BRANCH", help="show which patches would conflict with this central branch"
    )
    parser.add_argument(
        "--back", metavar="SNAPSHOT", nargs="?", const=_NEWEST, help="return to a snapshot, by default the newest"
    )
    parser.add_argument("--scheduled", action="store_true", help="for the timer: do nothing after --back or while busy")
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if the old state stays, 4 if it would or if a forecast finds a conflict."""
    arguments = call.arguments
    refuse_together(call, "forecast", "back", "unpark")
    try:
        with alone_here(call, wait=_WAIT if arguments.scheduled else 10.0) as (journal, machine):
            queue, place = queue_here(call, journal, machine), machine.places.sync
            if arguments.forecast is not None:
                return _forecast(call, queue)
            if arguments.scheduled and sync_results.paused(place):
                why = "paused since `sync --back`; resume with `puppetmaster-self sync`"
                call.show({**_document(call, Result("paused", why), queue.now()), "behind": None}, why)
                return ExitStatus.DONE
            if arguments.back is not None:
                result = queue.back(arguments.back or None)
                if result.outcome == "paused":
                    sync_results.pause(place)
            else:
                result = queue.run(unpark=arguments.unpark, dry_run=arguments.dry_run)
                if not arguments.dry_run:
                    sync_results.go_on(place)
            at = queue.now()
            if not arguments.dry_run:
                metrics = call.settings.self_master.sync.metrics_file
                sync_results.write(place, sync_results.document(result, at), at, metrics)
                announce(call.settings, machine, journal, call.say)
    except Busy:
        if arguments.scheduled:  # somebody is at work, and the timer comes again
            said = _document(call, Result("blocked", "another puppetmaster-self is running here"), time.time())
            call.show(said, ())
            return ExitStatus.DONE
        raise
    call.show(_document(call, result, at), _lines(result))
    if result.outcome in GOOD:
        return ExitStatus.DONE
    return ExitStatus.FOUND if arguments.dry_run else ExitStatus.FAILED


def _document(call: Call, result: Result, at: float) -> Document:
    return {"dry_run": call.arguments.dry_run, **sync_results.document(result, at)}


def _forecast(call: Call, queue: Sync) -> int:
    branch = BranchName(call.arguments.forecast)
    found, replayed = queue.forecast(branch)
    conflicts = replayed.of("parked")
    document = {
        "branch": branch,
        "commit": found.upstream,
        "patches": [sync_results.fate_document(fate) for fate in replayed.fates],
    }
    fitting = len(replayed.fates) - len(conflicts)
    fit = f"{counted(fitting, 'fits', 'fit')} {branch}, {counted(len(conflicts), 'does', 'do')} not"
    call.show(document, [*_told(Result("current", "", found, replayed)), fit])
    return ExitStatus.FOUND if conflicts else ExitStatus.DONE


def _lines(result: Result) -> Iterator[str]:
    yield from _told(result)
    for commit in result.parked:
        yield f"parked: {commit}"
    yield f"{result.outcome}: {result.message}"


def _told(result: Result) -> Iterator[str]:
    for fate in result.replayed.fates if result.replayed else ():
        yield f"{fate.fortune:<9}{fate}"
