"""Compiles for pushes beside them: a push waits a while for its effect, and the rest goes on after it.

One change of an environment is compiled at a time: a newer push ends the older
one's compiles. What is known is kept (kept.py) at the end, and marked when it is not all.

Failure modes: whatever happens in a thread here is told by `Waiting.lines` and
in the log; a push is never stopped by it. A process that ends stops what is under
way; its preview goes with the next one.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from enc.catalogs.effect import Effect
from enc.programs.log import get
from enc.programs.machine_trouble import told
from enc.terms.environments import Place
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.records import Record
from git_hooks.effects.comparing import PUSHED_AGAIN, Change, Comparison, Halt, Node, nodes
from git_hooks.effects.kept import Kept, KeptEffects
from git_hooks.effects.trees import reached
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.versions import ForeignEnvironment

if TYPE_CHECKING:
    from enc.settings import Settings

_WHOLE = 900.0
"""Seconds after which compiles end that nobody waits for."""
_ENDING = 5.0
_STOPPED = "the service was stopped"


class Waiting:
    """One effect that is being found out."""

    def __init__(self, place: Place, halt: Halt) -> None:
        self.place = place
        self.halt = halt
        self.over = threading.Event()
        self.effect: Effect | None = None
        self.trouble = ""
        """Why nothing is known."""

    def lines(self, seconds: float) -> tuple[str, ...]:
        """Return what a push tells of it after waiting so long."""
        more = f"branch-manager diff {self.place.branch}"
        if not self.over.wait(max(seconds, 0)):
            return (f"effect: still being compiled; an operator can read it with: {more}",)
        if self.effect is None:
            return (f"not checked: effect on nodes ({self.trouble})",)
        return (*self.effect.summary(), *((f"  in full: {more}",) if self.effect.groups() else ()))


class Effects:
    """The effects that one process finds out. Any threads may share it."""

    def __init__(self) -> None:
        """Start nothing."""
        self._lock = threading.Lock()
        self._running: dict[EnvironmentName, tuple[Waiting, threading.Thread]] = {}

    def start(self, settings: Settings, place: Place, change: Change, users: tuple[Node, ...]) -> Waiting:
        """Begin; an older one of the environment ends."""
        waiting = Waiting(place, Halt(_WHOLE))
        thread = threading.Thread(
            target=self._find_out, args=(settings, change, users, waiting), name="effect", daemon=True
        )
        with self._lock:
            older = self._running.get(change.environment)
            if older is not None:
                older[0].halt.now(PUSHED_AGAIN)
            self._running[change.environment] = waiting, thread
        thread.start()
        return waiting

    def begin(
        self, settings: Settings, usage: Usage, deployer: Deployer, place: Place, record: Record
    ) -> Waiting | None:
        """Begin to compile the nodes that a deploy reaches; None: none, or nobody can, or nothing else is shown now."""
        if record.old is None or record.new is None or record.old == record.new or not record.good:
            return None
        if settings.pushes.effects != "compile" or not settings.branches.puppetserver.urls:
            return None
        try:
            users = nodes(settings, usage, place)
        except UsageUnknown:
            return None  # who deploys says it, or status and doctor
        if not users:
            return None
        differ = reached(deployer.repository, record.old, record.new)
        return self.start(settings, place, Change(place.environment, record.old, record.new, differ), users)

    def close(self) -> None:
        """End all, and wait a little for it."""
        with self._lock:
            running = list(self._running.values())
        for waiting, _ in running:
            waiting.halt.now(_STOPPED)
        for _, thread in running:
            thread.join(_ENDING)

    def _find_out(self, settings: Settings, change: Change, users: tuple[Node, ...], waiting: Waiting) -> None:
        try:
            effect = found(settings, change, users, waiting.halt)
            if waiting.halt.why != PUSHED_AGAIN:  # else the newer one is kept
                keep(settings, waiting.place, change, users, effect)
            waiting.effect = effect
        except (ToolkitError, OSError) as error:
            waiting.trouble = told(error)
        except Exception:  # one iteration: the next push is another
            waiting.trouble = "a bug, see the log"
            get("effects").exception("the effect of a push could not be found out")
        finally:
            waiting.over.set()
            with self._lock:
                if self._running.get(change.environment, (None,))[0] is waiting:
                    del self._running[change.environment]


class Ahead(NamedTuple):
    """What would be compiled if a branch's environment showed another commit than what is live."""

    environment: EnvironmentName
    live: ObjectId
    commit: ObjectId
    users: tuple[Node, ...]


def ahead(settings: Settings, usage: Usage, deployer: Deployer, place: Place, commit: ObjectId) -> Effect | None:
    """Return what it would do to nodes if the branch's environment showed `commit` instead of what is live.

    None: nothing, for nothing is live or no node uses it. The version is built, and not switched to; the effect is not
    kept. Ends after `pushes.compile_seconds`. Raise `ToolkitError` or OSError.
    """
    one = planned(settings, usage, deployer, place, commit)
    return None if one is None else carried_out(settings, deployer, one)


def planned(settings: Settings, usage: Usage, deployer: Deployer, place: Place, commit: ObjectId) -> Ahead | None:
    """Return what `ahead` would compile; None: nothing. Raise as it does."""
    name = place.environment
    if not deployer.shows(name):
        return None
    try:
        live = deployer.versions.live(name)
    except ForeignEnvironment:
        return None  # the deploy says it
    if live is None or live == commit:
        return None
    users = nodes(settings, usage, place)
    return Ahead(name, live, commit, users) if users else None


def carried_out(settings: Settings, deployer: Deployer, one: Ahead) -> Effect:
    """Compile that; raise as `ahead` does."""
    deployer.prepare(one.environment, one.commit)
    change = Change(one.environment, one.live, one.commit, reached(deployer.repository, one.live, one.commit))
    return found(settings, change, one.users, Halt(settings.pushes.compile_seconds))


def found(settings: Settings, change: Change, users: tuple[Node, ...], halt: Halt) -> Effect:
    """Find an effect out; raise `NothingToCompare` or OSError."""
    comparison = Comparison(settings, _kept(settings).mask())
    try:
        return comparison.effect(change, users, halt)
    finally:
        comparison.close()


def keep(settings: Settings, place: Place, change: Change, users: tuple[Node, ...], effect: Effect) -> None:
    """Keep an effect as the last one of its environment; raise OSError."""
    projects: dict[str, str | None] = {node.certname: node.project for node in users}
    commits, complete = (change.before, change.after), not effect.unchecked
    one = Kept(change.environment, place.branch, *commits, time.time(), complete, effect.digest, projects, effect)
    _kept(settings).keep(one)


def _kept(settings: Settings) -> KeptEffects:
    return KeptEffects(Layout(str(settings.branches.store), str(settings.branches.environments)))
