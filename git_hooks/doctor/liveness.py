"""Does the service run, has every project its branch, and does every environment show its branch?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from enc.directory.ldap_store import LdapSource
from enc.doctor.findings import Finding, fault, note, ok, warning
from enc.programs.machine_trouble import said
from enc.settings import BranchSettings, DomainSettings, Settings
from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.branches.project_branches import missing
from git_hooks.branches.reconcile import due
from git_hooks.deploy.records import Records
from git_hooks.push.service import socket_path
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.locks import is_locked
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from git_hooks.store.survey import sentences
from git_hooks.store.surveys import Surveys
from git_hooks.store.versions import ForeignEnvironment, Versions

_MOST = 5
"""Names that a line holds."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look at what is live."""
    yield service(settings.branches)
    try:
        with Repository(str(settings.branches.repository)) as repository:
            branches = repository.branches()
    except ToolkitError as error:
        yield fault("branches", str(error), "see branches.repository")
        return
    yield from projects(settings, branches)
    try:
        with Repository(str(settings.branches.repository)) as repository:
            yield from environments(settings.branches, settings.domains, branches, repository)
    except OSError as error:
        text = f"the store cannot be read: {said(error)}"
        yield note("environments", text, "run this as root or as the store's owner")


def service(settings: BranchSettings) -> Finding:
    """Tell whether `branch-manager hooks` runs; it holds a lock for as long as it does."""
    try:
        runs = is_locked(f"{socket_path(settings.store)}.lock")
    except FileNotFoundError:
        runs = False
    except OSError as error:
        return note("service", f"{socket_path(settings.store)}.lock: {error.strerror}", "run this as the store's owner")
    if runs:
        return ok("service", "branch-manager hooks runs")
    return warning(
        "service",
        "branch-manager hooks is not running: pushes are slower, and no new project gets its branch",
        "systemctl start puppetmaster-hooks (branch-manager units), or run the commands of the upkeep from a timer",
    )


def projects(settings: Settings, branches: dict[BranchName, ObjectId]) -> Iterator[Finding]:
    """Name projects without branch."""
    if settings.branches.mirror.forge is not None:
        return
    try:
        with LdapSource(settings) as source:
            known = source.project_names()
    except ToolkitError as error:
        text = f"LDAP cannot be queried for projects and who may push: {error}"
        yield fault("project-branches", text, "enc-admin doctor")
        return
    found = missing(known, branches, settings.branches.rules)
    for one in found:
        why = f": {one.obstacle}" if one.obstacle else ""
        do = "rename one of the two, or change branches.rules" if one.obstacle else "branch-manager make-branches"
        yield warning("project-branches", f"project {one.project} has no branch{why}", do)
    if not found:
        yield ok("project-branches", f"{counted(len(known), 'project')}, each with its branch")


def environments(
    settings: BranchSettings, domains: DomainSettings, branches: dict[BranchName, ObjectId], repository: Repository
) -> Iterator[Finding]:
    """Name environments that do not show their branch, and what is odd about them."""
    layout = Layout(str(settings.store), str(settings.environments))
    versions, records = Versions(layout), Records(layout.root)
    rules = Rules(settings.rules)
    live, lost, look = {}, {}, Presence(layout, Sound(repository))
    for name in versions.environments():
        commit = versions.live(name)
        if commit is not None:
            live[name] = commit
            if missing := look.version(name, commit):
                lost[name] = missing
    if lost:
        text = f"{counted(len(lost), 'is', 'are')} incomplete ({next(iter(lost.values()))}): {_some(list(lost))}"
        yield fault("environments", text, "branch-manager deploy restores what is missing from git")
    owing = records.owing()
    found = due(branches, live, owing, rules, domains=domains)
    places = [one.environment for one in found.deploy if records.held(one.environment) is None]
    waiting = [name for name in places if name not in owing]
    foreign = [name for name in waiting if _foreign(versions, name)]
    for name in foreign:
        do = f"move {layout.live(name)} away, then branch-manager deploy {name}"
        yield fault("environments", f"{name} is not ours: something else is where its link should be", do)
    wanted = {place.environment: branches[place.branch] for place in found.deploy}
    yield from _stale({name: wanted[name] for name in waiting if name not in foreign}, records)
    for environment, rivals in found.collisions.items():
        text = f"several branches would become {environment}, so it stays as it is: {', '.join(rivals)}"
        yield warning("environments", text, "delete all but one of these branches, or change branches.rules")
    if found.orphans:
        text = (
            f"{counted(len(found.orphans), 'no longer has a branch', 'no longer have a branch')}: "
            f"{_some(found.orphans)}"
        )
        yield warning("environments", text, "branch-manager deploy --gone")
    if owing:
        text = f"puppetserver may still serve an older version of {len(owing)}: {_some(owing)}"
        yield fault("flushes", text, "see puppetserver-flush; then branch-manager deploy")
    yield from _differing(layout, live)
    if not (waiting or found.collisions or found.orphans or lost):
        yield ok("environments", f"{counted(len(live), 'environment')}, each shows its branch or is held")


def _stale(wanted: Mapping[EnvironmentName, ObjectId], records: Records) -> Iterator[Finding]:
    """Say why environments do not show their branch: a line for each reason, with what helps."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, commit in wanted.items():
        last = next(iter(records.of(name, limit=1)), None)
        tried = last is not None and last.new == commit and last.outcome == "failed"
        why = (last.detail, last.remedy.replace(name, "ENVIRONMENT")) if last is not None and tried else ("", "")
        reasons.setdefault(why, []).append(name)
    for (detail, remedy), names in reasons.items():
        because = f": {detail}" if detail else ""
        text = f"{counted(len(names), 'does not show its', 'do not show their')} branch ({_some(names)}){because}"
        yield fault("environments", text, remedy or "branch-manager deploy")


def _differing(layout: Layout, live: Mapping[EnvironmentName, ObjectId]) -> Iterator[Finding]:
    """Say what environments have otherwise than a checkout: a line for all that have the same."""
    surveys = Surveys(layout)
    reasons: dict[tuple[str, ...], list[str]] = {}
    for name, commit in live.items():
        found = surveys.kept(layout.version(name, commit))
        if found is not None and found.told:
            reasons.setdefault(tuple(sentences(found.told)), []).append(name)
    for told, names in reasons.items():
        do = "harmless if you know about it (docs/branches.md); branch-manager status BRANCH lists all"
        yield note("checkout", f"{_some(names)}: {'; '.join(told)}", do)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _foreign(versions: Versions, name: EnvironmentName) -> bool:
    with suppress(ForeignEnvironment):
        versions.live(name)
        return False
    return True
