"""What the commands of promotion share: the desk, who acts, and how a promotion is shown."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from enc.commands.call import Call
from enc.programs.documents import moment
from enc.programs.times import iso
from enc.terms.errors import ExitStatus, one_line
from enc.terms.names import PersonName
from git_hooks.branches.usage import Usage
from git_hooks.commands.target import opened, who
from git_hooks.effects.remembered import RememberedEffects
from git_hooks.promotion import rules
from git_hooks.promotion.catalogs import CompiledCatalogs
from git_hooks.promotion.desk import Desk
from git_hooks.promotion.effect import SHOWN
from git_hooks.promotion.kept import NEW, Effect, Promotion
from git_hooks.promotion.looking import Looked
from git_hooks.promotion.result import Clash, Side
from git_hooks.promotion.states import LANDED
from git_hooks.push.membership import Membership
from git_hooks.push.patch_holds import PatchHold


def as_option(parser: argparse.ArgumentParser) -> None:
    """Offer `--as`."""
    words = "the person who decides this, as their uid in LDAP; default: the account that runs the command"
    parser.add_argument("--as", dest="person", metavar="UID", help=words)


def acting(call: Call) -> str:
    """Return who acts: whom `--as` names (or ssh knows), else who runs the command."""
    person = call.arguments.person
    return who() if person is None else PersonName(person)


@contextmanager
def desk(call: Call) -> Iterator[Desk]:
    """Give the desk of the configured repository."""
    membership = Membership(call.settings, time.time)
    try:
        with opened(call) as (deployer, _):
            # Whom ssh knows has a key of their own; the account that runs this is everybody's.
            runs = "" if getattr(call.arguments, "by_key", False) else who()
            usage = Usage(call.settings)
            catalogs = CompiledCatalogs(call.settings, usage, RememberedEffects())
            yield Desk(call.settings, deployer, membership, usage, entered_by=runs, catalogs=catalogs)
    finally:
        membership.close()


def ended(call: Call, desk: Desk, id: str) -> int:
    """Show where a promotion is; exit status 1 unless it got to its rung."""
    kept = desk.kept.get(id)
    call.show({"dry_run": False, **over(kept, "")}, ())
    return ExitStatus.DONE if kept.state in LANDED and kept.state not in ("stopping", "stopped") else ExitStatus.FAILED


def promotion(one: Promotion) -> dict[str, Any]:
    """Return a promotion for programs."""
    return {
        "id": None if one.id == NEW else one.id,
        "rung": one.rung,
        "branch": one.branch,
        "source": one.source,
        "method": one.way,
        "state": one.state,
        "reasons": list(one.why),
        "subject": one.subject,
        "reason": one.reason,
        "proposed_by": one.who,
        "promoted_by": one.by or None,
        "entered_by": one.entered or None,
        "emergency": one.emergency,
        "commits": list(one.commits),
        "effect": effect(one.effect),
        "approvals": [
            {"who": given.who, "effect": given.effect.digest, "at": moment(given.at), "via": given.via}
            for given in one.approvals
        ],
        "checks": [
            {"name": name, "state": said.state, "commit": said.source, "who": said.who, "at": moment(said.at),
             "url": said.url or None}
            for name, said in one.checks.items()
        ],
        "proposed_at": moment(one.at),
        "queued_at": moment(one.queued),
        "moved_at": moment(one.moved),
        "ended_at": moment(one.ended),
        "from": None if one.old is None or one.old.absent else one.old,
        "to": one.new,
        "holds": list(one.holds),
    }


def effect(one: Effect | None) -> dict[str, Any] | None:
    """Return what an approval is bound to."""
    if one is None:
        return None
    return {
        "digest": one.digest,
        "base": one.base,
        "commit": one.source,
        "tree": one.tree,
        "catalogs": one.catalogs or None,
        "summary": one.summary or None,
    }


def looked(one: Looked, difference: str) -> dict[str, Any]:
    """Return a promotion as it is now."""
    result = one.made.result
    return {
        **promotion(one.promotion),
        "outcome": one.outcome,
        "rules": [{"rule": said.rule, "lets": not said.why, "why": said.why or None} for said in one.verdicts],
        "comes": [
            {"commit": told.commit, "author": f"{told.author} <{told.author_email}>", "subject": told.subject}
            for told in result.comes
        ],
        "already": [{"commit": told.commit, "is": name} for told, name in result.already],
        "conflicts": [_clash(clash) for clash in result.clashes],
        "difference": difference,
    }


def over(one: Promotion, difference: str) -> dict[str, Any]:
    """Return a promotion in the shape of one that was looked at now, for one that cannot be any more."""
    nothing: dict[str, Any] = {"outcome": None, "rules": [], "comes": [], "already": [], "conflicts": []}
    return {**promotion(one), **nothing, "difference": difference}


def _clash(clash: Clash) -> dict[str, Any]:
    return {"path": clash.path, "what": clash.what, "ours": _side(clash.ours), "theirs": _side(clash.theirs)}


def _side(side: Side) -> dict[str, Any]:
    return {
        "commit": side.commit,
        "author": side.author or None,
        "subject": side.subject or None,
        "patch": side.patch,
    }


def hold(one: PatchHold) -> dict[str, Any]:
    """Return what keeps a change out."""
    return {
        "id": one.id,
        "branch": one.branch,
        "commits": list(one.commits),
        "subject": one.subject,
        "who": one.who,
        "reason": one.reason,
        "at": moment(one.at),
        "until": moment(one.until),
        "lifted_by": one.lifted_by or None,
        "lifted_why": one.lifted_why or None,
        "lifted_at": moment(one.lifted_at),
    }


def line(one: Promotion) -> str:
    """Return a promotion in one line."""
    what = f"{one.source} → {one.rung}" if one.way != "revert" else f"revert on {one.rung}"
    why = f": {'; '.join(one.why)}" if one.why else ""
    return one_line(f"{one.id}  {one.state}  {what}  {one.who}  {iso(one.at)}  {one.subject}{why}")


def plain(patch: str) -> list[str]:
    """Return the lines of a patch, in which nothing can do more than be read."""
    return [one_line(text.expandtabs()) for text in patch.split("\n")]


def lines(one: Looked) -> list[str]:
    """Return a promotion as it is now, for people."""
    return [one_line(text) for text in _lines(one)]


def _lines(one: Looked) -> Iterator[str]:
    kept, result = one.promotion, one.made.result
    name = "(not proposed)" if kept.id == NEW else kept.id
    yield f"{'promotion':<14}{name}  {kept.source} → {kept.rung} ({kept.way})"
    yield f"{'state':<14}{kept.state}{', in an emergency' if kept.emergency else ''}"
    yield f"{'proposed':<14}by {kept.who} on {iso(kept.at)}{': ' + kept.reason if kept.reason else ''}"
    for number, told in enumerate(result.comes[:20]):
        name = "brings" if number == 0 else ""
        yield f"{name:<14}{told.commit.abbreviated} {told.subject} ({told.author} <{told.author_email}>)"
    if len(result.comes) > 20:
        yield f"{'':<14}… and {len(result.comes) - 20} more"
    for number, (told, there) in enumerate(result.already):
        name = "already there" if number == 0 else ""
        yield f"{name:<14}{told.commit.abbreviated} {told.subject}, as {there.abbreviated}"
    for clash in result.clashes:
        yield f"{'conflict':<14}{clash.path}: {clash.what}"
        for whose, side in ((kept.branch, clash.ours), (kept.source, clash.theirs)):
            last = f"{side.commit.abbreviated} {side.subject} ({side.author})" if side.commit else "not changed"
            yield f"{'':<14}{whose}: {last}"
            yield from (f"{'':<16}{text}" for text in plain(side.patch)[:40])
    for given in kept.approvals:
        yield f"{'approval':<14}{given.who} on {iso(given.at)} ({given.via}), effect {given.effect.digest[:SHOWN]}"
    for name, said in kept.checks.items():
        by = f"{said.who}, {said.url}" if said.url else said.who
        yield f"{'check':<14}{name}: {said.state} at {said.source.abbreviated} ({by})"
    if kept.effect is not None and result.steps:
        headline, *more = kept.effect.summary.split("\n")
        yield f"{'effect':<14}{kept.effect.digest[:SHOWN]}{headline and ': ' + headline}"
        yield from (f"{'':<14}{text}" for text in more)
    for number, reason in enumerate(rules.reasons(one.verdicts)):
        yield f"{one.outcome if number == 0 else '':<14}{reason}"
    if one.outcome == "go":
        yield f"{'go':<14}all rules let it through"
    if kept.id != NEW and kept.effect is not None and result.steps:
        command = f"branch-manager promotion approve {kept.id} --effect {kept.effect.digest[:SHOWN]}"
        yield f"{'to approve':<14}{command}"
