"""`puppetmaster-self status`: who serves this instance, since when, and how far from the central branch."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.programs.documents import moment
from enc.programs.times import iso
from enc.terms.errors import ExitStatus
from puppetmaster_self.commands.session import places, read_journal
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.standing.presence import standing
from puppetmaster_self.sync import results as sync_results

SUMMARY = "show who serves this instance and since when, commits ahead and behind, and what is kept"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Show it; exit status 4 while a change is under way or was interrupted."""
    journal, where = read_journal(call), places(call)
    found = standing(Machine(where), journal)
    kept = sorted(str(path) for path in where.kept.glob("*")) if where.kept.exists() else []
    synced = sync_results.read(where.sync)
    since = moment(found.since)
    ended = journal.ended()
    document = {
        "state": found.state,
        "since": since,
        "served_by": "self" if found.state in ("serving", "disabling") else "central",
        "commit": found.commit,
        "ahead": found.ahead,
        "behind": found.behind,
        **{name: journal.opened.get(name) for name in ("who", "upstream", "branch", "environment")},
        **{name: journal.opened.get(name) for name in ("for_project", "assigned")},
        "steps": [{"step": begun.step, "done": begun.done} for begun in reversed(journal.standing())],
        "ended": ended and {"at": moment(ended.at), "reason": ended.reason or None},
        "kept": kept,
        "sync": synced,
    }
    lines = [f"state    {found.state}" + (f" since {since}" if since else "")]
    if found.state != "client":
        lines.append(f"branch   {document['branch']} of {document['upstream']}")
        lines.append(f"commits  {_number(found.ahead)} ahead, {_number(found.behind)} behind")
    if journal.reason:
        lines.append(f"because  {journal.reason}")
    if found.state == "client" and ended is not None:
        lines.append(f"ended    went back at {iso(ended.at)}" + (f": {ended.reason}" if ended.reason else ""))
    if synced is not None and found.state != "client":
        lines.append(f"sync     {synced.get('outcome')} at {synced.get('at')}: {synced.get('message')}")
    lines += [f"kept     {path}" for path in kept]
    call.show(document, lines)
    return ExitStatus.DONE if found.state in ("client", "serving") else ExitStatus.FOUND


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)
