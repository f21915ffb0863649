"""Whole machines, built by real cloud-init from our user data: the agent installed, signed by its token, run once.

One of them (`SIGNED`) has nothing of what the agent needs; on the others apt finds some of that (layers.py).
"""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from enc.edits.wish import Wish
from enc.instances import agent_profile, tokens, user_data
from enc.instances.enrolment import ATTRIBUTE
from enc.instances.journal import Journal
from enc.instances.lifecycle import Lifecycle
from enc.instances.user_data import AgentProfile, Repository, UserData
from enc.service.desk import open_desk
from enc.settings import Settings
from enc.settings.config import load
from enc.terms.names import Certname, EnvironmentName
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support.instances import RED, WHY, add_people_and_projects, found, write_config
from tests.support.layers import prepared
from tests.support.machines import SEED, Machine, Network, needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import REPLACE, Slapd

MASTER, ADDRESS = Certname("puppet.example.org"), "10.79.0.1"
SIGNED, REFUSED, VENDOR, ELSEWHERE, IMAGED = (
    Certname(f"{name}.red.example.org") for name in ("signed", "refused", "vendor", "elsewhere", "imaged")
)
HOSTILE = "it's no token; $(touch /spliced) \"#&"
SITE = """node default {
  file { '/built': content => "${trusted['certname']} ${trusted['extensions']['pp_project']}\\n" }
}
"""
# Stands in for a machine of the RHEL family with a packaging that has all its files elsewhere: a dnf that takes
# nothing but what our repository file and key are there for, and puts Debian's agent where that packaging has it.
DNF = """#!/bin/sh
set -eu
test "$*" = '-q -y install openvox-agent'
grep -qx 'baseurl=https://yum.example.org/openvox8/el/$releasever/$basearch' /etc/yum.repos.d/puppetmaster-agent.repo
test -s "$(sed -n 's|^gpgkey=file://||p' /etc/yum.repos.d/puppetmaster-agent.repo)"
/usr/bin/apt-get.hidden -q update
/usr/bin/apt-get.hidden -q -y -o Dpkg::Options::=--force-confold install puppet-agent
mkdir -p /opt/puppetlabs/bin /etc/puppetlabs/puppet
mv /usr/bin/puppet /opt/puppetlabs/puppet
cat >/opt/puppetlabs/bin/puppet <<'END'
#!/bin/sh
subcommand=$1; shift
set -- "$subcommand" --confdir /etc/puppetlabs/puppet --vardir /opt/puppetlabs/cache "$@"
exec ruby /opt/puppetlabs/puppet "$@" --ssldir /etc/puppetlabs/puppet/ssl
END
chmod 755 /opt/puppetlabs/bin/puppet
"""
HIDE_APT = 'bootcmd: ["mv /usr/bin/apt-get /usr/bin/apt-get.hidden; chmod 755 /usr/bin/dnf"]\n'
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEAA==\n=aaaa\n-----END PGP PUBLIC KEY BLOCK-----\n"
AUTOSIGN = Path(sysconfig.get_path("scripts")) / "enc-autosign"


class Site(NamedTuple):
    """A master in a network of its own, and machines in it that were booted with user data."""

    master: PrivateMaster
    profile: AgentProfile
    machines: dict[Certname, Machine]
    slapd: Slapd
    settings: Settings


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster, make_module_slapd: SlapdMaker
) -> Iterator[Site]:
    needs_root()
    base = tmp_path_factory.mktemp("site")
    slapd = make_module_slapd()
    master_at = base / "master"
    ca_file = master_at / "puppet/ca/ca_crt.pem"
    config = write_config(base / "config.yaml", slapd)
    document = yaml.safe_load(config.read_text())
    document["instances"]["agent"] = {"server": str(MASTER), "ca_file": str(ca_file)}
    document["signing"] |= {"timeout": "60s", "journal": str(base / "signing/journal.jsonl")}
    config.write_text(yaml.safe_dump(document))
    add_people_and_projects(slapd, config)
    settings = load(config)
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        launcher = ("ip", "netns", "exec", network.host("master", ADDRESS))
        master = make_master(
            master_at,
            MasterSettings(
                certname=MASTER,
                address=ADDRESS,
                port=8140,
                autosign=AUTOSIGN,
                launcher=launcher,
                environment={"PUPPETMASTER_CONFIG": str(config)},
            ),
        )
        stack.callback(master.stop)
        master.add_environment(EnvironmentName("production"), {"manifests/site.pp": SITE})
        master.start()
        profile = agent_profile.load(settings.instances.agent)
        told = {certname: _created(settings, profile, certname) for certname in (SIGNED, REFUSED, VENDOR, ELSEWHERE)}
        repository = Repository(KEY, yum="https://yum.example.org/openvox8/el/$releasever/$basearch")
        other = profile._replace(packages=("openvox-agent",), repository=repository, service=False)
        impatient = profile._replace(signing_seconds=5, service=False)
        seeds = {
            SIGNED: {"user-data": user_data.render(told[SIGNED])},
            REFUSED: {"user-data": user_data.render(told[REFUSED]._replace(token=HOSTILE, profile=impatient))},
            # What the user says comes first, and does not take ours away.
            VENDOR: {
                "user-data": "#cloud-config\nruncmd: [[touch, /mine]]\nwrite_files: [{path: /too, content: x}]\n",
                "vendor-data": user_data.render_vendor_data(told[VENDOR]),
            },
            ELSEWHERE: {"user-data": user_data.render(told[ELSEWHERE]._replace(profile=other)) + HIDE_APT},
        }
        machines = {}
        for number, (certname, seed) in enumerate(seeds.items(), 10):
            name = certname.short
            (base / name).mkdir()
            files = {f"{SEED}/{file}": text for file, text in seed.items()}
            files |= {f"{SEED}/meta-data": f"instance-id: i-{number}\nlocal-hostname: {name}\n"}
            files |= {"/etc/hosts": f"127.0.0.1 localhost\n{ADDRESS} {MASTER} puppet\n"}
            files |= {"/etc/puppet/puppet.conf": "# ours\n[main]\nvardir = /var/lib/puppet\n[agent]\nserver = other\n"}
            if certname == ELSEWHERE:
                files |= {"/usr/bin/dnf": DNF, "/etc/yum.repos.d/.keep": "", "/etc/pki/rpm-gpg/.keep": ""}
            more = None if certname == SIGNED else prepared()
            address = f"10.79.0.{number}"
            machines[certname] = Machine(base / name, name, network.host(name, address), files, prepared=more)
            stack.callback(machines[certname].stop)
            machines[certname].boot()
        yield Site(master, profile, machines, slapd, settings)


