"""`branch-manager deploy`: make environments show their branches."""

from __future__ import annotations

import argparse
from collections.abc import Container

from enc.commands.call import Call, json_option, table
from enc.terms.counted import counted
from enc.terms.environments import collisions
from enc.terms.errors import ExitStatus, InvalidName, NotFound, UsageError
from enc.terms.names import EnvironmentName
from enc.terms.puppet_names import environment_fault
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.commands import views
from git_hooks.commands.target import dry_run_option, environment, opened, places, settled, who
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import told
from git_hooks.deploy.targets import Exact, Gone, Target, Tip
from git_hooks.repository.refs import ObjectId

SUMMARY = "make environments show what their branches show, and finish what was interrupted"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("environments", metavar="ENVIRONMENT|BRANCH", nargs="*", help="default: all")
    parser.add_argument(
        "--commit", metavar="COMMIT", help="this commit instead of the branch's last one; the next push replaces it"
    )
    parser.add_argument(
        "--gone", action="store_true", help="also remove environments that have neither a branch nor nodes"
    )
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Deploy; exit status 1 if an environment does not show what it should."""
    arguments = call.arguments
    if arguments.gone and arguments.environments:
        raise UsageError("--gone is for all environments; do not name any")
    if arguments.commit and len(arguments.environments) != 1:
        raise UsageError("--commit needs exactly one environment")
    with opened(call) as (deployer, _):
        targets = _targets(call, deployer)
        if arguments.dry_run:
            plans = [deployer.plan(name, target) for name, target in targets.items()]
            cells = [(plan.environment, plan.decision, _short(plan.old), _short(plan.new)) for plan in plans]
            call.show(views.would_deploy(plans, "deploy"), table(("ENVIRONMENT", "WOULD", "FROM", "TO"), cells))
            return ExitStatus.DONE
        settled(call, deployer)
        records = [deployer.deploy(name, target, who(), "deploy") for name, target in targets.items()]
    shown = [one for one in records if arguments.environments or one.outcome != "unchanged"]
    lines = [told(record) for record in shown] or [_all_show(len(records))]
    call.show(views.deploys(records), lines)
    return ExitStatus.DONE if all(one.good or one.outcome == "held" for one in records) else ExitStatus.FAILED


def _all_show(number: int) -> str:
    if number == 0:
        return "no environments"
    return "the one environment shows its branch" if number == 1 else f"all {number} environments show their branches"


def _targets(call: Call, deployer: Deployer) -> dict[EnvironmentName, Target]:
    known = places(call, deployer)
    rivals = {branch for branches in collisions(known.values()).values() for branch in branches}
    if call.arguments.commit:
        name = environment(call.arguments.environments[0], call)
        # One that is there stays somebody's to roll back and forth.
        if (fault := environment_fault(name)) and deployer.versions.live(name) is None:
            raise InvalidName(fault, where=name)
        return {name: Exact(deployer.repository.commit_of(call.arguments.commit))}
    if not call.arguments.environments:
        wanted: dict[EnvironmentName, Target] = {
            name: Tip(place.branch) for name, place in sorted(known.items()) if place.branch not in rivals
        }
        return wanted | (_gone(call, deployer, known) if call.arguments.gone else {})
    chosen = [environment(text, call) for text in call.arguments.environments]
    for name in chosen:
        if name not in known:
            raise NotFound("no branch becomes this environment", where=name)
    return {name: Tip(known[name].branch) for name in chosen}


def _gone(call: Call, deployer: Deployer, known: Container[EnvironmentName]) -> dict[EnvironmentName, Target]:
    """Return what removes the environments that have no branch any more and no nodes."""
    usage = Usage(call.settings)
    found: dict[EnvironmentName, Target] = {}
    for name in deployer.versions.environments():
        if name in known:
            continue
        try:
            nodes = usage.nodes_for_certain(name)
        except UsageUnknown as error:
            call.say(f"{name} has no branch, and stays: {error}")
            continue
        if nodes:
            use = counted(len(nodes), "node uses", "nodes use")
            call.say(f"{name} has no branch, and stays: {use} it, for example {nodes[0]}")
        else:
            found[name] = Gone()
    return found


def _short(commit: ObjectId | None) -> str:
    return commit.abbreviated if commit is not None else "-"
