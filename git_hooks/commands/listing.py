"""`branch-manager list`: every environment with its branch, and what members propose."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from enc.commands.call import Call, json_option
from enc.programs.documents import moment
from enc.programs.times import age, day
from enc.terms.errors import ExitStatus
from git_hooks.branches.expiry import ends_at
from git_hooks.branches.listing import Row, modules_of, references, rows
from git_hooks.branches.proposals import Proposed, proposed
from git_hooks.commands import views
from git_hooks.commands.target import opened
from git_hooks.repository.objects import Divergence

SUMMARY = "list environments: branch, commit, who, age, nodes, modules, holds, ahead and behind the site's branches"

FOR_REVIEW = "for review"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    words = "only those that do not show their branch's last commit"
    parser.add_argument("--not-live", action="store_true", help=words)
    parser.add_argument("--modules", action="store_true", help="show instead what their Puppetfiles ask for")
    json_option(parser)


def run(call: Call) -> int:
    """Show them; exit status 4 if `--not-live` finds any."""
    with opened(call) as (deployer, refs):
        found = rows(call.settings, deployer, refs)
        waiting = list(
            proposed(call.settings.branches, deployer.repository.branches(), deployer.counted(remember=False))
        )
        modules = modules_of(deployer, found)
        holds = {row.environment: hold for row in found if (hold := deployer.records.held(row.environment))}
    if call.arguments.not_live:
        waiting = []
        found = [row for row in found if row.state != "live"]
    for row in found:
        if row.missing:
            call.say(f"{row.environment}: {row.state}, {row.missing}; run branch-manager deploy")
        if row.environment in holds:
            call.say(f"{row.environment}: held {views.hold_line(holds[row.environment])}")
    known = [str(reference) for reference in references(call.settings.branches)]
    names = [f"VS {reference.upper()}" for reference in known]
    head = ("ENVIRONMENT", "BRANCH", "COMMIT", "STATE", "WHO", "AGE", "NODES", "MODULES", *names, "ENDS")
    now = time.time()
    shown = [
        _document(row)
        | {
            "modules": [views.module(one) for one in modules[row.environment]],
            "hold": views.hold(holds[row.environment]) if row.environment in holds else None,
        }
        for row in found
    ]
    document = {"environments": shown, "proposals": [_proposal(call, o) for o in waiting]}
    if call.arguments.modules:
        asked = [(name, *views.module_cells(one)) for name, ones in modules.items() for one in ones]
        call.show_rows(document, ("ENVIRONMENT", "MODULE", "VERSION", "FROM"), asked, "no modules of Puppetfiles")
        return ExitStatus.FOUND if call.arguments.not_live and found else ExitStatus.DONE
    lines: list[tuple[object, ...]] = [_cells(row, len(modules[row.environment]), known, now) for row in found]
    for one in waiting:
        ends = ends_at(one.since, call.settings.branches.topics_unused)
        none = ["-"] * len(known)
        cells = (one.branch, one.commit.abbreviated, FOR_REVIEW, "-", age(now - one.since), "-", "-", *none, day(ends))
        lines.append(("-", *cells))
    call.show_rows(document, head, lines, "no environments")
    return ExitStatus.FOUND if call.arguments.not_live and found else ExitStatus.DONE


def _document(row: Row) -> dict[str, object]:
    return {
        "environment": row.environment,
        "branch": row.branch,
        "commit": row.tip,
        "live": row.live,
        "state": row.state,
        "who": row.who or None,
        "at": moment(row.at),
        "node_count": row.nodes,
        "ends": moment(row.ends),
        "missing": row.missing or None,
        "compared": [{"branch": branch, "ahead": far.ahead, "behind": far.behind} for branch, far in row.compared],
    }


def _proposal(call: Call, one: Proposed) -> dict[str, object]:
    return {
        "branch": one.branch,
        "project": one.project,
        "commit": one.commit,
        "since": moment(one.since),
        "ends": moment(ends_at(one.since, call.settings.branches.topics_unused)),
    }


def _cells(row: Row, modules: int, known: Sequence[str], now: float) -> tuple[object, ...]:
    far: dict[str, Divergence] = {str(reference): divergence for reference, divergence in row.compared}
    shown = row.live or row.tip
    return (
        row.environment,
        row.branch or "-",
        shown.abbreviated if shown else "-",
        row.state,
        row.who or "-",
        age(now - row.at) if row.at is not None else "-",
        "?" if row.nodes is None else row.nodes,
        modules or "-",
        *(f"+{far[ref].ahead} -{far[ref].behind}" if ref in far else "-" for ref in known),
        day(row.ends) if row.ends is not None else "-",
    )
