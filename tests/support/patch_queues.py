"""A central repository, an instance's own one and its working copy, as tests/cases/sync/ describes them; real git.

Every case begins with one commit of `FILES` on the branch project/red, and the
instance's local branch at it. Its steps are carried out in order:

    local, upstream     a commit: {edit: PATH LINE TEXT, files: {PATH: TEXT or null}, move: {OLD: NEW}, subject,
                        author}; `take: N` makes the changes of the Nth local commit, `drop: N` forces the branch
                        back by N first, `branch:` names another branch, `delete: true` deletes it
    sync, dry-run, unpark, back, forecast, send    what is called, and what is expected of it
    dirty               {PATH: TEXT}: uncommitted work in the working copy (made when first needed)
    git                 words for git in the working copy; repository, central: in those
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enc.settings import BranchSettings
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.repository.refs import ObjectId
from puppetmaster_self.sync.patch_repository import PatchRepository
from puppetmaster_self.sync.sync import Deployed, Policy, Sync
from puppetmaster_self.sync.working_copy import WorkingCopy

FILES = {
    "manifests/site.pp": "".join(f"line {number}\n" for number in range(1, 31)),
    "data/common.yaml": "".join(f"key{number}: {number}\n" for number in range(1, 11)),
    "logo.png": "\0PNG one\n",
    "environment.conf": "modulepath = modules\n",
}
BRANCH = BranchName("project/red")
LOCAL = BranchName("local")
ENVIRONMENT = EnvironmentName("project_red")
_QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "EMAIL": "w@example.org"}


def git(place: Path, *words: str, stdin: bytes = b"", check: bool = True) -> str:
    """Run git and return what it says, without the last line break."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    names = {f"GIT_{who}_NAME": "Wanda" for who in ("AUTHOR", "COMMITTER")}
    done = subprocess.run(
        ["git", "-C", str(place), *words], env=kept | _QUIET | names, input=stdin, capture_output=True, check=False
    )
    assert not check or done.returncode == 0, (words, done.stderr.decode())
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


