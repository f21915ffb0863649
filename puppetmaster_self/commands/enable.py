"""`puppetmaster-self enable`: this instance becomes its own master."""

from __future__ import annotations

import argparse
from typing import Any

from enc import audit
from enc.commands.call import Call, json_option
from enc.doctor.findings import lines, verdict
from enc.errors import ExitStatus, ToolkitError
from enc.names import BranchName
from puppetmaster_self import preflight
from puppetmaster_self.classified import of_this_node
from puppetmaster_self.commands.session import alone_here
from puppetmaster_self.facts import Facts, gather
from puppetmaster_self.machine import Machine
from puppetmaster_self.plan import Plan, Wish, branch_of, decide, upstream_of
from puppetmaster_self.presence import announce
from puppetmaster_self.states import after
from puppetmaster_self.transaction import enable, interruptible

SUMMARY = "make this instance its own Puppet master, or leave everything as it was"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--for-project", action="store_true", help="other instances of the project may use it, too")
    parser.add_argument("--upstream", metavar="URL", help="the central repository; default: self_master.upstream")
    parser.add_argument("--branch", metavar="BRANCH", help="what to build on; default: the project's branch")
    parser.add_argument(
        "--assigned", action="store_true", help="asked for in LDAP; where the instance is its own master already, done"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the very steps that would be taken, and take none")
    json_option(parser)


def run(call: Call) -> int:
    """Do it; exit status 1 if it was not possible and everything is as before."""
    with alone_here(call) as (journal, machine):
        if call.arguments.assigned and journal.state == "serving":
            call.show({"state": "serving"}, "this instance is its own master already")
            return ExitStatus.DONE
        after(journal.state, "enable")
        wish = _wish(call, machine)
        upstream, branch = upstream_of(wish, call.settings), branch_of(wish, call.settings)
        facts = gather(machine, call.settings.self_master, upstream, branch)
        _check(call, facts)
        plan = decide(facts, wish, call.settings, call.config_path.absolute(), machine.places)
        if call.arguments.dry_run:
            call.show(_document(plan), [f"{step.name}: {step.summary()}" for step in plan.steps])
            return ExitStatus.DONE
        user, behind = audit.local_user()
        opening = {"what": "enable", "who": behind or user, "certname": facts.certname, **_opening(plan, wish)}
        with interruptible():
            enable(journal, machine, plan.steps, call.say, opening)
        announce(call.settings, machine, journal, call.say)
    call.show(
        {"state": "serving", **_opening(plan, wish)},
        f"this instance is its own master; edit {call.settings.self_master.working_copy}, commit, run the agent",
    )
    return ExitStatus.DONE


def _wish(call: Call, machine: Machine) -> Wish:
    arguments = call.arguments
    environment, project = of_this_node(call.settings, machine, call.say)
    return Wish(
        upstream=arguments.upstream,
        branch=BranchName(arguments.branch) if arguments.branch else None,
        for_project=arguments.for_project,
        environment=environment,
        project=project,
    )


def _check(call: Call, facts: Facts) -> None:
    found = list(preflight.judge(facts, call.settings.self_master))
    if verdict(found) == ExitStatus.DONE:
        return
    for line in lines([finding for finding in found if finding.level == "fault"]):
        call.say(line)
    raise ToolkitError("not now; nothing was changed", where="preflight")


def _opening(plan: Plan, wish: Wish) -> dict[str, Any]:
    return {
        "upstream": plan.upstream,
        "branch": plan.branch,
        "environment": plan.environment,
        "server": plan.server,
        "project": wish.project,
        "for_project": wish.for_project,
    }


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "upstream": plan.upstream,
        "branch": plan.branch,
        "environment": plan.environment,
        "server": plan.server,
        "steps": [{"step": step.name, "what": step.summary()} for step in plan.steps],
    }
