"""`branch-manager make-branches`: every project in LDAP has its branch."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option, table
from enc.directory.ldap_store import LdapSource
from enc.terms.errors import Conflict, ExitStatus
from enc.terms.names import BranchName, ProjectName
from git_hooks.branches.project_branches import make, missing
from git_hooks.commands.target import dry_run_option, opened, who
from git_hooks.deploy.records import told

SUMMARY = "create a branch, from the one that branches.beginning names, for each project without one"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("projects", metavar="PROJECT", nargs="*", help="only these projects; default: all in LDAP")
    dry_run_option(parser)
    json_option(parser)


def run(call: Call) -> int:
    """Make them; exit status 1 if one could not be made."""
    wanted = {ProjectName(text) for text in call.arguments.projects}
    with LdapSource(call.settings) as source:
        known = source.project_names()
    outcomes: list[tuple[ProjectName, BranchName | None, str, bool]] = [
        (name, None, "there is no such project in LDAP", False) for name in sorted(wanted - known)
    ]
    with opened(call) as (deployer, refs):
        chosen = (wanted & known) if wanted else known
        for one in missing(chosen, deployer.repository.branches(), call.settings.branches.rules):
            if one.obstacle or one.place is None:
                outcomes.append((one.project, None, one.obstacle, False))
            elif call.arguments.dry_run:
                outcomes.append((one.project, one.place.branch, f"would get branch {one.place.branch}", True))
            else:
                try:
                    record = make(one, deployer, refs, who())
                except Conflict as conflict:
                    outcomes.append((one.project, None, str(conflict), False))
                else:
                    branch = one.place.branch
                    outcomes.append((one.project, branch, f"has branch {branch}; {told(record)}", record.good))
    rows = [{"project": name, "branch": branch, "outcome": text, "good": good} for name, branch, text, good in outcomes]
    document = {"dry_run": call.arguments.dry_run, "projects": rows}
    cells = [(name, text) for name, _, text, _ in outcomes]
    lines = table(("PROJECT", "OUTCOME"), cells) if outcomes else "every project has its branch"
    call.show(document, lines)
    return ExitStatus.DONE if all(good for *_, good in outcomes) else ExitStatus.FAILED
