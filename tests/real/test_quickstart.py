"""The quickstart's story, from nothing to the run after a push, in a directory with a space in its name.

The directory is below one's own home, where most people clone it, and which is closed to others, as root's is.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from puppetmaster_quickstart.cast import WEB_1, WEB_2
from puppetmaster_quickstart.owned_process import start_time
from puppetmaster_quickstart.whole_instance import groups
from tests.support.puppetserver import CACHE
from tests.support.ruby import COMPILED

ROOT = Path(__file__).parents[2]


def quickstart(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "puppetmaster_quickstart", str(base), *arguments]
    # As in ./quickstart: what is installed does not have it, the checkout has.
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)


def doctor(base: Path, *words: str) -> dict[str, str]:
    """Return what `branch-manager doctor` finds: check → level."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    command = ["branch-manager", "--config", str(base / "config.yaml"), "doctor", "--user", user, "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {one["id"]: one["level"] for one in json.loads(done.stdout)["findings"]}


def split(text: str, *marks: str) -> list[str]:
    """Return what stands before, between and after the marks."""
    parts = []
    for mark in marks:
        part, found, text = text.partition(mark)
        assert found, mark
        parts.append(part)
    return [*parts, text]


def column(hello: str) -> tuple[str, ...]:
    """Return the values of the file that the agents write."""
    return tuple(line.split(maxsplit=1)[1].split("  ")[0].strip() for line in hello.splitlines())


def its_own_master(lab: str, base: Path) -> None:
    """Hold the chapter to what it tells."""
    enabled, edited, back = split(lab, "Commits there go live", "And back.")
    assert re.search(r"^ +run: run the agent\n +\d+ changes \(", enabled, re.MULTILINE), enabled
    assert re.search(r"^ +puppetmasterSelf: serving since \d+ commit \w+ ahead 0 behind 0$", enabled, re.MULTILINE)
    assert "state    serving" in edited and "state    client" in back
    assert "1 ahead, 0 behind" in edited and edited.count("content changed") == 1
    # Its own master says what the central one says, but for what was changed there.
    assert re.search(r"^ +0 differences \(", enabled, re.MULTILINE), enabled
    assert re.search(r"^ +colour +green ", edited, re.MULTILINE), edited
    assert re.search(r"^ +code +third", edited, re.MULTILINE)
    assert not re.search(r"^ +code +third", enabled + back, re.MULTILINE)
    # What the way back changes is told before.
    assert re.search(r"^ +-code +third .*\n +\+code +second ", back, re.MULTILINE), back
    assert re.search(r"topic/demo/lab-1-\d{8}T\d{6} ", back), back
    assert "LDAP has not been told" not in lab
    own = base / "machines/lab-1/own"
    assert not (own / "srv/puppet").exists()
    assert [path.name for path in (own / "var/lib/puppetmaster/self").iterdir()].count("kept") == 1


@pytest.fixture
def base() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".puppetmaster-test-", dir=Path.home()) as home:
        checkout = Path(home) / "a checkout"
        (checkout / ".cache").mkdir(parents=True)
        (checkout / ".cache/puppetserver").symlink_to(CACHE)
        (checkout / ".cache/ruby").symlink_to(COMPILED)
        base = checkout / ".quickstart"
        yield base
        quickstart(base, "stop")


