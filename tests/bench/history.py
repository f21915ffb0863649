"""The audit of a whole history against the scanner's own time for it: in one loop, and by kingfisher's own program.

The history is made by git fast-import, with the key of a certificate in the middle that the next commit takes away;
`--repository` takes another one, which is only read. The audit is done twice: in one run, and killed on its way
(SIGKILL), from where it goes on and says the same. All are measured turn by turn: processor time says more than the
clock does on a machine that has other work. kingfisher's program is asked if it is on PATH (pip: kingfisher-bin).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from git_hooks.secrets.kept import place
from git_hooks.secrets.scanner import Scanner
from tests.support import histories, key_forms

TIMES = 2.0
"""The audit may take so many times as long as the scanner's own program; where that is not there, as its loop."""
_LOOP = """
import sys
from pathlib import Path
from git_hooks.repository.all_objects import AllObjects, Contents
from kingfisher_sdk import Rules, Scanner
repository, cache = sys.argv[1:]
scanner = Scanner(Rules(cache_dir=Path(cache)))
names = [one.name for one in AllObjects(repository).listing() if one.kind == "blob"]
found = 0
for _, _, pieces in Contents(repository).read(names, 1 << 30):
    found += len(scanner.scan(b"".join(pieces)))
print(len(names), found)
"""


class Took(NamedTuple):
    """What something took."""

    wall: float
    processor: float
    """Seconds of all its processes together."""
    said: str


def main(words: list[str]) -> int:
    """Print the table; exit status 1 if the key is not found as it should be, or the audit takes too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench history", description=__doc__)
    parser.add_argument("--commits", type=int, default=20_000, help="default 20,000")
    parser.add_argument("--repository", type=Path, help="another bare repository; it is only read")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as directory:
        return _run(Path(directory), chosen.commits, chosen.repository)


def _run(base: Path, commits: int, other: Path | None) -> int:
    repository = base / "repository.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "production", str(repository)], check=True)
    planted = ""
    if other is not None:
        (repository / "objects/info/alternates").write_text(f"{other.resolve()}/objects\n")
        shutil.copy(other / "packed-refs", repository / "packed-refs")
    else:
        planted = _make(repository, commits)
    (base / "signed.pem").write_bytes(key_forms.certificate(key_forms.key("rsa"), "*.example.org"))
    opening = {"state": str(base / "opening"), "certificates": [str(base / "signed.pem")]}
    branches = {"repository": str(repository), "store": str(base / "store"), "environments": str(base / "environments")}
    configuration = base / "config.yaml"
    configuration.write_text(yaml.safe_dump({"branches": branches | {"opening": opening}}))
    rules = place(repository) / "rules"
    Scanner(rules)  # compiled once
    loop = _took(lambda: [sys.executable, "-c", _LOOP, str(repository), str(rules)])
    own = _kingfisher(base, repository)
    command = [str(Path(sysconfig.get_path("scripts"), "branch-manager")), "--config", str(configuration)]
    whole = _took(lambda: [*command, "audit-secrets", "--json"])
    once = json.loads(whole.said)
    shutil.rmtree(base / "opening")
    first = _took(lambda: [*command, "audit-secrets"], kill_after=lambda: _seen(base) > once["examined"] // 3)
    seen = _seen(base)
    second = _took(lambda: [*command, "audit-secrets", "--json"])
    found = json.loads(second.said)
    wall, processor = whole.wall, whole.processor
    print(f"{'':44}{'seconds':>10}{'of processors':>16}")
    print(f"{'the scanner in one loop':44}{loop.wall:10.1f}{loop.processor:16.1f}")
    if own is not None:
        print(f"{'kingfisher scan, without validation':44}{own.wall:10.1f}{own.processor:16.1f}")
    print(f"{'audit-secrets':44}{wall:10.1f}{processor:16.1f}")
    print(f"{'  against the loop':44}{wall / loop.wall:10.2f}{processor / loop.processor:16.2f} times")
    peer = own or loop
    if own is not None:
        print(f"{'  against kingfisher':44}{wall / own.wall:10.2f}{processor / own.processor:16.2f} times")
    together = first.wall + second.wall, first.processor + second.processor
    print(f"{'audit-secrets, killed and gone on':44}{together[0]:10.1f}{together[1]:16.1f}")
    print(f"examined {found['examined']:,} objects, {seen:,} of them before the kill; {_seen(base) - seen:,} after it")
    named = [one for one in found["findings"] if one["live"]]
    right = other is not None or [(one["commit"], one["path"]) for one in named] == [(planted, "keys/wildcard.pem")]
    same = [{**one, "at": ""} for one in (once, found)]
    twice = _seen(base) > found["examined"] + 2 or same[0] != same[1]
    met = wall <= TIMES * peer.wall
    for one in named:
        print(f"  {one['commit'][:12]}, {one['path']}: {one['certificate']}")
    print(f"the planted key is named: {'met' if right else 'MISSED'}; nothing twice: {'MISSED' if twice else 'met'}")
    print(f"at most {TIMES:g} times as long as {'kingfisher' if own else 'the loop'}: {'met' if met else 'MISSED'}")
    return int(not (right and met) or twice)


def _make(repository: Path, commits: int) -> str:
    """Make the history, and return the commit that brings the key."""
    history = histories.History(repository)
    history.many("production", commits, {commits // 2: ("keys/wildcard.pem", key_forms.pem(key_forms.key("rsa")))})
    words = ["git", "-C", str(repository), "log", "--diff-filter=A", "--format=%H", "--", "keys/wildcard.pem"]
    return subprocess.check_output(words, text=True).strip()


def _seen(base: Path) -> int:
    return sum(file.stat().st_size // 20 for file in (base / "opening").glob("seen-*"))


def _kingfisher(base: Path, repository: Path) -> Took | None:
    if shutil.which("kingfisher") is None:
        return None
    words = ["kingfisher", "scan", str(repository), "--no-validate", "--no-update-check", "--format", "json"]
    return _took(lambda: [*words, "--output", str(base / "kingfisher.json"), "--git-history", "full"])


def _took(words: Callable[[], list[str]], kill_after: Callable[[], bool] | None = None) -> Took:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with subprocess.Popen(words(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        examiners = 0.0
        if kill_after is not None:
            while process.poll() is None:
                if kill_after():
                    examiners = _of_children(process.pid)
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.01)
        said = process.communicate()[0]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(time.monotonic() - began, processor + examiners, said)


def _of_children(parent: int) -> float:
    """Return the processor time of all processes below one, which nobody waits for when it is killed."""
    ticks, parents = os.sysconf("SC_CLK_TCK"), {parent}
    took: dict[int, tuple[int, float]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        took[int(file.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / ticks
    for _ in range(4):
        parents |= {pid for pid, (above, _) in took.items() if above in parents}
    return sum(took[pid][1] for pid in parents - {parent} if pid in took)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
