"""`enc-admin status`: shows the state of the follower and its answers."""

from __future__ import annotations

import argparse

from enc.answers.status import FollowerStatus, status
from enc.commands.call import Call, json_option, table
from enc.programs.documents import Document, moment
from enc.programs.times import iso
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus

SUMMARY = "show the state of follower and answers: age, pending work, entries that cannot be classified"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Show it; exit status 4 if nobody follows, LDAP is away or does not give all, or answers are too old."""
    found = status(call.settings)
    sound = found.running and found.state == "current" and not found.too_old
    call.show(_document(found), _lines(found))
    return ExitStatus.DONE if sound else ExitStatus.FOUND


def _document(found: FollowerStatus) -> Document:
    return {
        "directory": found.directory,
        "running": found.running,
        "pid": found.pid,
        "state": found.state,
        "age_seconds": found.age,
        "max_age_seconds": found.max_age,
        "too_old": found.too_old,
        "node_count": found.nodes,
        "pending": found.pending,
        "problems": [
            {"certname": one.name, "message": one.message, "since": moment(one.since)} for one in found.problems
        ],
        "feeds": [
            {"feed": one.feed, "base": one.base, "complete": one.complete, "cookie": one.cookie} for one in found.feeds
        ],
        "troubles": [{"feed": one.feed, "kind": one.kind, "message": one.message} for one in found.troubles],
        "unreadable": found.unreadable,
    }


_STATES = {
    "current": "keeps up with LDAP",
    "unreachable": "runs; LDAP cannot be reached",
    "refused": "runs; LDAP answers but does not return everything",
    "behind": "runs; the LDAP server that answers lacks changes",
    "stalled": "runs but makes no progress; see its log",
    "stopped": "not running; the answers on disk get older",
    "never": "has not been up to date yet",
}


def _lines(found: FollowerStatus) -> list[str]:
    state = _STATES[found.state]
    if found.state == "never":
        state = "is reading LDAP for the first time" if found.running else "has never run here; enc asks LDAP each time"
    lines = [
        f"follower   {state}" + (f" (pid {found.pid})" if found.pid else ""),
        f"answers    {found.directory}",
    ]
    lines += [f"trouble    {trouble.feed}: {trouble.message}" for trouble in found.troubles]
    if found.age is not None:
        limit = f", the limit is {found.max_age} s" + (": enc refuses to answer" if found.too_old else "")
        lines.append(f"age        {found.age} s{limit}")
    if found.unreadable is not None:
        lines.append(f"copy       {found.unreadable}")
    else:
        lines.append(f"nodes      {found.nodes}, {counted(found.pending or 0, 'answer')} yet to be rewritten")
    lines += [
        f"feed       {feed.feed}: {feed.base}" + ("" if feed.complete else " (not read completely yet)")
        for feed in found.feeds
    ]
    if found.problems:
        rows = [(one.name, iso(one.since), one.message) for one in found.problems]
        lines += ["", "entries that cannot be classified:", *table(("NAME", "SINCE", "WHY"), rows)]
    return lines
