"""A plain instance becomes its own master because LDAP says so, and goes back: all real parts, systemd to LDAP.

It has Puppet's agent only. `enable` installs puppetserver from the package
source, as large as the module makes it, and `disable` takes it away; also when
the power is cut in between. With what puppetserver needs there already, for a
project, and left by force: test_project_master.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping

import pytest

from tests.support.machine_look import SELF_MASTER, look
from tests.support.machines import Machine, needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.self_master_site import (
    BRANCH,
    ENVIRONMENT,
    NAME,
    SELF,
    SITE,
    Site,
    agent,
    done,
    pasting,
    self_master_site,
    with_module,
)
from tests.support.self_master_states import (
    HAND_OVER,
    OFTEN,
    assign,
    cut_off,
    in_ldap,
    left_over,
    settled,
    status,
    told,
    until,
    wait,
)

SLOW = """
stage { 'late': require => Stage['main'] }
class late {
  # As long as the hand-over waits, so does this run.
  exec { '/bin/sleep 8': onlyif => '/bin/systemctl is-active --quiet puppetmaster-self-hand-over.service' }
}
class { 'late': stage => 'late' }
"""
"""What is only in the central master's environment."""
UWE = "export GIT_AUTHOR_NAME=Uwe GIT_COMMITTER_NAME=Uwe EMAIL=uwe@example.org GIT_EDITOR=true"
AS_UWE = ("-c", "user.name=Uwe", "-c", "user.email=uwe@example.org")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    with self_master_site(tmp_path_factory.mktemp("site"), make_master) as site:
        with_module(site.base / "seed")
        upstream(site, {"environment.conf": "modulepath = modules\n"}, "the module")
        with_module(site.master.add_environment(ENVIRONMENT, {"manifests/site.pp": SITE % "central" + SLOW}))
        yield site


@pytest.fixture(scope="module")
def machine(site: Site) -> Machine:
    often = "/etc/systemd/system/puppetmaster-self-watch.timer.d/often.conf"
    return site.instance(NAME, plain=True, **{often: OFTEN})


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


def patch(machine: Machine, old: str, new: str) -> None:
    edit = f"cd /srv/puppet && sed -i 's/{old}/{new}/' manifests/site.pp"
    done(machine, "sh", "-c", f"{edit} && git -c user.name=Bob -c user.email=b@x commit -qam 'to {new}'")


def sync(machine: Machine, *, good: bool = True) -> None:
    done(machine, "systemctl", "start", "puppetmaster-self-sync.service", good=(0,) if good else (1,), timeout=300)
    told(machine, "puppetmaster-self-sync.service")


def test_the_class_in_ldap_makes_it_a_self_master_and_taking_it_away_ends_that(site: Site, machine: Machine) -> None:
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    before = look(machine, SELF_MASTER)
    assert len(before) > 1000

    done(machine, SELF, "enable", "--dry-run")
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
    # It is resolved by hand, as docs/sync.md has it; whoever does it has a name and an editor.
    given = {
        "puppetmaster-self sync ": "puppetmaster-self sync && exit 1 || test $? = 1 ",
        "git rebase FETCH_HEAD ": "git rebase FETCH_HEAD && exit 1 || test $? = 1 ",
        "$EDITOR ": "sed -i '/^[<=|>]\\{7\\}/d; /upstream/d' ",
    }
    pasting(machine, UWE).follow("sync.md", "cd /srv/puppet", given)
    standing = status(machine)
    assert (standing["ahead"], standing["behind"]) == (1, 0)
    agent(machine)
    assert machine.read("/etc/red") == f"own for {NAME}\n"

    assign(site, name="")
    until(machine, "client")
    assert "removed from this node in LDAP" in told(machine, "puppetmaster-self-watch.service")
    assert status(machine)["ended"]["reason"] is None
    agent(machine)
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    wait(machine, "LDAP", lambda: not in_ldap(site), 60)
    log = ("git", "-C", str(site.repository), "log", "--format=%s", "--branches=topic/*", "-1")
    assert subprocess.run(log, capture_output=True, text=True).stdout == "to own\n"
    assert left_over(machine, before) == set()
    left = machine.run("ls", "/var/lib/puppetmaster", "/var/lib/puppetmaster/self").stdout.split()
    assert [word for word in left if not word.startswith("/")] == ["self", "kept", "transaction"]


def test_power_cut_while_packages_are_installed(machine: Machine) -> None:
    # While dpkg unpacks the largest of them. Last: what was cut off is not tried again within the hour, whoever asks.
    cut_off(machine, "packages", "pgrep", "-f", "[f]sys-tarfile.*jre-headless")
