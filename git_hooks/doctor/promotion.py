"""Is anything stuck on its way to production: promotions, rungs, holds?"""

from __future__ import annotations

import time
from collections.abc import Iterator

from enc.doctor.findings import Finding, fault, ok, warning
from enc.programs.times import age, day
from enc.settings import Settings
from enc.terms.counted import counted
from enc.terms.errors import ConfigurationError, ToolkitError
from git_hooks.promotion.kept import Promotions
from git_hooks.promotion.rungs import rungs
from git_hooks.promotion.states import OWED
from git_hooks.push.patch_holds import PatchHolds
from git_hooks.repository.objects import Repository

_UNFINISHED = 600.0
"""Seconds after which what is owed at once is not just under way."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at what is kept."""
    path = str(settings.branches.repository)
    try:
        yield from _rungs(settings)
        yield from _promotions(settings, Promotions(path))
        yield from _holds(PatchHolds(path))
    except ToolkitError as error:
        yield fault("promotions", f"cannot be looked at: {error}", "see the message")


def _rungs(settings: Settings) -> Iterator[Finding]:
    try:
        found = rungs(settings)
    except ConfigurationError as error:
        yield fault("promotion-rungs", str(error), "correct promotion.rungs or branches.rules")
        return
    if not settings.promotion.rungs:
        return  # what the rules name need not be used
    with Repository(str(settings.branches.repository)) as repository:
        for rung in found:
            for place in filter(None, (rung.place, rung.canary)):
                if repository.tip(place.branch) is None and place is rung.place:
                    text = f"rung {rung.name}: its branch {place.branch} is not there"
                    yield warning("promotion-rungs", text, f"push {place.branch}, or correct promotion.rungs")


def _promotions(settings: Settings, kept: Promotions) -> Iterator[Finding]:
    now, bad = time.time(), False
    for id in kept.damaged():
        bad = True
        yield fault("promotions", f"{id} cannot be read", "restore its file below puppetmaster/promotion, or remove it")
    for one in kept.all():
        since = one.queued or one.at
        if one.state in OWED and now - max(since, one.moved or 0) > _UNFINISHED:
            bad = True
            why = f": {'; '.join(one.why)}" if one.why else ""
            do = "branch-manager hooks carries it on; or run: branch-manager promotion go-on"
            yield fault("promotions", f"{one.id} has not got past {one.state}{why}", do)
        elif one.state == "queued" and now - since > settings.promotion.stuck_after:
            bad = True
            text = f"{one.id} has waited for {one.rung} for {age(now - since)}: {'; '.join(one.why)}"
            yield warning("promotions", text, f"see the reason; or branch-manager promotion withdraw {one.id}")
    waiting = sum(one.open for one in kept.all())
    if not bad and waiting:
        yield ok("promotions", f"{counted(waiting, 'promotion')} proposed or under way, none stuck")


def _holds(holds: PatchHolds) -> Iterator[Finding]:
    now = time.time()
    for one in holds.all():
        if one.holds and one.until < now:
            text = f"{one.id} of {one.who} on {one.branch} was to end on {day(one.until)}: {one.subject!r}"
            do = f"is it still needed? Else: branch-manager promotion lift {one.id}"
            yield warning("promotion-holds", text, do)
