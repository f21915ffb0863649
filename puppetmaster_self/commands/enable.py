"""`puppetmaster-self enable`: this instance becomes its own master."""

from __future__ import annotations

import argparse
from typing import Any

from enc.commands.call import Call, json_option
from enc.doctor.findings import lines, verdict
from enc.edits import audit
from enc.programs.documents import Document
from enc.programs.times import iso
from enc.terms.errors import ExitStatus, ToolkitError
from enc.terms.names import BranchName
from puppetmaster_self.commands.session import alone_here, places, settle
from puppetmaster_self.instance.keep import shown
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.standing.classified import Said, of_this_node
from puppetmaster_self.standing.presence import announce
from puppetmaster_self.transaction import preflight
from puppetmaster_self.transaction.facts import Facts, gather
from puppetmaster_self.transaction.journal import Ended, Journal
from puppetmaster_self.transaction.plan import Plan, Wish, branch_of, decide, upstream_of
from puppetmaster_self.transaction.states import after
from puppetmaster_self.transaction.steps import agent
from puppetmaster_self.transaction.transaction import enable

_REST = 3600.0
_TOLD = ("upstream", "branch", "environment", "server", "project", "for_project")
SUMMARY = "make this instance its own Puppet master, or leave everything as it was"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--for-project", action="store_true", help="let other instances of the project use it too")
    parser.add_argument("--upstream", metavar="URL", help="the central repository; default: self_master.upstream")
    parser.add_argument("--branch", metavar="BRANCH", help="the branch to build on; default: the project's")
    parser.add_argument(
        "--assigned",
        action="store_true",
        help="for the Puppet class: wait for the agent's run to end; succeed if already enabled",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the steps that would be taken, and take none")
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if it was not possible and everything is as before."""
    if call.arguments.assigned:
        agent.await_end(Machine(places(call)))
    with alone_here(call) as (journal, machine):
        settle(call, journal, machine)
        if call.arguments.assigned and journal.state == "serving":
            there = document(journal, None, None, dry_run=call.arguments.dry_run)
            call.show(there, "this instance is already its own master")
            return ExitStatus.DONE
        after(journal.state, "enable")
        if call.arguments.assigned:
            refuse_soon(journal.ended(), machine.now())
        said = of_this_node(call.settings, machine, call.say)
        wish = _wish(call, said)
        upstream, branch = upstream_of(wish, call.settings), branch_of(wish, call.settings)
        facts = gather(machine, call.settings, call.config_path.absolute(), upstream, branch)
        _check(call, facts)
        plan = decide(facts, wish, call.settings, call.config_path.absolute(), machine.places)
        if call.arguments.dry_run:
            would = document(journal, plan, wish, dry_run=True)
            call.show(would, [f"{step.name}: {step.summary()}" for step in plan.steps])
            return ExitStatus.DONE
        user, behind = audit.local_user()
        opening = {"what": "enable", "who": behind or user, "certname": facts.certname, **_opening(plan, wish)}
        opening["assigned"] = call.arguments.assigned and said.assigned
        enable(journal, machine, plan.steps, call.say, opening)
        announce(call.settings, machine, journal, call.say)
        done = document(journal, plan, wish, dry_run=False)
    call.show(
        done,
        f"this instance is now its own master; edit {call.settings.self_master.working_copy}, commit, and run the "
        "agent",
    )
    return ExitStatus.DONE


def refuse_soon(ended: Ended | None, now: float) -> None:
    """Raise `ToolkitError` if something went wrong shortly ago.

    The way back starts the agent, whose first run finds the class again: without a rest it would never end.
    """
    if ended is None or not ended.reason or not 0 <= now - ended.at < _REST:
        return
    when = iso(ended.at)
    raise ToolkitError(
        f"it went back at {when}, because: {ended.reason}; what LDAP asks for is tried again an hour later; "
        "`puppetmaster-self enable` tries at once"
    )


def _wish(call: Call, said: Said) -> Wish:
    arguments = call.arguments
    return Wish(
        upstream=arguments.upstream,
        branch=BranchName(arguments.branch) if arguments.branch else None,
        for_project=arguments.for_project,
        environment=said.environment,
        project=said.project,
    )


def _check(call: Call, facts: Facts) -> None:
    found = list(preflight.judge(facts, call.settings.self_master))
    if verdict(found) == ExitStatus.DONE:
        return
    for line in lines([finding for finding in found if finding.level == "fault"]):
        call.say(line)
    raise ToolkitError("not ready (see above); nothing was changed", where="preflight")


def _opening(plan: Plan, wish: Wish) -> dict[str, Any]:
    return {
        "upstream": shown(plan.upstream),
        "branch": plan.branch,
        "environment": plan.environment,
        "server": plan.server,
        "project": wish.project,
        "for_project": wish.for_project,
    }


def document(journal: Journal, plan: Plan | None, wish: Wish | None, *, dry_run: bool) -> Document:
    """Return what programs read: what there is, or with a plan what was done or would be (docs/json.md)."""
    opening = journal.opened if plan is None or wish is None else _opening(plan, wish)
    return {
        "dry_run": dry_run,
        "state": journal.state,
        **{name: opening.get(name) for name in _TOLD},
        "steps": [{"step": step.name, "what": step.summary()} for step in (plan.steps if plan is not None else ())],
    }