class Scene:
    """Everything of one case."""

    def __init__(self, base: Path, template: Path, policy: Policy | None = None) -> None:
        self.base = base
        subprocess.run(["cp", "-a", str(template), str(base)], check=True)
        self.central, self.own, self.copy = base / "central.git", base / "own.git", base / "copy"
        git(self.own, "config", "remote.upstream.url", str(self.central))
        self.branches = BranchSettings(
            repository=self.own,
            store=base / "store",
            environments=base / "environments",
            rules=(f"{LOCAL} = {ENVIRONMENT}",),
        )
        self.policy = policy or Policy()
        self.refuse = ""
        """Trees with this text in site.pp do not compile."""
        self.deploy_fails = False
        self.made: list[dict[str, Any]] = []
        self.time = 1_700_000_000

    def commit(self, place: Path, branch: str, change: dict[str, Any]) -> None:
        """Make a commit as the case says it."""
        if "take" in change:
            change = {"subject": f"taken {change['take']}", **self.made[change["take"] - 1], **change}
        ref = f"refs/heads/{change.get('branch', branch)}"
        if change.get("delete"):
            git(place, "update-ref", "-d", ref)
            return
        if "drop" in change:
            git(place, "update-ref", ref, f"{ref}~{change['drop']}")
            if set(change) == {"drop"}:
                return
        start = ref if git(place, "rev-parse", "-q", "--verify", ref, check=False) else f"refs/heads/{BRANCH}"
        self.time += 60
        author = change.get("author", "Lena <lena@example.org>" if place == self.own else "Uwe <uwe@example.org>")
        subject = str(change.get("subject", f"change {self.time}")).encode("utf-8", "surrogateescape")
        text = [
            f"commit {ref}\nauthor {author} {self.time} +0100\ncommitter {author} {self.time + 7} +0100\n".encode(),
            b"data %d\n%s\n" % (len(subject), subject),
        ]
        if not change.get("orphan"):
            text.append(f"from {start}^0\n".encode())
        text += [f"R {old} {new}\n".encode() for old, new in change.get("move", {}).items()]
        for path, content in self._files(place, start, change).items():
            if content is None:
                text.append(f"D {path}\n".encode())
            else:
                data = content.encode()
                text.append(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
        git(place, "fast-import", "--quiet", "--force", stdin=b"".join(text))

    def local(self, change: dict[str, Any]) -> None:
        """Make a local commit, in the working copy too if there is one."""
        self.made.append(change)
        self.commit(self.own, LOCAL, change)
        if self.copy.exists():
            git(self.copy, "pull", "--quiet", "--ff-only")

    def working_copy(self) -> Path:
        """Return the working copy; it is made if it is not there."""
        if not self.copy.exists():
            subprocess.run(["git", "clone", "-q", f"--branch={LOCAL}", str(self.own), str(self.copy)], check=True)
            git(self.copy, "config", "user.name", "Wanda")
        return self.copy

    def sync(self, at: Callable[[str], None] = lambda _: None) -> Sync:
        """Return what is tested, with real git, store and environments."""
        repository = PatchRepository(self.own, timeout=60)
        (self.base / "sync").mkdir(exist_ok=True)
        copy = WorkingCopy(self.copy, LOCAL, repository, self.base / "sync/under-way.json", at)
        policy = self.policy
        return Sync(repository, copy, LOCAL, BRANCH, policy, self._check, self._deploy, lambda: float(self.time), at)

    def live(self, path: str) -> str | None:
        """Return what puppetserver would read."""
        file = self.branches.environments / ENVIRONMENT / path
        return file.read_text() if file.exists() else None

    def _check(self, commit: ObjectId) -> str:
        with Deployer(self.branches) as deployer:
            place = Path(deployer.prepare(ENVIRONMENT, commit))
        site = place / "manifests/site.pp"
        broken = self.refuse and site.exists() and self.refuse in site.read_text()
        return f"the catalog does not compile: {self.refuse}" if broken else ""

    def _deploy(self) -> Deployed:
        if self.deploy_fails:
            return Deployed(False, "no space left on device")
        with Deployer(self.branches) as deployer:
            record = deployer.deploy(ENVIRONMENT, Tip(LOCAL), "test", "sync")
        return Deployed(record.good or record.outcome == "held", record.detail)

    def _files(self, place: Path, start: str, change: dict[str, Any]) -> dict[str, str | None]:
        files: dict[str, str | None] = dict(change.get("files", {}))
        edits = change.get("edit", [])
        for edit in [edits] if isinstance(edits, str) else edits:
            path, line, text = edit.split(" ", 2)
            old = {new: old for old, new in change.get("move", {}).items()}.get(path, path)
            present = files.get(path) or git(place, "show", f"{start}:{old}") + "\n"
            lines = present.splitlines()
            lines[int(line) - 1] = text
            files[path] = "\n".join(lines) + "\n"
        return files


def make_template(base: Path) -> Path:
    """Make the central and the own repository as every case finds them."""
    central, own = base / "central.git", base / "own.git"
    base.mkdir()
    for place in (central, own):
        subprocess.run(["git", "init", "-q", "--bare", str(place)], check=True)
    text = [f"commit refs/heads/{BRANCH}\ncommitter Uwe <uwe@example.org> 1600000000 +0000\ndata 5\nbegin\n".encode()]
    text += [f"M 100644 inline {path}\ndata {len(data)}\n{data}\n".encode() for path, data in FILES.items()]
    git(central, "fast-import", "--quiet", stdin=b"".join(text))
    git(own, "config", "core.logAllRefUpdates", "true")
    git(own, "remote", "add", "upstream", str(central))
    git(own, "fetch", "-q", "upstream")
    git(own, "update-ref", LOCAL.ref, f"refs/remotes/upstream/{BRANCH}")
    return base