def test_the_whole_story(base: Path) -> None:
    base.mkdir()
    (base / "left-over").write_text("of an earlier telling\n")
    told = quickstart(base)
    assert told.returncode == 0, told.stdout + told.stderr
    assert not (base / "left-over").exists()
    marks = ("6. The agent's first run", "7. An edit", "8. Pushes that", "9. A push", "10. On to test", "11. An end")
    before, first, edit, refused, push, promotion, rest = split(told.stdout, *marks)
    gone, lab = split(rest, "12. An instance that")
    for project in ("demo", "shop"):
        assert re.search(rf"^ +project_{project} +project/{project} +\w{{10}} +live", before, re.MULTILINE), before
        assert f"project {project} now has branch project/{project}" in (base / "hooks.log").read_text()
    assert "Hello from LDAP" in first and "Hello again" not in first
    assert len(re.findall(r" built \d+ took \d+$", first, re.MULTILINE)) == 3
    assert len(re.findall(r"^ +\S+\.example\.org .* built ", first, re.MULTILINE)) == 3, first
    # What stands behind a prompt exists where it says that one is.
    assert "  web-1$ cat /var/lib/hello\n" in first or "share its network" in before
    assert "export HOME" not in told.stdout and "\n  HOME=" in told.stdout
    assert "alert certificate" in gone and len(re.findall(r" built \d+ took \d+$", gone, re.MULTILINE)) == 1
    assert edit.count("content changed") == 1
    broken, key = split(refused, "openssl genpkey")
    assert "remote: refused" in broken and "modules/hello/manifests/init.pp" in broken and "yntax" in broken, broken
    assert "remote: refused" in key and "modules/hello/web.pem" in key and "PRIVATE KEY" not in key, key
    assert "live at" not in refused
    assert "remote: project_demo: live at" in push
    assert re.search(rf"effect: 2 nodes differ\n.*{WEB_1}.*/hello\] \(content\)", push), push
    proposed, approved, back = split(promotion, "may not approve it herself", "not for everybody after all")
    assert "P1 is proposed: approvals: it has 0 of 1 approvals of operator" in proposed
    assert "The second code (bob <bob@example.org>)" in proposed and "no node uses it" in proposed
    assert "alice proposed it" in approved and "P1: test is at" in approved
    assert re.search(r"^ +P1 +done +project/demo → test +alice ", approved, re.MULTILINE), approved
    assert "promoted by alice" in approved and "approved by dora" in approved
    assert re.search(r"^ +H\d +test +dora +until ", back, re.MULTILINE), back
    (hello,) = (base / "puppetserver").glob("**/environments/test/modules/hello/manifests/init.pp")
    assert "code      first" in hello.read_text()
    assert f"next run: {WEB_1}, {WEB_2}" in push
    assert push.count("content changed") == 1
    assert "remote:   project/shop: bob" in push
    # Where the machine cannot run a whole instance, the chapter says so.
    whole = "Left out, because this machine cannot run a whole instance: " not in lab
    if whole:
        its_own_master(lab, base)
    says = {
        "web-1": ("Hello again", "bob@example.org", "green", "demo", "second"),
        "web-2": ("nothing", "alice@example.org", "green", "demo", "first"),  # it did not run again
        "web-2-again": ("nothing", "alice@example.org", "green", "demo", "second"),
        "till-1": ("nothing", "carol@example.org", "none", "shop", "first"),
    }
    if whole:
        says["lab-1"] = ("nothing", "alice@example.org", "green", "demo", "second")  # it went back
    for machine, words in says.items():
        assert column((base / f"machines/{machine}/own/var/lib/hello").read_text()) == words

    server = base / "puppetserver"
    places = ("--puppet-confdir", str(server / "puppet"), "--puppetserver-conf", str(server / "server/conf.d"))
    found = doctor(base, *places)
    # Its services are no units.
    assert {check for check, level in found.items() if level != "ok"} == {"puppet-static-catalogs", "units"}, found
    assert found["puppetserver-flush"] == found["service"] == found["project-branches"] == "ok"

    for person in ("alice", "bob"):
        password = (base / f"people/{person}/password").read_text()
        assert password not in told.stdout + (base / "serve.log").read_text()
    assert quickstart(base, "status").stdout.count("runs, pid") == (13 if whole else 10)
    pids = [int(line.split("pid ")[1].split(",")[0]) for line in quickstart(base, "status").stdout.splitlines()]
    assert quickstart(base, "stop").returncode == 0
    assert [pid for pid in pids if start_time(pid) is not None] == []
    assert not any(group.exists() for group in groups(base / "machines/lab-1"))
    assert quickstart(base, "status").stdout.count("does not run") >= 5
    if not whole:
        pytest.skip(lab)  # all else was told; in CI that is a failure


def test_a_wrong_word_is_usage(base: Path) -> None:
    wrong = quickstart(base, "sing")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert len(wrong.stderr.splitlines()) == 1