def _created(settings: Settings, profile: AgentProfile, certname: Certname) -> UserData:
    """Make an instance; return what it is to be told."""
    with open_desk(settings) as desk:
        work = Lifecycle(desk, (), Journal(settings.instances.journal))
        ticket = work.create(certname, RED, Wish(region="north"), reason=WHY).ticket
    assert ticket is not None
    return UserData(profile, ticket.certname, ticket.project, ticket.token, ticket.region)


def _finished(machine: Machine) -> str:
    """Wait until cloud-init ended; return what it says of itself."""
    return machine.run("cloud-init", "status", "--wait", "--long", timeout=240).stdout


@cache
def _puppet_has(machine: Machine) -> Mapping[str, str]:
    """Return what the agent of a machine that is built says of itself; it is asked once, for that costs a second."""
    names = ("hostcert", "hostprivkey", "localcacert", "server")
    said = machine.run("puppet", "config", "print", "--section", "agent", *names).stdout
    return dict(line.split(" = ", 1) for line in said.splitlines())


def _told(machine: Machine) -> str:
    return machine.read("/var/log/puppetmaster-first-run.log")[-6000:] + machine.console_text()


def test_the_machine_builds_itself(site: Site) -> None:
    machine = site.machines[SIGNED]
    said = _finished(machine)
    assert "status: done" in said, said + _told(machine)
    assert machine.read(f"{user_data.PLACE}/result").startswith("built "), _told(machine)
    assert machine.read("/built") == f"{SIGNED} red\n"
    instance = found(site.settings, SIGNED)
    assert instance is not None and instance.enrolment.state == "signed"
    assert f"puppetmaster first run: {SIGNED}: built" in machine.console_text()


def test_nothing_was_trusted_on_first_use_and_the_token_is_gone(site: Site) -> None:
    machine = site.machines[SIGNED]
    _finished(machine)
    ours = (site.master.base / "puppet/ca/ca_crt.pem").read_text()
    assert machine.read(_puppet_has(machine)["localcacert"]).split() == ours.split()
    asked = [
        line.split('"')[1] for line in site.master.access_log.read_text().splitlines() if line.startswith("10.79.0.10 ")
    ]
    assert asked and not [line for line in asked if "/certificate/ca" in line]
    assert machine.run("ls", "/etc/puppet/csr_attributes.yaml", f"{user_data.PLACE}/csr_attributes.yaml").stdout == ""


def test_what_stood_in_puppet_conf_stays_and_the_service_runs(site: Site) -> None:
    machine = site.machines[SIGNED]
    _finished(machine)
    text = machine.read("/etc/puppet/puppet.conf")
    assert text.startswith("# ours\n[main]\nvardir = /var/lib/puppet\n")
    assert _puppet_has(machine)["server"] == MASTER
    assert machine.run("systemctl", "is-active", "puppet").stdout.strip() == "active"
    assert machine.run("systemctl", "is-enabled", "puppet").stdout.strip() == "enabled"


def test_a_timer_looks_after_the_certificate(site: Site) -> None:
    machine = site.machines[SIGNED]
    _finished(machine)
    assert machine.run("systemctl", "is-active", "puppetmaster-renew.timer").stdout.strip() == "active"
    assert machine.run("systemctl", "is-enabled", "puppetmaster-renew.timer").stdout.strip() == "enabled"
    before = machine.read(_puppet_has(machine)["hostcert"])
    assert "BEGIN CERTIFICATE" in before
    for one in (machine, site.machines[ELSEWHERE]):
        _finished(one)
        started = one.run("systemctl", "start", "puppetmaster-renew.service")
        assert started.returncode == 0, started.stderr + one.console_text()
    assert machine.read(_puppet_has(machine)["hostcert"]) == before, "it is five years off"
    assert machine.run("systemd-analyze", "verify", "puppetmaster-renew.timer").stderr == ""


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


