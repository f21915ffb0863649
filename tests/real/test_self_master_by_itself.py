"""Instances that hand over by themselves: asked for in LDAP, let go by LDAP, left by a dead master, cut off the power.

Real systemd, packages, puppetserver, agent, LDAP and git. One machine for all
tests here, with what puppetserver needs installed beforehand, for each enable
costs half a minute; every test begins and ends with the central master serving
it. On a plain machine: test_self_master.py.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.machine_look import SELF_MASTER, look
from tests.support.machines import Machine, needs_root
from tests.support.puppet_module import PARTS, ROOT
from tests.support.puppetserver import MakeMaster
from tests.support.self_master_site import (
    BRANCH,
    ENVIRONMENT,
    NAME,
    SELF,
    SITE,
    S,
    Site,
    agent,
    done,
    self_master_site,
)
from tests.support.self_master_states import cut_off, left_over, status, until, wait
from tests.support.slapd import REPLACE
from tests.support.toolkit import PREFIX

NODE = f"cn={NAME},ou=red,ou=hosts,{S}"
HAND_OVER = "puppetmaster-self-hand-over.service"
OFTEN = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=10\nOnUnitInactiveSec=10\n"
SLOW = """
stage { 'late': require => Stage['main'] }
class late {
  # As long as the hand-over waits, so does this run.
  exec { '/bin/sleep 8': onlyif => '/bin/systemctl is-active --quiet puppetmaster-self-hand-over.service' }
}
class { 'late': stage => 'late' }
"""
"""What is only in the central master's environment."""
AS_UWE = ("-c", "user.name=Uwe", "-c", "user.email=uwe@example.org")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    with self_master_site(tmp_path_factory.mktemp("site"), make_master) as site:
        (site.base / "seed/modules").mkdir()
        with_module(site.base / "seed")
        upstream(site, {"environment.conf": "modulepath = modules\n"}, "the module")
        central = site.master.add_environment(ENVIRONMENT, {"manifests/site.pp": SITE % "central" + SLOW})
        with_module(central)
        yield site


@pytest.fixture(scope="module")
def machine(site: Site) -> Machine:
    machine = site.instance(NAME, **{"/etc/systemd/system/puppetmaster-self-watch.timer.d/often.conf": OFTEN})
    done(machine, "sh", "-c", "echo '  dead_after: 10s' >>/etc/puppetmaster/config.yaml")
    return machine


def with_module(environment: Path) -> None:
    module = environment / "modules/puppetmaster"
    module.mkdir()
    for part in PARTS:
        place = ROOT / part
        (shutil.copytree if place.is_dir() else shutil.copyfile)(place, module / part)


def upstream(site: Site, files: Mapping[str, str], subject: str) -> None:
    """Commit on the central branches."""
    seed = site.base / "seed"
    for name, text in files.items():
        (seed / name).write_text(text)
    for words in (
        ("add", "."),
        ("commit", "-q", "-m", subject),
        ("push", "-q", str(site.repository), BRANCH, f"{BRANCH}:production"),
    ):
        subprocess.run(["git", "-C", str(seed), *AS_UWE, *words], check=True)


def assign(site: Site, *parameters: str, name: str = "puppetmaster::self") -> None:
    changes = {"puppetClass": [name] if name else [], "puppetmasterParameter": list(parameters)}
    site.slapd.modify(NODE, {attribute: [(REPLACE, values)] for attribute, values in changes.items()})


def in_ldap(site: Site) -> str:
    """Return what LDAP tells everybody about who serves the instance."""
    with site.slapd.connect() as connection:
        connection.search(NODE, "(objectClass=*)", attributes=["puppetmasterSelf"])
        return " ".join(connection.entries[0].entry_attributes_as_dict["puppetmasterSelf"])


def settled(machine: Machine) -> None:
    """Wait for the hand-over's end, which has something to say to LDAP still."""
    idle = ("inactive", "failed", "unknown")
    wait(machine, "hand-over", lambda: machine.run("systemctl", "is-active", HAND_OVER).stdout.strip() in idle)


def told(machine: Machine, unit: str) -> str:
    said = machine.run("journalctl", "-b", "-q", "--no-pager", "-o", "cat", "-u", unit).stdout
    print(f"--- {unit}\n{said[-5000:]}")
    return said


def patch(machine: Machine, old: str, new: str) -> None:
    edit = f"cd /srv/puppet && sed -i 's/{old}/{new}/' manifests/site.pp"
    done(machine, "sh", "-c", f"{edit} && git -c user.name=Bob -c user.email=b@x commit -qam 'to {new}'")


