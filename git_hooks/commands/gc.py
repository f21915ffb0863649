"""`branch-manager gc`: what nobody needs any more goes."""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.counted import counted
from git_hooks.branches.archive import forget
from git_hooks.commands.target import opened, settled
from git_hooks.deploy.collect import collect
from git_hooks.effects.kept import KeptEffects
from git_hooks.store.previews import sweep
from git_hooks.transport.tokens import Tokens

SUMMARY = (
    "remove versions that were live longer ago than branches.retain, archived branches beyond branches.archive_kept "
    "and archive_most, and remains of killed deploys"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Collect."""
    settings = call.settings.branches
    with opened(call) as (deployer, refs):
        deployer.ready()
        settled(call, deployer)
        count = deployer.counted()
        found = collect(deployer.layout, settings.retain, count)
        pruned = forget(deployer, refs, settings, count)
        sweep(deployer.layout)
        KeptEffects(deployer.layout).sweep()
    tokens = Tokens(settings.transport.tokens).remove_old(count)
    others = (counted(tokens, "token"), counted(len(pruned), "archived branch", "archived branches"))
    lines = [f"removed {', '.join((found.told(), *others))}"]
    lines += [f"{name}: skipped, because it is no longer our link; move it away" for name in found.skipped]
    document = {
        "versions": found.versions,
        "units": found.units,
        "puppetfiles": found.puppetfiles,
        "leftovers": found.leftovers,
        "skipped": list(found.skipped),
        "token_count": tokens,
        "archived": [one.name for one in pruned],
    }
    call.show(document, lines)
    return 0
