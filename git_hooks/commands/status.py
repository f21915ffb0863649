"""`branch-manager status`: where is my commit?"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from typing import Any

from enc.commands.call import Call, json_option
from enc.errors import ExitStatus, NotFound
from enc.names import BranchName
from git_hooks.commands.target import opened
from git_hooks.environments import Rules
from git_hooks.listing import Whereabouts, rows, whereabouts
from git_hooks.records import Record, told
from git_hooks.refs import ObjectId
from git_hooks.survey import Remark
from git_hooks.versions import ForeignEnvironment

SUMMARY = "tell where a commit or a branch's last commit has arrived: branches, environments, nodes; else how all is"

_MOST = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", metavar="BRANCH|COMMIT", nargs="?", help="none: whether all branches are live")
    json_option(parser)


def run(call: Call) -> int:
    """Show it; exit status 1 if something is not live that should be."""
    return _one(call, call.arguments.what) if call.arguments.what else _all(call)


def _one(call: Call, what: str) -> int:
    with opened(call) as (deployer, refs):
        branch = BranchName(what) if BranchName.accepts(what) else None
        tip = deployer.repository.tip(branch) if branch is not None else None
        if tip is None and not (4 <= len(what) <= 64 and what.isascii() and what.isalnum()):
            where = str(call.settings.branches.repository)
            raise NotFound(f"no branch {BranchName(what)} in the repository", where=where)
        commit = tip or ObjectId(deployer.repository.commit_of(what))
        found = whereabouts(commit, call.settings, deployer, refs)
        records: tuple[Record, ...] = ()
        place = Rules(call.settings.branches.rules).place(branch) if tip is not None and branch is not None else None
        remarks: tuple[Remark, ...] = ()
        hold = deployer.records.held(place.environment) if place is not None else None
        if place is not None:
            records = deployer.records.of(place.environment, limit=5)
            with suppress(ForeignEnvironment):
                live = deployer.versions.live(place.environment)
                remarks = deployer.remarks(place.environment, live) if live is not None else ()
    document: dict[str, Any] = found._asdict() | {
        "deploys": [record._asdict() for record in records],
        "checkout": [remark._asdict() for remark in remarks],
        "held": hold._asdict() if hold is not None else None,
    }
    lines = [f"{'held':<14}by {hold.who}: {hold.reason}"] if hold is not None else []
    lines += [f"{'differs' if number == 0 else '':<14}{_said(one)}" for number, one in enumerate(remarks)]
    call.show(document, [*_lines(found), *lines, *(f"{_when(one.at)}  {one.who}  {told(one)}" for one in records)])
    return ExitStatus.FAILED if found.waiting else ExitStatus.DONE


def _lines(found: Whereabouts) -> list[str]:
    nodes = "cannot be told; nobody follows LDAP" if found.nodes is None else _some(found.nodes)
    return [
        f"commit        {found.commit}",
        f"branches      {_some(found.branches)}",
        f"environments  {_some(found.environments)}",
        f"not live in   {_some(found.waiting)}",
        f"nodes         {nodes}",
    ]


def _said(remark: Remark) -> str:
    return {
        "left out": f"{remark.path} is left out: it {remark.what}",
        "content": f"{remark.path} has other bytes in a checkout: {remark.what}",
    }.get(remark.kind, f"{remark.path} {remark.what}")


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more if names else "none"


def _all(call: Call) -> int:
    with opened(call) as (deployer, refs):
        found = rows(call.settings, deployer, refs, time.time())
        owing = deployer.records.owing()
    bad = [row for row in found if row.state not in ("live", "held", "no branch")]
    held = [row for row in found if row.state == "held"]
    lines = [f"{len(found)} environments, {len(found) - len(bad) - len(held)} show their branch, {len(held)} are held"]
    lines += [f"{row.environment}: {row.state}" for row in (*bad, *held)]
    document = {
        "environments": len(found),
        "held": [row.environment for row in held],
        "wrong": {row.environment: row.state for row in bad},
        "owed_flushes": owing,
    }
    call.show(document, lines)
    return ExitStatus.FAILED if bad or owing else ExitStatus.DONE


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
