"""The rules of a rung: facts about a promotion in, what each rule says of them out. Pure, without a clock.

A rule has a name, a text for people, and an end: what becomes of a promotion that it does not let through. `refuse`:
time mends nothing, it is over. `propose`: it stays a proposal, until people have decided. `wait`: it keeps its place in
the queue, and is looked at again.

The facts of every promotion are kept with it, so a rule, or another setting of one, can be tried on past promotions
(`rehearse`) before it is switched on.

Not here: finding the facts (facts.py), and doing anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from enc.programs.times import age
from enc.settings import Duration, RungSettings
from enc.terms.counted import counted
from enc.terms.errors import UsageError
from enc.terms.filters import folded

End = Literal["refuse", "propose", "wait"]
_SHOWN = 5


class Given(NamedTuple):
    """An approval, and what is known of who gave it."""

    who: str
    effect: str
    """The digest of the effect that was seen."""
    roles: tuple[str, ...] = ()
    """Those that count towards a branch of the site."""
    own: str = ""
    """Why it is their own change: `proposed it`, `pushed a commit of it`, `wrote a commit of it`; empty: it is not."""


class Facts(NamedTuple):
    """What a promotion is judged by."""

    now: float = 0.0
    source: str = ""
    fits: bool = True
    """The source may be promoted to this rung."""
    sources: str = ""
    """What may, in words."""
    proposer: str = ""
    promoter: str = ""
    """Who said `promote`; empty: nobody yet."""
    proposer_roles: tuple[str, ...] = ()
    """Towards the source's project, and towards the site."""
    may_move: tuple[str, ...] = ()
    """Those among who proposed, who promotes and who approved that may move the rung's branch by a push."""
    why_not: str = ""
    """Why who promotes may not."""
    empty: bool = False
    """Everything in it is there already."""
    conflicts: tuple[str, ...] = ()
    """Paths."""
    held: tuple[str, ...] = ()
    """Holds that keep a part of it out, a sentence each."""
    problems: tuple[str, ...] = ()
    """What a push of the result would be refused for."""
    unchecked: tuple[str, ...] = ()
    """Why files of the result could not be checked."""
    below: str = ""
    """The branch of the rung below; empty: there is none."""
    absent_below: tuple[str, ...] = ()
    """Commits of it that the rung below does not have."""
    checks: Mapping[str, str] = {}
    """Name of a reported check to `green` or `red`."""
    approvals: tuple[Given, ...] = ()
    effect: str = ""
    """The digest of the effect now."""
    differs: str = ""
    """What differs from the effect that was approved last."""
    live_since: float | None = None
    """Since when all of it has been live on the rung below, seconds since 1970; None: it is not."""
    good_runs: int = 0
    """Of canary nodes, since then."""
    failed_nodes: tuple[str, ...] = ()
    """Canary nodes whose last run since then failed."""
    unread: str = ""
    """Why reports of runs could not be read."""
    ahead: tuple[str, ...] = ()
    """Promotions that stand before it in the queue."""
    emergency: bool = False
    emergency_roles: tuple[str, ...] = ()
    stopped: str = ""
    """Why nothing goes to this rung at present: its environment is held."""
    on_nodes: str = ""
    """What it does to the nodes of the rung, in a line."""
    unknown: str = ""
    """Why that is not known, where the branch requires it or people approved it."""


class Rule(NamedTuple):
    """One rule."""

    name: str
    text: str
    """What it asks for, for people."""
    end: End
    judge: Callable[[Facts, RungSettings], str]
    """Returns why it does not let the promotion through; empty: it does."""
    in_emergency: bool = True
    """Whether it counts for a promotion with `--emergency`."""


class Verdict(NamedTuple):
    """What one rule says."""

    rule: str
    why: str
    """Empty: it lets the promotion through."""


Outcome = Literal["go", "refuse", "propose", "wait"]


REVERTS = frozenset({"conflict", "news", "tree", "right"})
"""The rules that count for a revert: what was good enough before is good enough now, and it is urgent."""


def judge(facts: Facts, rung: RungSettings, *, reverts: bool = False) -> tuple[Verdict, ...]:
    """Return what every rule says; `reverts`: it undoes something."""
    asked = (rule for rule in RULES if rule.in_emergency or not facts.emergency)
    asked = (rule for rule in asked if not reverts or rule.name in REVERTS)
    return tuple(Verdict(rule.name, rule.judge(facts, rung)) for rule in asked)


def outcome(verdicts: Iterable[Verdict]) -> Outcome:
    """Return what becomes of a promotion of which the rules say that."""
    ends = {_BY_NAME[one.rule].end for one in verdicts if one.why}
    order: tuple[End, ...] = ("refuse", "propose", "wait")
    return next((end for end in order if end in ends), "go")


