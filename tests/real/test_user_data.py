"""Whole machines, built by real cloud-init from our user data: the agent installed, signed by its token, run once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from enc.instances import user_data
from enc.instances.agent_profile import authority
from enc.instances.user_data import AgentProfile, UserData
from enc.names import Certname, EnvironmentName, ProjectName
from puppetmaster_self.private_master import PrivateMaster
from puppetmaster_self.puppetserver_files import MasterSettings
from tests.support.machines import Machine, Network, needs_root
from tests.support.puppetserver import MakeMaster

MASTER, ADDRESS = Certname("puppet.example.org"), "10.79.0.1"
SIGNED, REFUSED, VENDOR = (Certname(f"{name}.red.example.org") for name in ("signed", "refused", "vendor"))
TOKEN = "it's a token; $(touch /spliced) \"#&"
SCRIPT = Path(user_data.__file__).with_name("first-run.sh").read_text()
SITE = """node default {
  file { '/built': content => "${trusted['certname']} ${trusted['extensions']['pp_project']}\\n" }
}
"""
AUTOSIGN = r"""#!/bin/bash
request=$(openssl req -noout -text -nameopt utf8)
grep -qF 'challengePassword        :'"$(cat "${0%/*}/token")" <<<"$request" && grep -q red <<<"$request"
"""


class Site(NamedTuple):
    """A master in a network of its own, and machines in it that were booted with user data."""

    master: PrivateMaster
    machines: dict[Certname, Machine]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    base = tmp_path_factory.mktemp("site")
    autosign = base / "autosign"
    autosign.write_text(AUTOSIGN)
    autosign.chmod(0o755)
    (base / "token").write_text(TOKEN)
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        launcher = ("ip", "netns", "exec", network.host("master", ADDRESS))
        master = make_master(
            base / "master",
            MasterSettings(certname=MASTER, address=ADDRESS, port=8140, autosign=autosign, launcher=launcher),
        )
        stack.callback(master.stop)
        master.add_environment(EnvironmentName("production"), {"manifests/site.pp": SITE})
        master.start()
        ca_file = master.base / "puppet/ca/ca_crt.pem"
        profile = AgentProfile(
            server=str(MASTER),
            port=8140,
            ca_server=None,
            authority=authority(ca_file.read_text(), (), ca_file),
            packages=(),
            repository=None,
            install_seconds=120,
            signing_seconds=120,
            run_seconds=120,
            runs=2,
            service=True,
            longest=16384,
            script=SCRIPT,
        )
        told = UserData(profile, SIGNED, ProjectName("red"), TOKEN, "north", "i-1")
        wrong = told._replace(
            certname=REFUSED, token="another", profile=profile._replace(signing_seconds=5, service=False)
        )
        seeds = {
            SIGNED: {"user-data": user_data.render(told)},
            REFUSED: {"user-data": user_data.render(wrong)},
            # What the user says comes first, and does not take ours away.
            VENDOR: {
                "user-data": "#cloud-config\nruncmd: [[touch, /mine]]\nwrite_files: [{path: /too, content: x}]\n",
                "vendor-data": user_data.render_vendor_data(told._replace(certname=VENDOR)),
            },
        }
        machines = {}
        for number, (certname, seed) in enumerate(seeds.items(), 10):
            name = certname.short
            (base / name).mkdir()
            place = "/var/lib/cloud/seed/nocloud"
            files = {f"{place}/{file}": text for file, text in seed.items()}
            files |= {f"{place}/meta-data": f"instance-id: i-{number}\nlocal-hostname: {name}\n"}
            files |= {"/etc/hosts": f"127.0.0.1 localhost\n{ADDRESS} {MASTER} puppet\n"}
            files |= {"/etc/puppet/puppet.conf": "# ours\n[main]\nvardir = /var/lib/puppet\n[agent]\nserver = other\n"}
            machines[certname] = Machine(base / name, name, network.host(name, f"10.79.0.{number}"), files)
            stack.callback(machines[certname].stop)
            machines[certname].boot()
        yield Site(master, machines)


def _finished(machine: Machine) -> str:
    """Wait until cloud-init ended; return what it says of itself."""
    return machine.run("cloud-init", "status", "--wait", "--long", timeout=240).stdout


def _told(machine: Machine) -> str:
    return machine.read("/var/log/puppetmaster-first-run.log")[-6000:] + machine.console_text()


def test_the_machine_builds_itself(site: Site) -> None:
    machine = site.machines[SIGNED]
    said = _finished(machine)
    assert "status: done" in said, said + _told(machine)
    assert machine.read(f"{user_data.PLACE}/result").startswith("built "), _told(machine)
    assert machine.read("/built") == f"{SIGNED} red\n"
    assert f"puppetmaster first run: {SIGNED}: built" in machine.console_text()


def test_nothing_was_trusted_on_first_use_and_the_token_is_gone(site: Site) -> None:
    machine = site.machines[SIGNED]
    _finished(machine)
    ours = (site.master.base / "puppet/ca/ca_crt.pem").read_text()
    trusted = machine.run("puppet", "config", "print", "localcacert", "--section", "agent").stdout.strip()
    assert machine.read(trusted).split() == ours.split()
    asked = [
        line.split('"')[1] for line in site.master.access_log.read_text().splitlines() if line.startswith("10.79.0.10 ")
    ]
    assert asked and not [line for line in asked if "/certificate/ca" in line]
    assert machine.run("ls", "/etc/puppet/csr_attributes.yaml", f"{user_data.PLACE}/csr_attributes.yaml").stdout == ""
    assert machine.run("ls", "/spliced").stdout == ""


def test_what_stood_in_puppet_conf_stays_and_the_service_runs(site: Site) -> None:
    machine = site.machines[SIGNED]
    _finished(machine)
    text = machine.read("/etc/puppet/puppet.conf")
    assert text.startswith("# ours\n[main]\nvardir = /var/lib/puppet\n")
    asked = machine.run("puppet", "config", "print", "--section", "agent", "server").stdout.strip()
    assert asked == MASTER
    assert machine.run("systemctl", "is-active", "puppet").stdout.strip() == "active"
    assert machine.run("systemctl", "is-enabled", "puppet").stdout.strip() == "enabled"


def test_done_is_done(site: Site) -> None:
    machine = site.machines[SIGNED]
    _finished(machine)
    before = machine.read(f"{user_data.PLACE}/result")
    again = machine.run(user_data.SCRIPT)
    assert again.returncode == 0, again
    assert "(earlier)" in again.stdout
    assert machine.read(f"{user_data.PLACE}/result") == before


def test_vendor_data_stands_beside_the_users_own(site: Site) -> None:
    machine = site.machines[VENDOR]
    said = _finished(machine)
    assert "status: done" in said, said + _told(machine)
    assert machine.read("/built") == f"{VENDOR} red\n"
    assert machine.run("ls", "/mine", "/too").stdout == "/mine\n/too\n"


def test_a_wrong_token_is_told_in_every_place(site: Site) -> None:
    machine = site.machines[REFUSED]
    said = _finished(machine)
    assert "status: error" in said, said
    result = machine.read(f"{user_data.PLACE}/result")
    assert result.startswith("failed ") and "no certificate" in result, result
    assert f"puppetmaster first run: {REFUSED}: failed" in machine.console_text()
    assert machine.run("systemctl", "is-active", "puppet").stdout.strip() != "active"
    assert machine.run("ls", "/built").stdout == ""


def test_it_goes_on_by_hand_with_the_same_key_when_the_cause_is_gone(site: Site) -> None:
    machine = site.machines[REFUSED]
    _finished(machine)
    key = machine.run("sh", "-c", "cat $(puppet config print hostprivkey)").stdout
    assert "PRIVATE KEY" in key
    # The request that waits is left; the token becomes the right one.
    (site.master.base / f"puppet/ca/requests/{REFUSED}.pem").unlink()
    Path(site.master.settings.autosign).with_name("token").write_text("another")  # type: ignore[arg-type]
    again = machine.run(user_data.SCRIPT, timeout=240)
    assert again.returncode == 0, again.stdout + _told(machine)
    assert machine.run("sh", "-c", "cat $(puppet config print hostprivkey)").stdout == key
    assert machine.read("/built") == f"{REFUSED} red\n"
