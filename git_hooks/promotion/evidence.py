"""On which evidence a promotion went, a sentence for each thing: for the commit, the history and people. Pure."""

from __future__ import annotations

from enc.programs.times import iso
from enc.settings import RungSettings
from enc.terms.counted import counted
from git_hooks.promotion.rules import Facts, counting


def evidence(facts: Facts, rung: RungSettings) -> tuple[str, ...]:
    """Return what the rules found."""
    found = [f"tree: passed what a push must pass{'; ' + '; '.join(facts.unchecked) if facts.unchecked else ''}"]
    found += [f"nodes: {facts.on_nodes}"] if facts.on_nodes else []
    found += [f"check {name}: {facts.checks.get(name, 'green')}" for name in rung.checks]
    if rung.approvals or facts.emergency:
        found.append(f"approvals: {len(counting(facts, rung))} of {max(rung.approvals or 0, int(facts.emergency))}")
    if facts.below and facts.live_since is not None:
        runs = f", {counted(facts.good_runs, 'good run')} of canary nodes" if rung.soak_runs else ""
        found.append(f"soak: live on {facts.below} since {iso(facts.live_since)}{runs}")
    if facts.emergency:
        found.append("emergency: without the queue, the soak and the rung below")
    return tuple(found)
