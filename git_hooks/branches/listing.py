"""What there is: every environment with its branch, and where a commit has arrived. Reads only.

Failure modes: what cannot be told (which nodes, while nobody follows LDAP) is
None and not a guess; one environment that is not ours does not hide the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal, NamedTuple

from enc.settings import BranchSettings, Settings
from enc.terms.environments import Rules
from enc.terms.errors import NotFound
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.branches.expiry import ends_at, last_touched
from git_hooks.branches.usage import Usage, UsageUnknown
from git_hooks.deploy.deployer import Deployer
from git_hooks.puppetfile import sources
from git_hooks.puppetfile.asked import asked
from git_hooks.puppetfile.language import ForgeModule, GitModule, Puppetfile, UnsoundPuppetfile
from git_hooks.repository.objects import Divergence
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.refstore import RefStore
from git_hooks.store.presence import Presence
from git_hooks.store.versions import ForeignEnvironment

EnvironmentState = Literal[
    "live",
    "held",
    "waits",
    "not deployed",
    "not flushed",
    "no branch",
    "elsewhere",
    "foreign",
    "damaged",
    "unreadable",
]
"""`elsewhere`: another domain's server shows it; `waits`: the branch is at another commit; `not flushed`: a
puppetserver may still serve an older version; `damaged`: something of what it shows is not there; `unreadable`: whether
it is there cannot be looked at."""


class Row(NamedTuple):
    """One environment."""

    environment: EnvironmentName
    branch: BranchName | None
    tip: ObjectId | None
    live: ObjectId | None
    state: EnvironmentState
    who: str = ""
    """Who deployed last."""
    at: float | None = None
    """When, in seconds since 1970."""
    nodes: int | None = None
    ends: float | None = None
    """When a short-lived branch ends if no node uses it."""
    missing: str = ""
    """What is damaged or unreadable."""
    compared: tuple[tuple[BranchName, Divergence], ...] = ()
    """With the site's own branches, those that there are (`references`)."""


def rows(settings: Settings, deployer: Deployer, refs: RefStore) -> list[Row]:
    """Return every environment and every branch that should be one, by name."""
    branches = deployer.repository.branches()
    rules = Rules(settings.branches.rules)
    places = {place.environment: place for branch in branches if (place := rules.place_or_none(branch)) is not None}
    look = deployer.inspection.look()
    compared = references(settings.branches)
    dates, usage, count = refs.dates(), _counted(settings), deployer.counted(remember=False)
    found = []
    for name in sorted({*places, *deployer.versions.environments()}):
        place = places.get(name)
        branch = place.branch if place is not None else None
        tip = branches[branch] if branch is not None else None
        row = _row(deployer, look, name, branch, tip)
        if place is not None and place.topic is not None:
            touched = count.of(last_touched(deployer.records, name, dates.get(place.branch, 0), count.now))
            row = row._replace(ends=ends_at(touched, settings.branches.topics_unused))
        if tip is not None:
            pairs = [(ref, deployer.repository.divergence(tip, branches[ref])) for ref in compared if ref in branches]
            row = row._replace(compared=tuple((ref, far) for ref, far in pairs if far is not None and ref != branch))
        found.append(row._replace(nodes=usage.get(name.lower(), 0) if usage is not None else None))
    return found


def references(settings: BranchSettings) -> tuple[BranchName, ...]:
    """Return what other branches are compared with: the branches that the rules name in full."""
    return tuple(place.branch for place in Rules(settings.rules).site)


def _row(
    deployer: Deployer, look: Presence, name: EnvironmentName, branch: BranchName | None, tip: ObjectId | None
) -> Row:
    try:
        live = deployer.versions.live(name)
    except ForeignEnvironment:
        return Row(name, branch, tip, None, "foreign")
    state: EnvironmentState = "live"
    lost, missing = _lost(deployer, look, name)
    if lost is not None:
        state = lost
    elif branch is None:
        state = "no branch"
    elif live is None:
        state = "not deployed" if deployer.shows(name) else "elsewhere"
    elif deployer.records.held(name) is not None:
        state = "held"
    elif live != tip:
        state = "waits"
    elif deployer.records.owes_flush(name):
        state = "not flushed"
    last = next((one for one in deployer.records.of(name, limit=None) if one.outcome in ("live", "not flushed")), None)
    return Row(name, branch, tip, live, state, last.who if last else "", last.at if last else None, missing=missing)


def _lost(deployer: Deployer, look: Presence, name: EnvironmentName) -> tuple[EnvironmentState | None, str]:
    """Return whether what an environment shows is not all there, and what is missing."""
    try:
        missing = deployer.inspection.missing(name, look)
    except OSError as error:
        return "unreadable", f"{error.filename}: {error.strerror}"
    return ("damaged" if missing else None), missing


def modules_of(deployer: Deployer, found: Iterable[Row]) -> dict[EnvironmentName, tuple[ForgeModule | GitModule, ...]]:
    """Return what the Puppetfiles of live versions ask for; nothing of one that is not followed any more."""
    allowed, known = sources(deployer.settings.puppetfile), dict[str, Puppetfile]()
    modules: dict[EnvironmentName, tuple[ForgeModule | GitModule, ...]] = {}
    for row in found:
        modules[row.environment] = ()
        if allowed is not None and row.live is not None:
            with suppress(UnsoundPuppetfile, NotFound):
                asks = asked(deployer.repository, row.live, allowed, known)
                modules[row.environment] = asks.modules if asks is not None else ()
    return modules


class Whereabouts(NamedTuple):
    """Where one commit has arrived."""

    commit: ObjectId
    branches: tuple[BranchName, ...]
    environments: tuple[EnvironmentName, ...]
    """Whose live version has it."""
    waiting: tuple[EnvironmentName, ...]
    """Whose branch has it, and whose live version has not."""
    nodes: tuple[Certname, ...] | None
    """In those environments; None: it cannot be told."""


def whereabouts(commit: ObjectId, settings: Settings, deployer: Deployer, refs: RefStore) -> Whereabouts:
    """Return in which branches, environments and nodes `commit` is."""
    rules = Rules(settings.branches.rules)
    having = refs.containing(commit)
    places = {place.environment for branch in having if (place := rules.place_or_none(branch)) is not None}
    tips = deployer.repository.branches()
    at_tip = {tips[branch] for branch in having}
    live, look = [], deployer.inspection.look()
    for name in deployer.versions.environments():
        shown = deployer.versions.live(name) if _lost(deployer, look, name)[0] is None else None
        # What a branch's tip is was answered for all of them at once; the rest (held, old) is asked one by one.
        if shown is not None and (shown in at_tip or deployer.repository.contains(shown, commit)):
            live.append(name)
    usage = Usage(settings)
    try:
        nodes: tuple[Certname, ...] | None = tuple(sorted(node for name in live for node in usage.nodes(name)))
    except UsageUnknown:
        nodes = None
    return Whereabouts(commit, having, tuple(live), tuple(sorted(places - set(live))), nodes)


def _counted(settings: Settings) -> Counter[str] | None:
    try:
        return Usage(settings).counts()
    except UsageUnknown:
        return None