def reasons(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """Return why it does not go on, a sentence for each rule, its name first."""
    return tuple(f"{one.rule}: {one.why}" for one in verdicts if one.why)


def counting(facts: Facts, rung: RungSettings) -> tuple[Given, ...]:
    """Return the approvals that count: of the effect as it is now, by other people, with a role, each person once."""
    roles = facts.emergency_roles if facts.emergency else rung.approvers
    found = {folded(one.who): one for one in facts.approvals if one.effect == facts.effect and not one.own}
    return tuple(one for one in found.values() if set(one.roles) & set(roles))


def _source(facts: Facts, rung: RungSettings) -> str:
    return "" if facts.fits else f"{facts.source} may not be promoted to {rung.name}; {facts.sources} may"


def _proposer(facts: Facts, rung: RungSettings) -> str:
    if set(facts.proposer_roles) & set(rung.propose):
        return ""
    return f"{facts.proposer} may not propose {facts.source} for {rung.name}; {_listed(rung.propose)} may"


def _news(facts: Facts, rung: RungSettings) -> str:
    return f"all of it is on {rung.branch} already" if facts.empty and not facts.conflicts else ""


def _conflict(facts: Facts, rung: RungSettings) -> str:
    if not facts.conflicts:
        return ""
    return f"it does not merge with {rung.branch}: {_some(facts.conflicts)}; merge {rung.branch} into it first"


def _held(facts: Facts, _: RungSettings) -> str:
    return "; ".join(facts.held)


def _tree(facts: Facts, _: RungSettings) -> str:
    return "; ".join(facts.problems)


def _stopped(facts: Facts, _: RungSettings) -> str:
    return facts.stopped


def _below(facts: Facts, _: RungSettings) -> str:
    if not facts.below or not facts.absent_below:
        return ""
    many = counted(len(facts.absent_below), "commit of it is", "commits of it are")
    return f"{many} not on {facts.below}: {_some(facts.absent_below)}; promote it there first"


def _checks(facts: Facts, rung: RungSettings) -> str:
    bad = [f"{name} is red" for name in rung.checks if facts.checks.get(name) == "red"]
    if "complete" in rung.checks and facts.unchecked:
        bad.append(f"not everything could be checked: {'; '.join(facts.unchecked)}")
    return "; ".join(bad)


def _reported(facts: Facts, rung: RungSettings) -> str:
    missing = [name for name in rung.checks if name != "complete" and name not in facts.checks]
    return f"nobody has reported {', '.join(missing)} yet" if missing else ""


def _right(facts: Facts, rung: RungSettings) -> str:
    who = {*facts.may_move} & {facts.proposer, facts.promoter, *(one.who for one in counting(facts, rung))}
    if who:
        return ""
    return facts.why_not or f"nobody who may move {rung.branch} has promoted or approved it"


def _approvals(facts: Facts, rung: RungSettings) -> str:
    needed = max(rung.approvals or 0, 1 if facts.emergency else 0)
    found = len(counting(facts, rung))
    if found >= needed:
        return ""
    roles = facts.emergency_roles if facts.emergency else rung.approvers
    parts = [f"it has {found} of {needed} approvals of {_listed(roles)}"]
    for one in facts.approvals:
        if one.own:
            parts.append(f"{one.who} {one.own}, so that approval does not count")
        elif one.effect != facts.effect:
            parts.append(f"that of {one.who} is void, because the effect is another now: {facts.differs}")
        elif not set(one.roles) & set(roles):
            parts.append(f"{one.who} is none of these")
    return "; ".join(parts)


def _soak(facts: Facts, rung: RungSettings) -> str:
    if not facts.below or not (rung.soak_runs or rung.soak_time):
        return ""
    if facts.live_since is None:
        return f"it is not live on {facts.below} yet"
    parts = []
    if (rest := facts.live_since + rung.soak_time - facts.now) > 0:
        parts.append(f"it must be live on {facts.below} for {age(rest)} more")
    if facts.good_runs < (rung.soak_runs or 0):
        parts.append(f"{facts.good_runs} of {rung.soak_runs} good runs of canary nodes of {facts.below}")
        parts += [facts.unread] if facts.unread else []
    return "; ".join(parts)


def _canaries(facts: Facts, rung: RungSettings) -> str:
    if not facts.below or not (rung.soak_runs or rung.soak_time) or len(facts.failed_nodes) <= (rung.failures or 0):
        return ""
    return f"runs fail on {facts.below} since it is live there: {_some(facts.failed_nodes)}"


def _effect(facts: Facts, _: RungSettings) -> str:
    return facts.unknown


def _queue(facts: Facts, _: RungSettings) -> str:
    return f"it stands behind {', '.join(facts.ahead)}" if facts.ahead else ""


RULES: tuple[Rule, ...] = (
    Rule("source", "It comes from a branch that may be promoted to this rung (sources).", "refuse", _source),
    Rule("proposer", "Who proposes it has a role for that (propose).", "refuse", _proposer),
    Rule("conflict", "It merges with the rung's branch.", "refuse", _conflict),
    Rule("news", "Something of it is not there yet.", "refuse", _news),
    Rule("held", "No hold keeps it out: nothing of it was reverted there.", "refuse", _held),
    Rule("tree", "The merge result passes what a push to the branch must pass.", "refuse", _tree),
    Rule("checks", "No check that it needs is red (checks).", "refuse", _checks),
    Rule("below", "All of it is on the rung below.", "refuse", _below, in_emergency=False),
    Rule(
        "approvals",
        "So many others approved its effect as it is now (approvals, approvers): nobody who proposed it, or wrote or "
        "pushed a commit of it.",
        "propose",
        _approvals,
    ),
    Rule("right", "Somebody who may push to the branch promotes it or approved it.", "propose", _right),
    Rule("stopped", "The rung's environment is not held.", "wait", _stopped),
    Rule(
        "effect",
        "What it does to nodes is known, where the branch requires that (pushes.require_checks) or people approved it.",
        "wait",
        _effect,
    ),
    Rule("queue", "It is the first in the rung's queue.", "wait", _queue, in_emergency=False),
    Rule("reported", "All checks that it needs are reported (checks).", "wait", _reported, in_emergency=False),
    Rule("soak", "It was live long enough on the rung below (soak_time, soak_runs).", "wait", _soak,
         in_emergency=False),
    Rule("canaries", "No more canary nodes of the rung below fail than may (failures).", "wait", _canaries,
         in_emergency=False),
)
"""The table of rules, in the order in which they are told; docs/promotion.md shows it."""

_BY_NAME = {rule.name: rule for rule in RULES}


class Rehearsal(NamedTuple):
    """What a rule would have said of past promotions."""

    looked_at: int
    refused: tuple[tuple[str, str], ...]
    """Of those that it would not have let through: which, and why."""


def rehearse(name: str, rung: RungSettings, past: Iterable[tuple[str, Facts]]) -> Rehearsal:
    """Return what the rule `name` would have said of `past` (id and facts, as they were when it went)."""
    rule = named(name)
    found = [(id, rule.judge(facts, rung)) for id, facts in past if rule.in_emergency or not facts.emergency]
    return Rehearsal(len(found), tuple((id, why) for id, why in found if why))


def named(name: str) -> Rule:
    """Return a rule; raise `UsageError` with those that there are."""
    if name not in _BY_NAME:
        raise UsageError(f"is no rule; known: {', '.join(_BY_NAME)}", where=name)
    return _BY_NAME[name]


_SETTINGS: Mapping[str, str] = {
    **dict.fromkeys(("approvals", "approvers"), "approvals"),
    **dict.fromkeys(("soak_runs", "soak_time"), "soak"),
    **dict.fromkeys(("propose",), "proposer"),
    **dict.fromkeys(("checks",), "reported"),
    **dict.fromkeys(("failures",), "canaries"),
}
"""Setting of a rung to the rule that asks for it."""


def tried(text: str, rung: RungSettings) -> tuple[str, RungSettings]:
    """Return what is to be rehearsed: a rule's name, or `SETTING=VALUE` of a rung; raise `UsageError`."""
    setting, equals, value = text.partition("=")
    if not equals:
        return named(text).name, rung
    if setting not in _SETTINGS:
        raise UsageError(f"cannot be rehearsed; known: {', '.join(_SETTINGS)}", where=setting)
    try:
        wanted: dict[str, Any] = {setting: _value(setting, value)}
    except ValueError as error:
        raise UsageError(f"{value!r} is not {error}", where=setting) from error
    return _SETTINGS[setting], replace(rung, **wanted)


def _value(setting: str, text: str) -> object:
    if setting == "soak_time":
        return Duration.parse(text)
    if setting not in ("approvals", "soak_runs", "failures"):
        return tuple(part for part in text.split(",") if part)
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise ValueError("a whole number from 0")
    return int(text)


def _listed(words: Iterable[str]) -> str:
    return " or ".join(words) or "nobody"


def _some(words: tuple[str, ...]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
