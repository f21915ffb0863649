"""The instance's own repository, the working copy in which people edit, and the first deploy.

A commit in the working copy is pushed to the own repository at once
(post-commit), and what is pushed there is live at once (post-receive): people
need no second command. The central repository is the remote `upstream`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName
from puppetmaster_self.instance import keep
from puppetmaster_self.instance.keep import REMOTE, git
from puppetmaster_self.instance.machine import Machine, ProgramFailed
from puppetmaster_self.transaction.steps.step import Step, StepWithoutUndo

_POST_RECEIVE = """#!/bin/sh
# puppetmaster-self: what is pushed here is live.
cat >/dev/null
exec env -u GIT_DIR -u GIT_QUARANTINE_PATH {deploy}
"""
_POST_COMMIT = """#!/bin/sh
# puppetmaster-self: what is committed here is live.
# Not yet in a rebase, and where this commit replaces one that was pushed: git would refuse, and post-rewrite comes.
contains() {{
    git merge-base --is-ancestor refs/remotes/origin/{name} "$1" 2>/dev/null
}}
for way in rebase-merge rebase-apply; do
    [ ! -d "$(git rev-parse --git-path "$way")" ] || exit 0
done
if contains 'HEAD@{{1}}' && ! contains HEAD; then exit 0; fi
exec git push --quiet origin HEAD:{local}
"""
_POST_REWRITE = """#!/bin/sh
# puppetmaster-self: an amended or rebased commit is live, too; what it replaces stays in the repository's reflog.
exec git push --quiet --force origin HEAD:{local}
"""


@dataclass(frozen=True)
class Repository(Step):
    """Makes the repository from the central one, and the working copy."""

    upstream: str
    branch: BranchName
    site: BranchName | None
    """Fetched too, if it is there: it becomes the environment `production`, which puppetserver wants."""
    local: BranchName
    working_copy: Path
    deploy: tuple[str, ...]
    """Command that makes environments show their branches."""
    timeout: float
    name: ClassVar[str] = "repository"

    def summary(self) -> str:
        return f"fetch {self.branch} of {keep.shown(self.upstream)}; edit {self.local} in {self.working_copy}"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        if self.working_copy.exists():
            where = str(self.working_copy)
            raise ToolkitError("already exists; move it away, or set self_master.working_copy", where=where)
        return {
            "repository": str(machine.places.repository),
            "working_copy": str(self.working_copy),
            "kept": str(machine.places.kept_from(machine.now())),
        }

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        place = machine.places.repository
        machine.run("git", "init", "--quiet", "--bare", f"--initial-branch={self.local}", str(place), timeout=60)
        git(machine, place, "config", "core.logAllRefUpdates", "true")
        git(machine, place, "remote", "add", REMOTE, self.upstream)
        where = keep.shown(self.upstream)
        fetch = ("git", "-C", str(place), "fetch", *keep.FETCH, REMOTE)
        fetched = machine.ask(*fetch, timeout=self.timeout, environment=keep.WITHOUT_QUESTIONS)
        if fetched.status != 0:
            raise ToolkitError(f"cannot be fetched: {keep.reason(fetched.output)}", where=where)
        theirs = f"refs/remotes/{REMOTE}"
        if not _has(machine, place, f"{theirs}/{self.branch}"):
            raise ToolkitError(f"has no branch {self.branch}; name one with --branch", where=where)
        git(machine, place, "update-ref", self.local.ref, f"{theirs}/{self.branch}")
        if self.site is not None and _has(machine, place, f"{theirs}/{self.site}"):
            git(machine, place, "update-ref", self.site.ref, f"{theirs}/{self.site}")
        brought = _bring_back(machine, place)
        self._working_copy(machine, place)
        _hook(place / "hooks/post-receive", _POST_RECEIVE.format(deploy=shlex.join(self.deploy)))
        commit = git(machine, place, "rev-parse", "--short", self.local.ref).output.strip()
        return "; ".join([f"{self.branch} at {commit}", *brought])

    def _working_copy(self, machine: Machine, place: Path) -> None:
        self.working_copy.parent.mkdir(parents=True, exist_ok=True)
        words = ("git", "clone", "--quiet", f"--branch={self.local}", str(place), str(self.working_copy))
        machine.run(*words, timeout=self.timeout)
        for name, text in (("post-commit", _POST_COMMIT), ("post-rewrite", _POST_REWRITE)):
            _hook(self.working_copy / ".git/hooks" / name, text.format(local=self.local.ref, name=self.local))

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Remove both, if git proves that nothing is lost with them; else move them to what is kept."""
        repository, copy = Path(remembered["repository"]), Path(remembered["working_copy"])
        place = Path(remembered["kept"])
        kept = keep.recorded(place)
        bundled = kept is not None and kept.bundle is not None
        there = copy if copy.exists() else None
        if keep.worthless(machine, repository, there, bundled):
            keep.removed(copy)
            keep.removed(repository)
            return []
        return [keep.set_aside(path, place) for path in (copy, repository) if path.exists()]


@dataclass(frozen=True)
class Deploy(StepWithoutUndo):
    """Makes the environments."""

    command: tuple[str, ...]
    timeout: float
    name: ClassVar[str] = "deploy"

    def summary(self) -> str:
        return "make the environments from the branches"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        return " ".join(machine.run(*self.command, timeout=self.timeout).output.split())


def _has(machine: Machine, repository: Path, ref: str) -> bool:
    return machine.ask("git", "-C", str(repository), "show-ref", "--verify", "--quiet", ref, timeout=60).status == 0


def _hook(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write(path, text.encode(), mode=0o755, survives=Strength.POWER_CUT)


def _bring_back(machine: Machine, place: Path) -> list[str]:
    """Fetch what former self-masters kept, as refs/kept/TIME, so that it is not forgotten; return what to tell."""
    told = []
    for source in sorted((*machine.places.kept.glob("*/local.bundle"), *machine.places.kept.glob("*/repository.git"))):
        ref = f"refs/kept/{source.parent.name}"
        also = [f"+refs/{name}/*:{ref}/{name}/*" for name in ("parked", "snapshots")]
        try:
            git(machine, place, "fetch", "--quiet", str(source), f"+refs/heads/*:{ref}/*", *also)
            told.append(f"commits of an earlier run are in {ref}")
        except ProgramFailed as error:
            told.append(f"commits of an earlier run stay only in {source}: {error}")
    return told
