"""The branch manager's periodic chores; each does what a command does.

Owns: the chores, and which of them a site has (`intervals`). A chore yields a
remark about each thing that it did or could not do. It takes the locks that
the commands take, so both may run at once, and killed in between, the next run
does the rest. Whatever cannot be told (LDAP is away) changes nothing, and no
chore removes what a command would keep.

Not here: when they run (loop.py). Failure modes: `ToolkitError` or OSError
if a chore as a whole cannot be done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import Conflict, NotFound
from git_hooks.branches.archive import forget
from git_hooks.branches.expiry import Expiry
from git_hooks.branches.project_branches import make, missing
from git_hooks.branches.reconcile import look, reconcile
from git_hooks.deploy.collect import collect
from git_hooks.deploy.puppetserver import FlushFailed
from git_hooks.deploy.records import told
from git_hooks.effects.kept import KeptEffects
from git_hooks.promotion.catalogs import CompiledCatalogs
from git_hooks.promotion.desk import Desk
from git_hooks.promotion.gauges import write
from git_hooks.promotion.rungs import rungs
from git_hooks.push.leaving import settle
from git_hooks.repository.refstore import RefStore
from git_hooks.store.previews import sweep
from git_hooks.transport.tokens import Tokens

if TYPE_CHECKING:
    from enc.settings import BranchSettings
    from enc.terms.names import BranchName, EnvironmentName
    from git_hooks.deploy.deployer import Deployer
    from git_hooks.push.service import Workplace

WHO = "upkeep"
"""Who stands in the records of deploys."""

_FLUSHES_FAILED = 3
"""After so many environments that cannot be flushed, the others need not be tried: a puppetserver is away."""


class Remark(NamedTuple):
    """What a chore says about one thing."""

    subject: str
    text: str
    wrong: bool = False


Chore = Callable[["Workplace"], Iterator[Remark]]


def projects(place: Workplace) -> Iterator[Remark]:
    """Make the branch of each project in LDAP that has none, and its environment."""
    known = place.membership.projects()
    branches = place.settings.branches
    for one in missing(known, place.deployer.repository.branches(), branches.rules):
        problem = one.obstacle
        if one.place is not None and not one.obstacle:
            try:
                record = make(one, place.deployer, RefStore(str(branches.repository)), WHO)
            except (Conflict, NotFound) as error:
                problem = str(error)
            else:
                text = f"project {one.project} now has branch {one.place.branch}; {told(record)}"
                yield Remark(one.project, text, wrong=not record.good)
                continue
        yield Remark(one.project, f"project {one.project} has no branch: {problem}", wrong=True)


def flushes(place: Workplace) -> Iterator[Remark]:
    """Make up for flushes that are owed; raise `FlushFailed` after having tried some."""
    failures = []
    for environment in place.deployer.records.owing():
        try:
            if place.deployer.make_up_flush(environment):
                yield Remark(environment, f"{environment}: puppetserver has now dropped the old version")
        except FlushFailed as failure:
            failures.append(failure)
            if len(failures) >= _FLUSHES_FAILED:
                break
    if failures:
        raise failures[0]


def reconciliation(place: Workplace) -> Iterator[Remark]:
    """Deploy what does not show its branch: after a kill, a full disk, a restored repository."""
    deployer = place.deployer
    found = look(deployer, Rules(place.settings.branches.rules))
    due = tuple(one for one in found.deploy if one.environment in found.lost or not _held(deployer, one.environment))
    for record in reconcile(deployer, found._replace(deploy=due), WHO):
        if record.outcome not in ("unchanged", "held"):
            yield Remark(record.environment, told(record), wrong=not record.good)
    for environment, rivals in found.collisions.items():
        text = f"{environment}: stays as it is, because several branches would become it: {', '.join(rivals)}"
        yield Remark(environment, text, wrong=True)
    for environment in found.orphans:
        text = f"{environment}: has no branch but stays; `branch-manager deploy --gone` removes it if no node uses it"
        yield Remark(environment, text, wrong=True)


def _held(deployer: Deployer, environment: EnvironmentName) -> bool:
    return deployer.records.held(environment) is not None


def expiry(place: Workplace) -> Iterator[Remark]:
    """Archive short-lived branches that ended."""
    refs = RefStore(str(place.settings.branches.repository))
    ending = Expiry(place.settings, place.deployer, refs)
    count = place.deployer.counted()
    ending.remember(count)
    for judged in [one for one in ending.judged(count) if not one.reason]:
        branch = judged.topic.branch
        try:
            kept, record = ending.end(judged, WHO, count.now)
        except Conflict as conflict:
            yield Remark(branch, str(conflict), wrong=True)
        else:
            then = f"; {told(record)}" if record is not None else ""
            wrong = record is not None and not record.good
            yield Remark(branch, f"{branch}: archived as {kept.ref}{then}", wrong=wrong)


def collection(place: Workplace) -> Iterator[Remark]:
    """Remove what nobody can need any more: versions, and what was archived or ended long ago.

    Before that, keep what killed pushes took away.
    """
    settings = place.settings.branches
    for one in settle(place.deployer.repository, place.deployer.counted):
        yield Remark(one.branch, f"{one.branch}: the commits that an interrupted push removed are kept as {one.name}")
    place.deployer.ready()
    count = place.deployer.counted()
    surplus: Counter[BranchName] = Counter()
    for one in forget(place.deployer, RefStore(str(settings.repository)), settings, count):
        if count.of(one.at) >= count.now - settings.archive_kept:
            surplus[one.branch] += 1
            continue
        yield Remark(one.name, f"{one.name}: was archived longer ago than branches.archive_kept and is deleted")
    for branch, many in surplus.items():
        yield Remark(branch, f"{branch}: {many} of its archived states are deleted (branches.archive_most)")
    found = collect(place.deployer.layout, settings.retain, count)
    sweep(place.deployer.layout)
    KeptEffects(place.deployer.layout).sweep()
    tokens = Tokens(settings.transport.tokens).remove_old(count)
    if found.versions or found.units or found.puppetfiles or found.leftovers or tokens:
        yield Remark("gc", f"removed {found.told()}, {counted(tokens, 'token')}")
    for name in found.skipped:
        yield Remark(name, f"{name}: its versions stay, because it is no longer our link; move it away", wrong=True)


def promotions(place: Workplace) -> Iterator[Remark]:
    """Carry on what is on its way to production: finish what somebody was killed over, look at soaks and canaries."""
    settings = place.settings
    catalogs = CompiledCatalogs(settings, place.usage, place.effects)
    desk = Desk(settings, place.deployer, place.membership, place.usage, catalogs=catalogs)
    if desk.kept.ids():
        for rung in rungs(settings):
            for remark in desk.go_on(rung.name):
                yield Remark(remark.promotion.id, remark.text, wrong=remark.wrong)
    if settings.promotion.metrics_file is not None:
        write(settings.promotion.metrics_file, desk.kept.all(), desk.holds.all(), time.time())


CHORES: dict[str, Chore] = {
    "projects": projects,
    "flushes": flushes,
    "promotions": promotions,
    "reconcile": reconciliation,
    "expire": expiry,
    "collect": collection,
}
"""By name, in the order in which a new process does them."""

HOUR = 3600.0
EVERY: Mapping[str, float] = {
    "projects": 3.0, "flushes": 30.0, "promotions": 30.0,
    "reconcile": HOUR, "expire": HOUR, "collect": HOUR,
}
"""Seconds from the end of a chore to its next beginning. A look at LDAP's projects is one small search, and who
made one waits for its branch; the others make up for what went wrong, or are in no hurry."""


def intervals(settings: BranchSettings, every: Mapping[str, float] = EVERY) -> dict[str, float]:
    """Return how often each chore is to be done, in seconds; those that a site does not have are left out. Pure."""
    # With a mirror, which branches there are is the forge's business.
    foreign = ("projects", "expire", "promotions") if settings.mirror.forge is not None else ()
    return {name: seconds for name, seconds in every.items() if name not in foreign}
