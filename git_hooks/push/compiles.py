"""Do the nodes that use a branch still compile with what a push brings? Asked before the push is accepted.

For branches that `pushes.compile` names. The version is built from the objects
of the push, which git still keeps in quarantine, beside what is live; if the
push is refused, it is collected like any version that nobody uses. Only code
that all other checks accepted is compiled: puppetserver runs it as it would
after a deploy.

A node that did not compile before refuses nothing. What could not be compiled
(puppetserver is down, the time is over) is told, and refuses the push only on
branches of `pushes.require_checks`.

Not here: what else a push is told of its effect (post_receive.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from enc.catalogs.effect import Effect, named
from enc.programs.machine_trouble import told
from enc.terms.counted import counted
from enc.terms.environments import Place
from enc.terms.errors import ToolkitError
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.effects.running import ahead
from git_hooks.push import policy
from git_hooks.push.incoming import Incoming
from git_hooks.repository.refs import ObjectId

if TYPE_CHECKING:
    from enc.settings import Settings


class Compiled(NamedTuple):
    """What was found out about one moved branch."""

    problems: tuple[str, ...] = ()
    """Why the push is refused."""
    notes: tuple[str, ...] = ()
    """What the person who pushes is told besides."""


def compiled(settings: Settings, usage: Usage, objects: Incoming, place: Place, new: ObjectId) -> Compiled:
    """Compile the nodes of a branch as they are now and at `new`."""
    try:
        deployer = Deployer(settings.branches, domains=settings.domains, repository=objects)
        effect = ahead(settings, usage, deployer, place, objects.commit_of(new))
    except (ToolkitError, OSError) as error:
        return _unchecked(settings, place, f"effect on nodes ({told(error)})")
    return Compiled() if effect is None else judged(settings, place, effect)


def judged(settings: Settings, place: Place, effect: Effect) -> Compiled:
    """Return what follows from an effect. Pure."""
    problems = broken(effect)
    if problems or not effect.unchecked:
        return Compiled(problems)
    return _unchecked(settings, place, unchecked(effect))


def broken(effect: Effect) -> tuple[str, ...]:
    """Return which nodes compiled before and would not any more, a sentence for each error. Pure."""
    return tuple(
        f"{named(one.nodes)} would not compile any more: {one.error}"
        for one in effect.failing()
        if one.state == "error after"
    )


def unchecked(effect: Effect) -> str:
    """Return what could not be compiled, and why; empty: all could. Pure."""
    reasons = sorted(set(effect.unchecked.values()))
    number = counted(len(effect.unchecked), "node")
    return f"effect on {number} ({'; '.join(reasons[:3])})" if reasons else ""


def _unchecked(settings: Settings, place: Place, what: str) -> Compiled:
    if policy.named(place.branch, settings.pushes.require_checks):
        return Compiled((f"cannot be checked: {what}; this branch requires it (pushes.require_checks)",))
    return Compiled((), (f"not checked: {what}",))
