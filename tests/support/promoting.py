"""A site with the rungs test and production, people in a real slapd, and projects whose changes go up."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from enc.settings import Settings, config
from enc.terms.names import BranchName
from git_hooks.branches.usage import Usage
from git_hooks.cli import main
from git_hooks.deploy.deployer import Deployer
from git_hooks.promotion.desk import Desk, Wish
from git_hooks.promotion.effect import Catalogs
from git_hooks.promotion.kept import Promotion
from git_hooks.promotion.looking import Looked
from git_hooks.promotion.moving import Remark
from git_hooks.puppet_code.calls import Kind
from git_hooks.push.code_reader import CodeReader
from git_hooks.push.membership import Membership
from git_hooks.push.pushed import note
from git_hooks.repository.refs import ObjectId, RefUpdate
from git_hooks.secrets.engine import scanner
from git_hooks.store.steps import DiskStep, nothing
from tests.support import json_contract
from tests.support.bare import git
from tests.support.slapd import ADD, Slapd
from tests.support.transports import Managed, S

FORK = multiprocessing.get_context("fork")
RULES = [
    *("production = production", "test = test"),
    *("project/<name> = project_<name>", "topic/<name>/<topic> = <name>__<topic>", "review/<name>/<topic> = -"),
]
OPERATORS = ("olga", "otto")
TREE = {"manifests": {"site.pp": "# first\n", "one.pp": "# 1\n# 2\n# 3\n# 4\n# 5\n"}, "data": {"common.yaml": "a: 1\n"}}


def operators(slapd: Slapd) -> None:
    """Add a second operator to the people of tests/support/transports.py."""
    entry = {"objectClass": ["inetOrgPerson"], "uid": "otto", "cn": "Otto O.", "sn": "O.", "mail": "otto@example.org"}
    slapd.add(f"uid=otto,ou=people,{S}", entry)
    slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=otto,ou=people,{S}"])]})


class Ladder(Managed):
    """test and production at one commit; project/red begins there."""

    def __init__(self, base: Path, slapd: Slapd, **promotion: object) -> None:
        _have_ready()
        super().__init__(base, slapd)
        sections: dict[str, dict[str, object]] = {
            "branches": {"rules": RULES},
            "promotion": promotion,
            "pushes": {"syntax": "off", "lint": "off"},
            "instances": {"vardir": str(base / "vardir")},
        }
        self.configure(**sections)
        first = self.bare.commit_tree("test", self.bare.tree(TREE))
        for branch in ("production", "project/red"):
            git(self.bare.path, "update-ref", f"refs/heads/{branch}", first)
        assert self.branch_manager("deploy").returncode == 0

    def write(
        self,
        branch: str,
        files: dict[str, str | None],
        message: str = "a change",
        author: str = "alice",
        *,
        pusher: str | None = None,
        deploy: bool = True,
    ) -> str:
        """Commit files to a branch as if `author` wrote it and `pusher` (or they) pushed it; return the commit."""
        old = self.tip(branch)
        assert old is not None
        index = self.base / "index"
        index.unlink(missing_ok=True)
        run = _Git(self.bare.path, index)
        run("read-tree", old)
        for path, text in files.items():
            if text is None:
                run("update-index", "--force-remove", path)
                continue
            blob = run("hash-object", "-w", "--stdin", stdin=text)
            run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = run("write-tree")
        who = {f"GIT_{one}_{what}": value for one in ("AUTHOR", "COMMITTER") for what, value in (
            ("NAME", author), ("EMAIL", f"{author}@example.org"))}
        commit = run("commit-tree", tree, "-p", old, "-m", message, **who)
        run("update-ref", f"refs/heads/{branch}", commit)
        update = RefUpdate(ObjectId(old), ObjectId(commit), f"refs/heads/{branch}")
        note(str(self.bare.path), [update], pusher or author, time.time())
        if deploy:
            assert self.branch_manager("deploy", branch).returncode == 0
        return commit

    def branch_manager(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it in a process of its own that has loaded it: a start costs what it does, not its imports."""
        out, errors = self.base / "stdout", self.base / "stderr"
        command = ["--config", str(self.configuration), *words]
        process = FORK.Process(target=_run, args=(command, out, errors))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), errors.read_text())

    def data(self, *words: str, status: int = 0) -> Any:
        """Run a command with --json; hold its document against the contract."""
        done = self.branch_manager(*words, "--json")
        assert done.returncode == status, done.stdout + done.stderr
        return json_contract.held("branch-manager", words, done.stdout)

    def fails(self, *words: str) -> str:
        """Run a command that must fail; return what it says."""
        done = self.branch_manager(*words)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout + done.stderr

    def shown(self, environment: str, path: str = "manifests/site.pp") -> str:
        return (self.settings.branches.environments / environment / path).read_text()

    def run_of(self, node: str, environment: str, status: str = "changed", at: float | None = None) -> None:
        """Let a node have reported, as our report processor keeps it."""
        place = self.base / "vardir/puppetmaster-reports" / node
        place.mkdir(parents=True, exist_ok=True)
        moment = time.time() if at is None else at
        document = {"certname": node, "status": status, "noop": False, "environment": environment}
        file = place / f"{moment:020.6f}.json"
        file.write_text(json.dumps(document) + "\n")
        os.utime(file, (moment, moment))

    def loaded(self) -> Settings:
        return config.load(self.configuration)

    @contextmanager
    def desk(self, *, at: DiskStep = nothing, catalogs: Catalogs | None = None, clock: Any = time.time) -> (
        Iterator[Desk]
    ):
        """Give the desk in this process."""
        settings = self.loaded()
        membership = Membership(settings, time.time)
        with Deployer(settings.branches) as deployer:
            yield Desk(settings, deployer, membership, Usage(settings), catalogs=catalogs, clock=clock, at=at)
        membership.close()


@cache
def _have_ready() -> None:
    """Start Puppet's parser and load the scanner, which the processes of all commands then have from this one."""
    CodeReader(None, "tests").read("0" * 40, Kind.MANIFEST, lambda: b"")
    with tempfile.TemporaryDirectory() as place:
        scanner(Path(place))


def _run(words: list[str], out: Path, errors: Path) -> None:
    with out.open("w") as stdout, errors.open("w") as stderr:
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
    # Not the files themselves: what becomes another account closes all but the first three.
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    status = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class _Git:
    def __init__(self, path: Path, index: Path) -> None:
        self._path, self._index = path, index

    def __call__(self, *words: str, stdin: str = "", **environ: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        more = {"GIT_INDEX_FILE": str(self._index), "GIT_CONFIG_GLOBAL": "/dev/null", **environ}
        command = ["git", f"--git-dir={self._path}", *words]
        done = subprocess.run(command, env=kept | more, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def wish(source: str = "project/red", rung: str = "test", who: str = "alice", **more: Any) -> Wish:
    return Wish(BranchName(source), rung, who, more.pop("reason", "for a test"), **more)


def promoted(desk: Desk, asked: Wish, approver: str = "olga") -> Promotion:
    """Propose, approve and promote; return what became of it."""
    looked = desk.propose(asked)
    approved(desk, looked, approver)
    list(desk.promote(looked.promotion.id, asked.who))
    return desk.kept.get(looked.promotion.id)


def approved(desk: Desk, looked: Looked, approver: str = "olga") -> list[Remark]:
    """Approve what was looked at."""
    assert looked.promotion.effect is not None
    return list(desk.approve(looked.promotion.id, approver, looked.promotion.effect.digest))
