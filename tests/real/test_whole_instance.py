"""A whole instance on this machine: its own systemd, nothing of the machine's services and data, and no traces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.terms.names import Certname
from puppetmaster_quickstart.owned_process import OwnedProcess, ProcessFailed, start_time
from puppetmaster_quickstart.private_instance import end, first_process, start_wire, wire
from puppetmaster_quickstart.whole_instance import WholeInstance, forget_groups, groups
from tests.support.machines import needs_root

LAB, SERVER = Certname("lab-1.example.org"), Certname("puppet.example.org")
ASK = """import urllib.request; print(urllib.request.urlopen("http://puppet.example.org/word").read().decode())"""
START = """
import sys, time
from pathlib import Path
from tests.real.test_whole_instance import instance
instance(Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(600)
"""


def instance(base: Path) -> WholeInstance:
    return WholeInstance(base / "lab", LAB, SERVER, {8140: base / "wire-puppetserver", 80: base / "wire-web"})


def has_groups(lab: WholeInstance) -> bool:
    return any(group.exists() for group in groups(lab.base))


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    needs_root()
    base = tmp_path / "with space"
    (base / "lab").mkdir(parents=True)
    yield base
    end(OwnedProcess(base / "lab/pid", "lab"))
    end(wire(base, "web"))
    forget_groups(base / "lab")


def said(lab: WholeInstance, *words: str) -> str:
    run = lab.run(*words)
    assert run.status == 0, run.output
    return run.output.strip()


def test_what_sets_a_machine_up_is_not_taken_for_its_first_process() -> None:
    """Else commands for the machine run, as root, on the one that it is on: where that has systemd, too, it answers."""
    needs_root()
    # In nspawn's place: a child here first, then one in a PID namespace of its own.
    setting_up = "sleep 60 & read line; exec unshare --pid --fork --kill-child sleep 60"
    with subprocess.Popen(["sh", "-c", setting_up], stdin=subprocess.PIPE, text=True) as nspawn:
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
        try:
            assert nspawn.stdin is not None
            while not children.read_text():
                time.sleep(0.01)
            assert first_process(nspawn.pid) is None
            here = children.read_text().split()
            nspawn.stdin.write("\n")
            nspawn.stdin.flush()
            while (first := first_process(nspawn.pid)) is None:
                assert nspawn.poll() is None
                time.sleep(0.01)
            assert str(first) in set(children.read_text().split()) - set(here)
        finally:
            for child in children.read_text().split():
                os.kill(int(child), signal.SIGKILL)
            nspawn.kill()
    assert first_process(nspawn.pid) is None


def test_it_is_a_system_of_its_own(base: Path) -> None:
    (base / "word").write_text("hello")
    serve = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(base), "0"]
    lab = instance(base)
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            start_wire(wire(base, "web"), int(server.stdout.readline().split(" port ")[1].split()[0]))
            lab.start()
            assert said(lab, "python3", "-c", ASK) == "hello"
        finally:
            server.terminate()
    assert said(lab, "cat", "/proc/1/comm") == "systemd"
    assert said(lab, "systemctl", "is-system-running") == "running"
    assert said(lab, "hostname") == "lab-1"
    assert said(lab, "puppetmaster-self", "--version")
    # A unit of a package starts by the instance's own systemd, and stays within it.
    network = ("readlink", "/proc/self/ns/net")
    assert said(lab, "systemd-run", "--wait", "--pipe", "--quiet", *network) == said(lab, *network)
    links = {line.split(": ")[1].split("@")[0] for line in said(lab, "ip", "-oneline", "link").splitlines()}
    assert links == {"lo", "host0"}
    assert has_groups(lab)
    lab.stop()
    forget_groups(lab.base)
    assert not has_groups(lab)


def test_nothing_of_the_machine_is_there_but_its_software(base: Path) -> None:
    lab = instance(base)
    lab.start()
    for place in ("/home", "/srv", "/etc/systemd/system/*.wants", "/etc/cron*", "/etc/ssh", "/etc/ssl/private"):
        assert said(lab, "sh", "-c", f"ls -A {place} 2>/dev/null || :") == "", place
    accounts = [line.split(":") for line in said(lab, "cat", "/etc/passwd").splitlines()]
    assert {"root", "puppet"} <= {account[0] for account in accounts}
    assert [account[0] for account in accounts if 1000 <= int(account[2]) < 65534] == []
    assert {line.split(":")[1] for line in said(lab, "cat", "/etc/shadow").splitlines()} == {"!"}
    units = said(lab, "systemctl", "list-units", "--no-legend", "--plain", "--state=running", "--type=service")
    assert [line.split()[0] for line in units.splitlines()] == ["systemd-journald.service"]
    assert lab.run("touch", "/usr/bin/mine").status != 0
    assert lab.run("test", "-e", str(base)).status != 0
    assert len(said(lab, "cat", "/etc/machine-id")) == 32
    assert (
        not Path("/etc/machine-id").exists()
        or said(lab, "cat", "/etc/machine-id") not in Path("/etc/machine-id").read_text()
    )


def test_all_its_accounts_reach_a_link(base: Path) -> None:
    """As a checkout in root's home has it: hiera takes what it cannot reach for what is not there."""
    lab = instance(base)
    (lab.own / "root").mkdir(parents=True, mode=0o700)
    lab.link("/root/the checkout/answers", "/var/lib/answers")
    link = lab.own / "root/the checkout/answers"
    assert str(link.readlink()) == "/var/lib/answers"
    assert [above for above in (link.parent, lab.own / "root", lab.own) if not above.stat().st_mode & 0o001] == []


def test_whoever_started_it_is_killed_and_it_is_ended_all_the_same(base: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START, str(base)],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        starter.send_signal(signal.SIGKILL)
    lab = instance(base)
    inside = int(lab.entering()[2])
    (lab.own / "left").write_text("a word")
    with pytest.raises(ProcessFailed, match="runs already"):
        lab.start()
    assert end(OwnedProcess(base / "lab/pid", "lab"))
    forget_groups(base / "lab")
    assert not has_groups(lab)
    assert start_time(inside) is None
    assert str(base) not in Path("/proc/mounts").read_text()
    lab.start()
    assert said(lab, "cat", "/left") == "a word"


def test_without_the_right_to_mount_it_says_what_is_missing(base: Path) -> None:
    lab = instance(base)
    script = "import sys; from tests.real.test_whole_instance import *; instance(Path(sys.argv[1])).start()"
    without = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    done = subprocess.run(
        [*without, sys.executable, "-c", script, str(base)],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "Operation not permitted" in done.stderr
    assert "the instance does not start" in done.stderr
    assert lab.process.pid is None
