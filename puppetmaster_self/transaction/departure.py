"""The orderly way back to the central master: by `disable`, or after the class was removed in LDAP.

First the local commits are bundled and pushed, and what became of them is
written down. Not here: going back because something is broken (transaction.py).
"""

from __future__ import annotations

import re
from pathlib import Path

from enc.programs.telling import unfailing
from enc.programs.times import compact
from enc.settings import SelfMasterSettings, Settings
from enc.terms.counted import counted
from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, Certname, ProjectName
from puppetmaster_self.instance import keep
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.steps import agent
from puppetmaster_self.transaction.steps.repository import Repository
from puppetmaster_self.transaction.transaction import Tell, disable

_PUSH = 120.0


def depart(journal: Journal, machine: Machine, settings: Settings, tell: Tell, *, verified: bool) -> None:
    """Go back; raise `WentBack` if the instance stays its own master.

    `verified`: only if the central master serves it, which a run in noop shows.
    """
    tell = unfailing(tell)

    def before() -> None:
        for line in keep_commits(journal, machine, settings):
            tell(line)

    def verify() -> None:
        if not verified:
            return
        output = agent.run(machine, "--noop", timeout=float(settings.self_master.run_timeout))
        for line in ("the central master serves this instance; its catalog would change:", *agent.would_change(output)):
            tell(line)

    disable(journal, machine, before, verify, tell)


def last_run(machine: Machine, settings: SelfMasterSettings, tell: Tell) -> None:
    """Let the central master put right what differs. It does so at the next run in any case."""
    try:
        agent.run(machine, timeout=float(settings.run_timeout))
    except ToolkitError as error:
        tell(f"the agent's run failed and will be repeated at the usual time: {error}")


def keep_commits(journal: Journal, machine: Machine, settings: Settings) -> list[str]:
    """Bundle and push the local commits; return what to tell. Raise `ToolkitError` if they cannot be bundled."""
    made = journal.last(Repository.name)
    if made is None:
        return []
    repository, place = Path(made["repository"]), Path(made["kept"])
    branch = BranchName(journal.opened["branch"])
    work = keep.work(machine, repository, keep.LOCAL, branch)
    file = keep.bundle(machine, repository, keep.LOCAL, place)
    if file is None:
        return ["there are no local commits"]
    target, reason = None, ""
    try:
        target = branch_to_keep(
            settings, journal.opened.get("project"), Certname(journal.opened["certname"]), machine.now()
        )
        reason = keep.push(machine, repository, keep.LOCAL, target, _PUSH)
    except ToolkitError as error:
        reason = str(error)
    pushed = target if target is not None and not reason else None
    keep.record(place, keep.Kept(work.ahead, str(file), pushed, reason))
    told = f"{counted(work.ahead, 'local commit is', 'local commits are')} kept in {file}"
    return [told, f"and pushed as {pushed}" if pushed else f"and not pushed: {reason}"]


def branch_to_keep(settings: Settings, project: str | None, certname: Certname, now: float) -> BranchName:
    """Return the central branch for local commits.

    Raise `ToolkitError` if it needs a project that is not known, or if `branches.rules` have no such branch.
    """
    pattern, where = settings.self_master.keep_as, "self_master.keep_as"
    moment = compact(now)
    if project is None and (pattern is None or "%{project}" in pattern):
        raise ToolkitError("the project is unknown", where=where)
    if pattern is None:
        place = Rules(settings.branches.rules).topic_branch(ProjectName(project or ""), f"{certname.short}-{moment}")
        if place is None:
            raise ToolkitError("names no branch, and no rule in branches.rules has <name> and <topic>", where=where)
        return place.branch
    words = {"project": project or "", "name": certname.short, "time": moment}
    return BranchName(re.sub(r"%\{(project|name|time)\}", lambda match: words[match[1]], pattern))
