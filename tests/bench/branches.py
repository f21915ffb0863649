"""What a push costs, and what a branch: our hooks beside r10k, g10k and the common hook, in one run.

One repository of more than 10,000 files with 1,000 project branches, all live
with us; the others have live only the branches that are pushed to, which
favours them. Every round pushes one changed file to one branch of each, one
after the other, so that all share the machine's mood. Ours also asks a real
slapd who may push and inspects what is pushed; the others check nothing. Needs the Debian
packages r10k and g10k, and 15 GB for 200 full checkouts. No puppetserver takes part: a flush costs 2 to 8 ms more.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from enc.settings import BranchSettings
from enc.settings.config import load
from enc.terms.environments import Rules
from enc.terms.names import BranchName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.push.install import install
from git_hooks.push.service import socket_path
from tests.support.bare import git
from tests.support.monorepo import create, debian_modules, project_branch
from tests.support.slapd import Slapd
from tests.support.transports import people

CACHE = Path(__file__).resolve().parents[2] / ".cache/puppet-modules"
CHANGED = "modules/stdlib/manifests/init.pp"

CHECKOUT_HOOK = """#!/bin/bash
while read -r old new ref; do
    environment=${{ref#refs/heads/}}; environment=${{environment//\\//_}}
    mkdir -p {base}/environments/$environment
    GIT_INDEX_FILE={base}/index.$environment git --work-tree={base}/environments/$environment checkout -q -f $new -- .
done
"""
R10K_HOOK = """#!/bin/bash
unset GIT_DIR GIT_QUARANTINE_PATH
while read -r old new ref; do
    environment=${{ref#refs/heads/}}; environment=${{environment//\\//_}}
    r10k -c {base}/config.yaml deploy environment $environment
done
"""
G10K_HOOK = """#!/bin/bash
unset GIT_DIR GIT_QUARANTINE_PATH
while read -r old new ref; do
    g10k -quiet -config {base}/config.yaml -branch ${{ref#refs/heads/}}
done
"""
R10K_CONFIG = """---
cachedir: {base}/cache
git: {{provider: shellgit}}
sources: {{main: {{remote: {base}/repository.git, basedir: {base}/environments}}}}
"""
G10K_CONFIG = """---
:cachedir: {base}/cache
sources: {{main: {{remote: {base}/repository.git, basedir: {base}/environments, invalid_branches: correct}}}}
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: str
    target: str = ""
    met: bool = True


class Peer:
    """One way to deploy: a repository with its hook, and the clone that pushes to it."""

    def __init__(self, base: Path, origin: Path) -> None:
        self.base = base
        base.mkdir()
        self.repository = base / "repository.git"
        shutil.copytree(origin, self.repository, symlinks=True)
        self.clone = base / "clone.git"
        git(base, "clone", "-q", "--bare", "--shared", str(origin), str(self.clone))

    def install(self, text: str) -> None:
        program = self.repository / "hooks/post-receive"
        program.write_text(text)
        program.chmod(0o755)

    def push(self, branch: str, body: str) -> float:
        """Push one changed file; return the milliseconds of the push alone."""
        blob = git(self.clone, "hash-object", "-w", "--stdin", stdin=body.encode())
        environment = os.environ | {"GIT_INDEX_FILE": str(self.base / "index")}
        for command in (["read-tree", branch], ["update-index", "--cacheinfo", f"100644,{blob},{CHANGED}"]):
            subprocess.run(["git", "-C", str(self.clone), *command], check=True, env=environment)
        tree = subprocess.check_output(["git", "-C", str(self.clone), "write-tree"], env=environment, text=True).strip()
        commit = git(self.clone, "commit-tree", tree, "-p", branch, "-m", body)
        git(self.clone, "update-ref", f"refs/heads/{branch}", commit)
        command = ["git", "-C", str(self.clone), "push", "-q", str(self.repository), branch]
        # What the deployer before this one wrote must not be waited for by this one's fsync.
        os.sync()
        began = time.perf_counter()
        subprocess.run(command, check=True, env=os.environ | {"GL_USER": "olga"}, stderr=subprocess.DEVNULL)
        return (time.perf_counter() - began) * 1000

    def shows(self, branch: str) -> str:
        """What the pushed file says in the live environment."""
        return (self.base / "environments" / branch.replace("/", "_") / CHANGED).read_text()


def ours(base: Path, origin: Path, slapd: Slapd) -> tuple[Peer, BranchSettings]:
    peer = Peer(base, origin)
    configuration = base / "config.yaml"
    places = {"repository": peer.repository, "store": base / "store", "environments": base / "environments"}
    branches = {name: str(place) for name, place in places.items()}
    configuration.write_text(slapd.configuration(pushes={"identity": "gitolite"}, branches=branches))
    settings = load(configuration)
    install(settings, configuration)
    return peer, settings.branches


def deploy(settings: BranchSettings, branches: list[str]) -> float:
    """Make branches live, the first one before the others, which share with it; return the seconds."""
    rules = Rules(settings.rules)
    began = time.perf_counter()
    places = [place for name in branches if (place := rules.place(BranchName(name)))]
    with Deployer(settings) as deployer:
        for number, place in enumerate(places):
            if number == 1:
                deployer.build_ahead((place.environment, Tip(place.branch)) for place in places[1:])
            record = deployer.deploy(place.environment, Tip(place.branch), "bench")
            assert record.good, record
    return time.perf_counter() - began


@contextmanager
def service(base: Path, settings: BranchSettings) -> Iterator[None]:
    program = "import sys, pathlib, git_hooks.push.service as s; s.Service(pathlib.Path(sys.argv[1])).run()"
    process = subprocess.Popen([sys.executable, "-c", program, str(base / "config.yaml")])
    try:
        while not socket_path(settings.store).exists():
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()


def size(directory: Path) -> tuple[int, int]:
    """Return the bytes on disk and the inodes below a directory, each inode once."""
    seen: dict[int, int] = {}
    for parent, _, names in os.walk(directory):
        for name in (".", *names):
            status = (Path(parent) / name).lstat()
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values()), len(seen)


def full_checkouts(base: Path, repository: Path, number: int) -> tuple[float, int, int]:
    """Check branches out whole, one after the other; return the seconds for all, bytes and inodes for one.

    None is removed before the end of the run: ext4 is slow where many files were deleted a moment ago, for everybody.
    """
    began = time.perf_counter()
    for index in range(number):
        goal = base / f"full{index}"
        goal.mkdir()
        environment = os.environ | {"GIT_INDEX_FILE": str(base / f"index{index}")}
        command = ["git", f"--git-dir={repository}", f"--work-tree={goal}", "checkout", "-q", "-f"]
        subprocess.run([*command, project_branch(index), "--", "."], check=True, env=environment)
    return time.perf_counter() - began, *size(base / "full0")


def run(branches: int, rounds: int, directory: Path, say: Callable[[str], None]) -> list[Row]:
    """Measure everything; `directory` is where the repositories and environments go."""
    slapd = Slapd(directory / "slapd")
    try:
        people(slapd)
        return _run(branches, rounds, directory, slapd, say)
    finally:
        slapd.stop()


def _run(branches: int, rounds: int, directory: Path, slapd: Slapd, say: Callable[[str], None]) -> list[Row]:
    origin = directory / "origin.git"
    files = create(origin, debian_modules(CACHE), branches)
    say(f"a repository of {files} files and {branches} project branches is made")
    rows = [Row("files in the repository", f"{files}", ">= 10,000", files >= 10_000)]

    names = [project_branch(number) for number in range(branches)]
    some = min(200, branches)
    whole, whole_bytes, whole_inodes = full_checkouts(directory, origin, some)
    say(f"{some} branches were checked out")
    warm, settings = ours(directory / "warm", origin, slapd)
    os.sync()  # as in Peer.push: what the checkouts wrote is not ours to wait for
    first = deploy(settings, ["test", *names[:some]])
    base_bytes, base_inodes = size(settings.store)
    rest = deploy(settings, names[some:])
    all_bytes, all_inodes = size(settings.store)
    say(f"{branches} branches are live")
    rows += [
        Row(f"{some} branches from nothing, full checkouts", f"{whole:.1f} s"),
        Row(f"{some} branches from nothing, ours", f"{first:.1f} s", "<= 1/10", first * 10 <= whole),
        Row(f"{branches} branches from nothing, ours", f"{first + rest:.1f} s"),
    ]
    further = max(1, branches - some)
    for what, full, before, after in (
        ("bytes", whole_bytes, base_bytes, all_bytes),
        ("inodes", whole_inodes, base_inodes, all_inodes),
    ):
        one = (after - before) / further
        share = one / full
        rows.append(Row(f"{what} of a full checkout", f"{full:,}"))
        rows.append(Row(f"{what} of each further branch", f"{one:,.0f} = {share:.2%}", "<= 3 %", share <= 0.03))

    cold, cold_settings = ours(directory / "cold", origin, slapd)
    deploy(cold_settings, ["test", *names[:rounds]])
    peers = {"no hooks": Peer(directory / "none", origin), "ours, warm service": warm, "ours, cold": cold}
    for name, text, configuration in (
        ("git checkout -f", CHECKOUT_HOOK, ""),
        ("r10k", R10K_HOOK, R10K_CONFIG),
        ("g10k", G10K_HOOK, G10K_CONFIG),
    ):
        peer = peers[name] = Peer(directory / name.replace(" ", ""), origin)
        (peer.base / "config.yaml").write_text(configuration.format(base=peer.base))
        peer.install(text.format(base=peer.base))
    times: dict[str, list[float]] = {name: [] for name in peers}
    with service(warm.base, settings):
        # The first push of a branch makes its environment where it is not live yet; only the second counts.
        for measured in (False, True):
            for number in range(rounds):
                for name, peer in peers.items():
                    body = f"class stdlib {{ }} # {measured} {number}\n"
                    spent = peer.push(names[number], body)
                    if name != "no hooks":
                        assert peer.shows(names[number]) == body, name
                    if measured:
                        times[name].append(spent)
            say("pushed to every branch once")
    plain = statistics.median(times["no hooks"])
    rows.append(Row("git push, no hooks", f"{plain:.1f} ms"))
    added = {
        name: statistics.median(a - b for a, b in zip(spent, times["no hooks"], strict=True))
        for name, spent in times.items()
        if name != "no hooks"
    }
    goal = added["ours, warm service"]
    for name, more in added.items():
        row = Row(f"git push, {name}", f"{statistics.median(times[name]):.1f} ms, adds {more:.1f} ms")
        if name == "ours, warm service":
            row = Row(row.what, row.value, "adds less than the push", more < plain)
        elif name in ("r10k", "g10k"):
            row = Row(row.what, row.value, "adds >= 10 times ours", more >= 10 * goal)
        rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit status 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.branches", description=__doc__)
    parser.add_argument("--branches", type=int, default=1000, help="project branches (default 1000)")
    parser.add_argument("--rounds", type=int, default=15, help="pushes of each kind (default 15)")
    parser.add_argument("--directory", type=Path, help="where to work (default: the system's temporary directory)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        rows = run(chosen.branches, chosen.rounds, Path(directory), lambda text: print(text, file=sys.stderr))
        for row in rows:
            verdict = "" if not row.target else f"  [{row.target}: {'met' if row.met else 'MISSED'}]"
            print(f"{row.what:<58} {row.value:>26}{verdict}")
        sys.stdout.flush()  # hundreds of thousands of files are removed next
    return int(not all(row.met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
