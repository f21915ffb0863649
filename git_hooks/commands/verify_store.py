"""`branch-manager verify-store`: every file against its blob, every environment against its branch."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus
from git_hooks.branches.listing import rows
from git_hooks.commands.target import opened
from git_hooks.deploy.verify import Fault, verify_store

SUMMARY = "compare every served file with git, and every environment with its branch"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Verify; exit status 4 if anything differs."""
    with opened(call) as (deployer, refs):
        faults = list(verify_store(deployer.layout, deployer.repository))
        for row in rows(call.settings, deployer, refs):
            if row.state not in ("live", "held", "not flushed"):
                problem = f"{row.state}{row.missing and ', '}{row.missing}; run branch-manager deploy"
                faults.append(Fault(deployer.layout.live(row.environment), problem))
    document = {"faults": [{"path": fault.path, "problem": fault.problem} for fault in faults]}
    call.show(document, [f"{one.path}: {one.problem}" for one in faults] or ["all is well"])
    return ExitStatus.FOUND if faults else ExitStatus.DONE