def test_a_packaging_with_other_paths_and_another_package_manager(site: Site) -> None:
    machine = site.machines[ELSEWHERE]
    said = _finished(machine)
    assert "status: done" in said, said + _told(machine)
    assert machine.read("/built") == f"{ELSEWHERE} red\n"
    assert f"certname = {ELSEWHERE}" in machine.read("/etc/puppetlabs/puppet/puppet.conf").splitlines()
    ours = (site.master.base / "puppet/ca/ca_crt.pem").read_text()
    assert machine.read("/etc/puppetlabs/puppet/ssl/certs/ca.pem").split() == ours.split()
    assert "certname" not in machine.read("/etc/puppet/puppet.conf")
    assert machine.run("ls", "/etc/puppetlabs/puppet/csr_attributes.yaml").stdout == ""


def test_a_wrong_token_is_told_in_every_place(site: Site) -> None:
    machine = site.machines[REFUSED]
    said = _finished(machine)
    assert "status: error" in said, said
    result = machine.read(f"{user_data.PLACE}/result")
    assert result.startswith("failed ") and "no certificate" in result, result
    assert machine.run("ls", "/spliced").stdout == ""
    journal = site.settings.signing.journal.read_text().splitlines()
    assert {json.loads(line)["code"] for line in journal if REFUSED in line} == {"wrong-token"}
    assert f"puppetmaster first run: {REFUSED}: failed" in machine.console_text()
    assert machine.run("systemctl", "is-active", "puppet").stdout.strip() != "active"
    assert machine.run("ls", "/built").stdout == ""


def test_it_goes_on_by_hand_with_the_same_key_when_the_cause_is_gone(site: Site) -> None:
    machine = site.machines[REFUSED]
    _finished(machine)
    key = machine.read(_puppet_has(machine)["hostprivkey"])
    assert "PRIVATE KEY" in key
    # The request that waits is left, and LDAP waits for the token that is there.
    (site.master.base / f"puppet/ca/requests/{REFUSED}.pem").unlink()
    instance = found(site.settings, REFUSED)
    assert instance is not None and instance.enrolment.state == "waiting"
    place, value = instance.record.dn, instance.enrolment._replace(token=tokens.digest(HOSTILE)).text()
    site.slapd.modify(place, {ATTRIBUTE: [(REPLACE, [value])]})
    again = machine.run(user_data.SCRIPT, timeout=240)
    assert again.returncode == 0, again.stdout + _told(machine)
    assert machine.read(_puppet_has(machine)["hostprivkey"]) == key
    assert machine.read("/built") == f"{REFUSED} red\n"


def test_an_image_of_a_built_machine_has_nothing_of_what_it_was(site: Site) -> None:
    """Its disk, with another's user data and id, started as a cloud would: nothing was cleaned before."""
    machine = site.machines[SIGNED]
    _finished(machine)
    assert machine.run("puppet", "agent", "--test", timeout=240).returncode in (0, 2)
    assert machine.run("puppet", "filebucket", "--local", "backup", "/etc/hostname").returncode == 0
    search = ("grep", "-rlF", "-e", SIGNED, "/etc/puppet", "/var/lib/puppet", "/var/cache/puppet", user_data.PLACE)
    find = ("find", "/var/lib/puppet", "/var/cache/puppet", "-name", f"*{SIGNED}*")
    key = machine.read(_puppet_has(machine)["hostprivkey"])
    assert "PRIVATE KEY" in key
    assert machine.run(*search).stdout and machine.run(*find).stdout
    assert machine.run("find", "/var/lib/puppet/clientbucket", "-name", "contents").stdout
    for name, text in (
        ("user-data", user_data.render(_created(site.settings, site.profile, IMAGED))),
        ("meta-data", "instance-id: i-99\nlocal-hostname: imaged\n"),
    ):
        (machine.directory / name).write_text(text)
        machine.put(machine.directory / name, f"{SEED}/{name}")
    log = site.master.access_log
    before = len(log.read_text().splitlines())
    machine.power_cut()
    machine.boot()
    said = _finished(machine)
    assert "status: done" in said, said + _told(machine)
    assert machine.read("/built") == f"{IMAGED} red\n", _told(machine)
    assert machine.run(*search).stdout == machine.run(*find).stdout == ""
    assert machine.run("grep", "-rlF", "-e", key.splitlines()[5], "/etc", "/var").stdout == ""
    assert machine.run("find", "/var/lib/puppet/clientbucket", "-name", "contents").stdout == ""
    asked = [line for line in log.read_text().splitlines()[before:] if line.startswith("10.79.0.10 ")]
    assert asked and not [line for line in asked if SIGNED in line], "not for a moment was it what it had been"
    assert machine.run("systemctl", "is-active", "puppet").stdout.strip() == "active"
    assert machine.run("systemctl", "is-enabled", "puppet").stdout.strip() == "enabled"
