"""Pushes chosen branches to a public copy of the repository, and nothing without a clean and current verdict.

Current is a verdict of these refs as they are, by the rules as they are. What has come since is examined first, which
takes as long as what came deserves; a whole audit is never begun here. Then exactly the commits are pushed that the
verdict is about, whatever the branches show meanwhile.

What is pushed are branches that become environments, and no others: no proposal, nothing below refs/archive, no tag, no
branch of no rule. Nothing is forced and nothing is deleted over there: what is public stays so.

Failure modes: `NotAllowed` says why not; what git says is an `UpstreamFailed`, and nothing of the push was taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from enc.terms.environments import Rules as BranchRules
from enc.terms.errors import ConfigurationError, NotAllowed, NotFound
from enc.terms.names import HEADS, BranchName
from git_hooks.mirror.remote_git import RemoteGit
from git_hooks.opening import verdict as verdicts
from git_hooks.opening.audit import Progress, State, audit, current, state
from git_hooks.opening.verdict import Verdict
from git_hooks.repository.bounds import Bounds
from git_hooks.secrets.kept import Allowances

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.opening.rules import Rules

SHOWN = 20
"""So many reasons are told; the verdict has all."""
_REMOTE = re.compile(r"(?:https?|ssh|git|file)://\S+|/\S*|[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][\w.-]*:\S+", re.ASCII)


class Tip(NamedTuple):
    """A branch, and the commit that is pushed."""

    branch: BranchName
    commit: str


def chosen(settings: Settings, now: State, wanted: Iterable[str]) -> list[Tip]:
    """Return what is to be pushed: `wanted`, or what the settings say. Pure; raise `NotFound`, `NotAllowed`."""
    rules = BranchRules(settings.branches.rules)
    names = {ref.removeprefix(HEADS): commit for ref, commit in now.refs if ref.startswith(HEADS)}
    branches = {BranchName(name): commit for name, commit in names.items() if BranchName.accepts(name)}
    if asked := [BranchName(name) for name in wanted]:
        for branch in asked:
            if branch not in branches:
                raise NotFound("there is no such branch", where=branch)
            if rules.place_or_none(branch) is None:
                raise NotAllowed("becomes no environment, so it is not published (branches.rules)", where=branch)
        return [Tip(branch, branches[branch]) for branch in dict.fromkeys(asked)]
    patterns = settings.branches.opening.branches
    found = []
    for branch, commit in sorted(branches.items()):
        place = rules.place_or_none(branch)
        if place is None or (not patterns and place.project is not None):
            continue
        if not patterns or any(fnmatchcase(branch, pattern) for pattern in patterns):
            found.append(Tip(branch, commit))
    if not found:
        raise NotFound("no branch is to be published (branches.opening.branches)")
    return found


def cleared(
    settings: Settings, rules: Rules, progress: Progress, *, despite_unchecked: bool
) -> tuple[Verdict, State]:
    """Return a verdict that is clean and current, and the refs that it is about; the lock (`alone`) is held.

    Raise `NotAllowed`.
    """
    do = "run branch-manager audit-secrets"
    verdict = current(settings)
    if verdict.rules != rules.name:
        raise NotAllowed(f"the rules have changed since the last audit; {do}")
    now = state(verdict.repository)
    if verdict.refs != now.digest or _is_outdated(settings, verdict):
        verdict, now = audit(settings, rules, progress)
    if reasons := verdicts.why_not(verdict, despite_unchecked=despite_unchecked):
        more = f"\n  … and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        told = "".join(f"\n  {one}" for one in reasons[:SHOWN])
        raise NotAllowed(f"nothing is published, the verdict is not clean (docs/opening.md):{told}{more}")
    return verdict, now


def _is_outdated(settings: Settings, verdict: Verdict) -> bool:
    """Tell whether something else may be allowed, or known, than when the verdict was given."""
    file = Allowances(settings.branches.repository)
    return bool(verdict.places) or bool(settings.branches.opening.certificates) or bool(file.all())


def push(settings: Settings, remote: str, tips: Sequence[Tip], *, dry_run: bool) -> str:
    """Push; return what git says of each branch. Raise `UpstreamFailed`, `ConfigurationError`."""
    opening, branches = settings.branches.opening, settings.branches
    check_address(remote, opening.protocols)
    bounds = Bounds(branches.git_memory, int(branches.git_seconds), branches.git_file_bytes)
    git = RemoteGit(str(branches.repository), remote, opening, bounds, "branches.opening")
    refs = [f"{tip.commit}:{tip.branch.ref}" for tip in tips]
    options = ("--porcelain", "--atomic", "--no-follow-tags", "--no-verify", "--no-signed")
    with git.place() as place:
        return git.run(place, ("push", *options, *(("--dry-run",) if dry_run else ()), "--", remote, *refs))


def check_address(remote: str, protocols: Sequence[str]) -> None:
    """Raise `ConfigurationError` for what is no address, or one that git would go to by another protocol. Pure."""
    if not _REMOTE.fullmatch(remote) or re.match(r"https?://[^/]*@", remote):
        what = "is not https://HOST/PATH or ssh://USER@HOST/PATH (tokens: branches.opening.credentials_file)"
        raise ConfigurationError(what, where=remote)
    protocol = "file" if remote.startswith("/") else remote.partition("://")[0] if "://" in remote else "ssh"
    if protocol not in protocols:
        raise ConfigurationError(f"{protocol} is not among branches.opening.protocols", where=remote)
