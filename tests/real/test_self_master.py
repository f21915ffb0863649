"""A plain instance becomes its own master and goes back: real systemd, packages, puppetserver, agent, LDAP and git.

It has Puppet's agent only. `enable` installs puppetserver from the package
source, as large as the module makes it, and `disable` takes it away; also when
the power is cut in between.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.machine_look import SELF_MASTER, differing, look
from tests.support.machines import Machine, needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.self_master_site import NAME, SELF, Site, agent, done, self_master_site
from tests.support.self_master_states import cut_off


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    with self_master_site(tmp_path_factory.mktemp("site"), make_master) as site:
        yield site


@pytest.fixture(scope="module")
def machine(site: Site) -> Machine:
    return site.instance(NAME, plain=True)


def test_power_cut_while_packages_are_installed(machine: Machine) -> None:
    # While dpkg unpacks the largest of them
    cut_off(machine, "packages", "pgrep", "-f", "[f]sys-tarfile.*jre-headless")


def test_an_instance_serves_itself_and_goes_back(site: Site, machine: Machine) -> None:
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    before = look(machine, SELF_MASTER)
    assert len(before) > 1000

    done(machine, SELF, "enable", "--dry-run")
    done(machine, SELF, "enable", timeout=580)
    status = json.loads(done(machine, SELF, "status", "--json"))
    assert (status["state"], status["served_by"], status["ahead"], status["behind"]) == ("serving", "self", 0, 0)
    edit = "cd /srv/puppet && sed -i s/central/own/ manifests/site.pp"
    edit += " && git -c user.name=Bob -c user.email=b@x commit -qam own"
    done(machine, "sh", "-c", edit)
    agent(machine)
    assert machine.read("/etc/red") == f"own for {NAME}\n"

    done(machine, SELF, "disable", timeout=580)
    assert json.loads(done(machine, SELF, "status", "--json"))["state"] == "client"
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    assert done(machine, "puppet", "agent", "--test", "--noop", "--waitforlock", "1").count("noop") == 0
    done(machine, "puppet", "agent", "--test", "--waitforlock", "1", good=(0,))
    assert set(differing(before, look(machine, SELF_MASTER))) <= {"/var/lib/puppetmaster"}
    left = machine.run("ls", "/var/lib/puppetmaster", "/var/lib/puppetmaster/self").stdout.split()
    assert [word for word in left if not word.startswith("/")] == ["self", "kept", "transaction"]
    kept = subprocess.run(
        ["git", "-C", str(site.repository), "log", "--format=%s", "--branches=topic/*", "-1"],
        capture_output=True,
        text=True,
    )
    assert kept.stdout == "own\n"