def test_the_class_in_ldap_makes_it_a_self_master_and_taking_it_away_ends_that(site: Site, machine: Machine) -> None:
    agent(machine)
    before = look(machine, SELF_MASTER)
    assign(site)
    agent(machine)
    assert status(machine)["state"] in ("client", "enabling")
    until(machine, "serving")
    settled(machine)
    lines = machine.run("journalctl", "-q", "--no-pager", "-o", "short-unix", "-u", HAND_OVER).stdout.splitlines()
    print("\n".join(lines))
    started, acted = (
        next(float(line.split()[0]) for line in lines if words in line) for words in ("Started", " units: ")
    )
    assert acted - started > 7, "it began before the run had ended"
    standing = status(machine)
    assert (standing["served_by"], standing["assigned"], standing["ahead"]) == ("self", True, 0)
    assert in_ldap(site).startswith("serving since ")

    done(machine, "puppet", "agent", "--test", "--waitforlock", "5", timeout=180, good=(0,))
    classes = done(machine, "puppet", "config", "print", "classfile", "--section", "agent").strip()
    assert "puppetmaster::self\n" in machine.read(classes)
    assert machine.run("systemctl", "is-active", HAND_OVER).stdout.strip() == "inactive"

    # Upstream moves; the timer's unit carries the local patch along, and the next run shows both.
    patch(machine, "central", "own")
    upstream(site, {"manifests/more.pp": "node /^web-/ inherits none {}\n"}, "broken")
    sync(machine, good=False)
    assert status(machine)["sync"]["outcome"] == "unsound"
    upstream(site, {"manifests/more.pp": "notify { 'upstream has moved': }\n"}, "mended")
    sync(machine)
    said = agent(machine)
    assert "upstream has moved" in said and machine.read("/etc/red") == f"own for {NAME}\n"
    standing = status(machine)
    assert (standing["sync"]["outcome"], standing["ahead"], standing["behind"]) == ("synced", 1, 0)

    # A conflict is told, and the old stays.
    upstream(site, {"manifests/site.pp": SITE % "upstream's"}, "the same line")
    sync(machine, good=False)
    standing = status(machine)
    assert standing["sync"]["outcome"] == "conflict"
    for word in ("to own", "Bob", "manifests/site.pp", "the same line"):
        assert word in standing["sync"]["message"], standing["sync"]
    agent(machine)
    assert machine.read("/etc/red") == f"own for {NAME}\n"
    assert in_ldap(site).endswith("ahead 1 behind 1")

    assign(site, name="")
    until(machine, "client")
    assert "taken away from this node in LDAP" in told(machine, "puppetmaster-self-watch.service")
    agent(machine)
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    assert status(machine)["ended"]["reason"] == ""
    wait(machine, "LDAP", lambda: not in_ldap(site), 60)
    log = ("git", "-C", str(site.repository), "log", "--format=%s", "--branches=topic/*", "-1")
    assert subprocess.run(log, capture_output=True, text=True).stdout == "to own\n"
    assert left_over(machine, before) == set()


def sync(machine: Machine, *, good: bool = True) -> None:
    done(machine, "systemctl", "start", "puppetmaster-self-sync.service", good=(0,) if good else (1,), timeout=300)
    told(machine, "puppetmaster-self-sync.service")


def test_ensure_absent_in_ldap_ends_it_and_so_does_a_dead_master(site: Site, machine: Machine) -> None:
    agent(machine)
    before = look(machine, SELF_MASTER)
    done(machine, SELF, "enable", timeout=580)
    assign(site, 'puppetmaster::self::ensure="absent"')
    wait(machine, "the own answer", lambda: "absent" in machine.run(f"{PREFIX}/bin/enc", NAME).stdout, 60)
    agent(machine)
    until(machine, "client")
    settled(machine)
    assert "the central master serves this instance" in told(machine, HAND_OVER)
    assert not in_ldap(site)
    agent(machine)
    assert (status(machine)["state"], left_over(machine, before)) == ("client", set())
    assign(site, name="")

    done(machine, SELF, "enable", timeout=580)
    assert in_ldap(site)
    done(machine, "systemctl", "mask", "--runtime", "--now", "puppetserver")
    until(machine, "client")
    assert "the own puppetserver has been dead for" in status(machine)["ended"]["reason"]
    assert "has been dead for" in done(machine, SELF, "status")
    wait(machine, "LDAP", lambda: not in_ldap(site), 60)
    done(machine, "systemctl", "unmask", "--runtime", "puppetserver")
    agent(machine)
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    assert left_over(machine, before) == set()

    # What has gone wrong is not tried again at once, though LDAP asks for it.
    assign(site)
    agent(machine)
    settled(machine)
    assert "tried again an hour later" in told(machine, HAND_OVER)
    assert status(machine)["state"] == "client"
    assign(site, name="")


def test_power_cut_in_the_middle_of_apply(machine: Machine) -> None:
    cut_off(machine, "apply", "grep", "-q", "ssldir", "/etc/puppet/puppet.conf")
