"""Compiles what a promotion does to the nodes of its rung, as a push to its branch would be compiled.

Compared are what the rung's environment shows now, and the merge result, whose
version is built beside it; if the promotion does not go, that is collected
like any version that nobody uses. The digest is of the whole effect, so there
is none unless every node could be compiled: half an effect cannot be approved.

The same look is remembered for some minutes (effects/remembered.py), so that
a promotion that waits in its queue costs puppetserver nothing; what decides
whether it goes is compiled at that moment.

Failure modes: none. Where puppetserver, the follower or the store let us down,
the effect is not known, with the reason.
"""

from __future__ import annotations

from enc.catalogs.effect import Effect
from enc.programs.machine_trouble import told
from enc.settings import Settings
from enc.terms.errors import ToolkitError, bounded, one_line
from git_hooks.branches.usage import Usage
from git_hooks.deploy.deployer import Deployer
from git_hooks.effects.remembered import RememberedEffects, stamp
from git_hooks.effects.running import carried_out, planned
from git_hooks.promotion.effect import OnNodes
from git_hooks.promotion.rungs import Rung
from git_hooks.push.compiles import broken, unchecked
from git_hooks.push.incoming import Incoming
from git_hooks.push.policy import must_compile, named
from git_hooks.repository.refs import ObjectId

_LONGEST = 500
"""Characters of a line of the summary, and of a reason."""


class CompiledCatalogs:
    """Compiles for promotions of one site; see `effect.Catalogs`."""

    def __init__(self, settings: Settings, usage: Usage, remembered: RememberedEffects) -> None:
        """Compile nothing yet; `remembered` may be shared."""
        self._settings = settings
        self._usage = usage
        self._remembered = remembered

    def __call__(self, objects: Incoming, rung: Rung, new: ObjectId, *, fresh: bool) -> OnNodes:
        """Return what the nodes of `rung` get if its environment shows `new`."""
        off = _off(self._settings)
        if off:
            return OnNodes(summary=f"what it does to nodes is not looked at ({off})")
        try:
            effect = self._effect(objects, rung, new, fresh=fresh)
        except (ToolkitError, OSError) as error:
            return self._unknown(rung, f"effect on nodes ({_line(told(error))})")
        problems = broken(effect) if must_compile(self._settings, rung.branch) else ()
        problems = tuple(_line(one) for one in problems)
        summary = "\n".join(_line(one.removeprefix("effect: ")) for one in effect.summary())
        if effect.unchecked:
            return self._unknown(rung, _line(unchecked(effect)), summary)._replace(problems=problems)
        return OnNodes(effect.digest, summary, problems)

    def _effect(self, objects: Incoming, rung: Rung, new: ObjectId, *, fresh: bool) -> Effect:
        settings = self._settings
        deployer = Deployer(settings.branches, domains=settings.domains, repository=objects)
        one = planned(settings, self._usage, deployer, rung.place, new)
        if one is None:
            return Effect((), {})
        key = (one.environment, one.live, one.commit, stamp(settings.answers.directory, one.users))
        effect = self._remembered.get(key, fresh=fresh)
        if effect is None:
            effect = carried_out(settings, deployer, one)
            if not effect.unchecked:
                self._remembered.add(key, effect)
        return effect

    def _unknown(self, rung: Rung, why: str, seen: str = "") -> OnNodes:
        required = named(rung.branch, self._settings.pushes.require_checks)
        summary = f"what it does to nodes is not known: {why}"
        return OnNodes("", f"{summary}\n{seen}" if seen else summary, (), f"not checked: {why}", required)


def _off(settings: Settings) -> str:
    """Return why nobody compiles anything here; empty: it is done."""
    if settings.pushes.effects != "compile":
        return "pushes.effects is off"
    return "" if settings.branches.puppetserver.urls else "branches.puppetserver.urls is not set"


def _line(text: str) -> str:
    return bounded(one_line(text), _LONGEST)
