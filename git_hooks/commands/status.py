"""`branch-manager status`: where is my commit?"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from enc.commands.call import Call, json_option
from enc.programs.documents import moment
from enc.programs.times import iso
from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import ExitStatus, NotFound, one_line
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.branches.listing import Row, Whereabouts, modules_of, rows, whereabouts
from git_hooks.commands import views
from git_hooks.commands.target import opened, places
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Hold, Record, told
from git_hooks.mirror import tries
from git_hooks.mirror.failing import failing as failing_now
from git_hooks.promotion.history import Standing, on_rungs
from git_hooks.puppetfile.language import ForgeModule, GitModule
from git_hooks.repository.refs import ObjectId
from git_hooks.store.survey import Remark
from git_hooks.store.versions import ForeignEnvironment

SUMMARY = "show what an environment or branch has and where a commit is deployed; without a name, summarise all"

_MOST = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    words = "default: a summary of all"
    parser.add_argument("what", metavar="ENVIRONMENT|BRANCH|COMMIT", nargs="?", help=words)
    json_option(parser)


def run(call: Call) -> int:
    """Show it; exit status 4 if something is not live that should be."""
    return _one(call, call.arguments.what) if call.arguments.what else _all(call)


def _one(call: Call, what: str) -> int:
    branch = BranchName(what) if BranchName.accepts(what) else None
    failing = [one for one in failing_now(call.settings.branches).tries if branch is not None and one.subject == branch]
    found: Whereabouts | None = None
    records: tuple[Record, ...] = ()
    hold: Hold | None = None
    remarks: tuple[Remark, ...] = ()
    standing: list[Standing] = []
    modules: tuple[ForgeModule | GitModule, ...] = ()
    with opened(call) as (deployer, refs):
        tip = deployer.repository.tip(branch) if branch is not None else None
        environment: EnvironmentName | None = None
        if tip is None and not failing and (environment := _environment(what, call, deployer)) is not None:
            branch = next((p.branch for name, p in places(call, deployer).items() if name == environment), None)
            tip = deployer.repository.tip(branch) if branch is not None else deployer.versions.live(environment)
        if not (tip is None and failing):  # the forge has a branch of this name that could not be taken yet
            if tip is None and not (4 <= len(what) <= 64 and what.isascii() and what.isalnum()):
                where = str(call.settings.branches.repository)
                raise NotFound(f"no branch or environment {BranchName(what)} is there", where=where)
            commit = tip or ObjectId(deployer.repository.commit_of(what))
            found = whereabouts(commit, call.settings, deployer, refs)
            if tip is None:
                standing = on_rungs(call.settings, deployer.repository, commit)
        if branch is not None and environment is None and (tip is not None or failing):
            place = Rules(call.settings.branches.rules).place(branch)
            environment = place.environment if place is not None else None
        if environment is not None:
            records = deployer.records.of(environment, limit=5)
            hold = deployer.records.held(environment)
            with suppress(ForeignEnvironment):
                live = deployer.versions.live(environment)
                remarks = deployer.inspection.remarks(environment, live) if live is not None else ()
                modules = modules_of(deployer, [Row(environment, branch, tip, live, "live")])[environment]
    document = {
        "environment": environment,
        "branch": branch if tip is not None or failing else None,
        "commit": found and found.commit,
        "branches": list(found.branches) if found is not None else [],
        "environments": list(found.environments) if found is not None else [],
        "waiting": list(found.waiting) if found is not None else [],
        "nodes": None if found is None or found.nodes is None else list(found.nodes),
        "deploys": [views.deploy(one) for one in records],
        "tries": [views.attempt(one) for one in failing],
        "checkout": [{"path": one.path, "id": one.id, "kind": one.kind, "what": one.what} for one in remarks],
        "rungs": [_standing(one) for one in standing],
        "hold": hold and views.hold(hold),
        "modules": [views.module(one) for one in modules],
    }
    lines = [] if found is None else _lines(found)
    lines += [f"{'rung' if number == 0 else '':<14}{_rung_line(one)}" for number, one in enumerate(standing)]
    lines += [f"{'held':<14}{views.hold_line(hold)}"] if hold is not None else []
    for number, (name, version, source) in enumerate(map(views.module_cells, modules)):
        lines.append(f"{'modules' if number == 0 else '':<14}{name} {version} ({source})")
    lines += [f"{'differs' if number == 0 else '':<14}{_said(one)}" for number, one in enumerate(remarks)]
    deploys = (f"{iso(one.at)}  {one.who}  {told(one)}" for one in records)
    call.show(document, [*lines, *_tried(failing), *deploys])
    return ExitStatus.FOUND if failing or (found is not None and found.waiting) else ExitStatus.DONE


def _environment(what: str, call: Call, deployer: Deployer) -> EnvironmentName | None:
    """Return the environment of this name, if there is one or a branch becomes it."""
    if not EnvironmentName.accepts(what):
        return None
    name = EnvironmentName(what)
    return name if name in places(call, deployer) or name in deployer.versions.environments() else None


def _tried(failing: Sequence[tries.Try]) -> Iterator[str]:
    """Tell what fails, since when, and when it is tried again."""
    for one in failing:
        what = f"{one.subject} as at the forge" if one.subject != tries.FORGE else "the forge"
        if one.commit:
            what += f" ({one.commit[:10]})"
        again = "next try" if one.next > time.time() else "next try (overdue; is branch-manager serve running?)"
        yield f"{what}: failed {_times(one.failures)} since {iso(one.since)}, last {iso(one.last)}: {one.reason}"
        yield f"  {again}: {iso(one.next)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _standing(one: Standing) -> dict[str, Any]:
    said = one.by.said if one.by is not None else None
    return {
        "rung": one.rung.name,
        "branch": one.rung.branch,
        "landed_as": list(one.landed),
        "promotion": said and said.id,
        "promoted_by": said and said.by,
        "approved_by": list(said.approved_by) if said is not None else [],
        "at": moment(one.by.at) if one.by is not None else None,
    }


def _rung_line(one: Standing) -> str:
    if not one.landed:
        return f"{one.rung.name}: not there"
    name = one.landed[0].abbreviated
    if one.by is None:
        return f"{one.rung.name}: there as {name}, by a push"
    said = one.by.said
    approved = f", approved by {', '.join(said.approved_by)}" if said.approved_by else ""
    by = f"promoted by {said.by} on {iso(one.by.at)} ({said.id}){approved}"
    return one_line(f"{one.rung.name}: there as {name}, {by}")


def _lines(found: Whereabouts) -> list[str]:
    nodes = "unknown; the follower is not running" if found.nodes is None else _some(found.nodes)
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
        "content": f"{remark.path} has different contents in a checkout: {remark.what}",
    }.get(remark.kind, f"{remark.path} {remark.what}")


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more if names else "none"


def _all(call: Call) -> int:
    with opened(call) as (deployer, refs):
        found = rows(call.settings, deployer, refs)
        owing = deployer.records.owing()
    bad = [row for row in found if row.state not in ("live", "held", "no branch")]
    held = [row for row in found if row.state == "held"]
    good = len(found) - len(bad) - len(held)
    lines = [f"{counted(len(found), 'environment')}: {good} live, {len(held)} held, {len(bad)} not as they should be"]
    lines += [f"{row.environment}: {row.state}{row.missing and ', '}{row.missing}" for row in (*bad, *held)]
    mirror = failing_now(call.settings.branches)
    if call.settings.branches.mirror.forge is not None:
        asked = iso(mirror.answered) if mirror.answered is not None else "never"
        lines += [f"the forge last answered at {asked}", *_tried(mirror.tries)]
    document = {
        "environments": [row.environment for row in found],
        "held": [row.environment for row in held],
        "wrong": [{"environment": row.environment, "state": row.state, "missing": row.missing or None} for row in bad],
        "owed_flushes": list(owing),
        "answered": moment(mirror.answered),
        "tries": [views.attempt(one) for one in mirror.tries],
    }
    call.show(document, lines)
    return ExitStatus.FOUND if bad or owing or mirror.tries else ExitStatus.DONE
