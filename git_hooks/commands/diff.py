"""`branch-manager diff`: what the last push to a branch does to the nodes that use it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from enc.catalogs import effect as effects
from enc.catalogs import telling
from enc.commands.call import Call, json_option
from enc.programs.documents import moment
from enc.terms.counted import counted
from enc.terms.errors import ExitStatus, NotFound
from enc.terms.names import Certname
from git_hooks.commands.target import environment
from git_hooks.effects.kept import Kept, KeptEffects
from git_hooks.store.layout import Layout

SUMMARY = "show what the last push to a branch does to the nodes that use it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", metavar="ENVIRONMENT|BRANCH", help="the branch, or its environment")
    parser.add_argument("--node", metavar="CERTNAME", help="only this node, with all its differences")
    json_option(parser)


def run(call: Call) -> int:
    """Show it; exit status 4 if nodes do not compile any more."""
    branches = call.settings.branches
    name = environment(call.arguments.what, call)
    kept = KeptEffects(Layout(str(branches.store), str(branches.environments))).of(name)
    if call.arguments.node is not None:
        kept = _only(kept, Certname(call.arguments.node))
    call.show(document(kept), list(_lines(kept, one=call.arguments.node is not None)))
    return ExitStatus.FOUND if kept.effect.breaks else ExitStatus.DONE


def document(kept: Kept) -> dict[str, Any]:
    """Return it for programs (docs/json.md)."""
    nodes = [{**effects.document(one), "project": kept.projects.get(one.certname)} for one in kept.effect.nodes]
    unchecked = [{"certname": name, "reason": why} for name, why in sorted(kept.effect.unchecked.items())]
    return {
        "environment": kept.environment,
        "branch": kept.branch,
        "from": kept.before,
        "to": kept.after,
        "at": moment(kept.at),
        "complete": kept.complete,
        "digest": kept.digest,
        "nodes": nodes,
        "unchecked": unchecked,
    }


def _only(kept: Kept, certname: Certname) -> Kept:
    one, why = kept.effect.of(certname), kept.effect.unchecked.get(certname)
    if one is None and why is None:
        raise NotFound(f"was not compiled for {kept.branch} at {kept.after.abbreviated}", where=certname)
    nodes = (one,) if one is not None else ()
    return kept._replace(effect=effects.Effect(nodes, {} if why is None else {str(certname): why}))


def _lines(kept: Kept, *, one: bool) -> Iterator[str]:
    yield f"{kept.branch}: {kept.before.abbreviated} to {kept.after.abbreviated}"
    if one:
        for node in kept.effect.nodes:
            yield from telling.node_lines(node)
        yield from (f"{name}: not checked: {why}" for name, why in kept.effect.unchecked.items())
    else:
        yield from telling.whole(kept.effect)
        by_name = sum(node.by_name for node in kept.effect.nodes)
        if by_name:
            yield ""
            yield (
                f"{counted(by_name, 'catalog depends', 'catalogs depend')} on the environment's name: "
                "differences for that name alone are not shown"
            )
