"""An instance is its project's master, another its client, and both return: whole machines and real parts.

Then what ends a self-master by force. What puppetserver needs is installed
beforehand, and every test begins and ends with the central master serving the
instance. On a plain machine: test_self_master.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from enc.terms.names import Certname
from tests.support import toolkit
from tests.support.machine_look import SELF_MASTER
from tests.support.machine_look import look as look_at
from tests.support.machines import Machine, needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.self_master_site import (
    ADDRESS,
    CENTRAL,
    ENVIRONMENT,
    NAME,
    QUICKLY,
    SELF,
    S,
    Site,
    agent,
    done,
    self_master_site,
    start_service,
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
from tests.support.slapd import REPLACE

THERE = "10.77.0.10"
"""The first instance's address (self_master_site)."""
CLIENT, FOREIGN = Certname("web-2.example.org"), Certname("shop.example.org")
MASTERS = "/var/lib/puppetmaster/masters"
SSL = "/var/lib/puppet/ssl"
WATCH = "puppetmaster-client-watch.service"
LDIF = f"""dn: cn=blue,ou=projects,{S}
objectClass: groupOfNames
cn: blue
member: uid=olga,ou=people,{S}

dn: ou=blue,ou=hosts,{S}
objectClass: organizationalUnit
ou: blue
"""
ENTRY = f"""
dn: cn=%s,ou=%s,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
objectClass: puppetmasterClassification
cn: %s
environment: %s
"""
LOOK = (
    f"find /etc {SSL} /var/lib/puppetmaster -printf '%p %y %m %U %G %l\\n' | sort; "
    f"find /etc {SSL} -type f -exec sha256sum {{}} + | sort"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    with self_master_site(tmp_path_factory.mktemp("site"), make_master) as site:
        entries = ENTRY % (CLIENT, "red", CLIENT, ENVIRONMENT) + ENTRY % (FOREIGN, "blue", FOREIGN, "production")
        site.slapd.load_ldif(LDIF + entries)
        with_module(site.master.environments / ENVIRONMENT)
        yield site


@pytest.fixture(scope="module")
def master(site: Site) -> Machine:
    return instance(site, NAME)


def instance(site: Site, certname: Certname, *hosts: str) -> Machine:
    """Boot an instance of project red, as its user data makes it, and let LDAP say that its key was signed."""
    lines = ["127.0.0.1 localhost", f"127.0.1.1 {certname}", f"{ADDRESS} {CENTRAL} puppet", *hosts]
    config = (
        f"directory:\n  uris: [ldap://{CENTRAL}]\n  bind_dn: uid=olga,ou=people,{S}\n"
        "  tls: {start: true, ca_file: /etc/puppetmaster/ldap-ca.pem}\n"
        "  bind_password_file: /etc/puppetmaster/ldap.secret\n"
        "signing: {timeout: 5s}\n"
        f"self_master:\n  upstream: git://{ADDRESS}/central.git\n{QUICKLY}"
    )
    machine = site.instance(
        certname,
        **{
            "/etc/hosts": "".join(f"{line}\n" for line in lines),
            "/etc/puppet/csr_attributes.yaml": "extension_requests: {pp_project: red}\n",
            "/etc/puppetmaster/config.yaml": config,
        },
    )
    signed_for(site, certname, "red", key_of(machine, certname))
    return machine


def key_of(machine: Machine, certname: Certname) -> str:
    words = f"openssl pkey -in {SSL}/private_keys/{certname}.pem -pubout -outform DER | sha256sum"
    return done(machine, "sh", "-c", words).split()[0]


def signed_for(site: Site, certname: Certname, project: str, key: str) -> None:
    """Write what the site's signing policy writes when it signs (enc/signing)."""
    said = f"signed since 1000 until 2000 token {'0' * 64} key {key}"
    site.slapd.modify(f"cn={certname},ou={project},ou=hosts,{S}", {"puppetmasterEnrolment": [(REPLACE, [said])]})


def verdicts(master: Machine) -> list[tuple[str, str]]:
    """Return what the project's authority was asked: name and code."""
    words = (f"{toolkit.PREFIX}/bin/enc-admin", "--config", "/var/lib/puppetmaster/self/config.yaml")
    found = json.loads(done(master, *words, "signing", "log", "--json"))["requests"]
    return [(line["certname"], line["code"]) for line in found]


def look(machine: Machine) -> list[str]:
    return done(machine, "sh", "-c", LOOK).splitlines()


def settings(machine: Machine) -> list[str]:
    """Return the agent's server and ssldir as they are configured."""
    said = done(machine, "puppet", "config", "print", "--section", "agent", "server", "ssldir")
    return [line.partition(" = ")[2] for line in sorted(said.splitlines())]


def waits_for(machine: Machine, wanted: list[str], timeout: float = 240) -> None:
    """Wait until the agent is configured so; Puppet is asked about a new text of puppet.conf that has the ssldir."""
    deadline = time.monotonic() + timeout
    asked, found = "", list[str]()
    while True:
        text = machine.read("/etc/puppet/puppet.conf")
        if text != asked and (MASTERS in text) == wanted[1].startswith(MASTERS):
            asked, found = text, settings(machine)
            if found == wanted:
                return
        log = machine.run("journalctl", "-q", "-n", "20", "-o", "cat", "-u", WATCH).stdout
        assert time.monotonic() < deadline, f"{found} instead of {wanted}: {log}"
        time.sleep(1)


HERE = [str(CENTRAL), SSL]


def test_an_instance_becomes_a_client_of_the_projects_master_and_both_return(site: Site, master: Machine) -> None:
    client = instance(site, CLIENT, f"{THERE} {NAME}")
    before, before_it_was_master = look(client), look_at(master, SELF_MASTER)
    done(master, SELF, "invite", CLIENT, good=(1,))
    done(master, SELF, "enable", "--for-project", timeout=580)
    edit = "cd /srv/puppet && sed -i s/central/own/ manifests/site.pp"
    edit += " && git -c user.name=Bob -c user.email=b@x commit -qam own"
    done(master, "sh", "-c", edit)

    # Invited by what the master prints; the central master's run brings it there, the next is served there.
    assert "is in project blue" in done(master, SELF, "invite", FOREIGN, good=(1,))
    printed = json.loads(done(master, SELF, "invite", CLIENT, "--json"))
    give_up = ["--parameter", "puppetmaster::client::give_up_after=30"]
    enc_admin = f"{toolkit.PREFIX}/bin/enc-admin"
    done(master, enc_admin, *printed["join"][1:], *give_up)
    agent(client)
    there = settings(client)
    assert there[0] == NAME and there[1].startswith(f"{MASTERS}/{NAME}-")
    assert client.read("/etc/red") == f"central for {CLIENT}\n"
    agent(client)
    assert client.read("/etc/red") == f"own for {CLIENT}\n"
    done(client, "puppet", "agent", "--test", "--waitforlock", "1", good=(0,))
    key = f"private_keys/{CLIENT}.pem"
    done(client, "cmp", f"{SSL}/{key}", f"{there[1]}/{key}")
    assert verdicts(master) == [(CLIENT, "known-key")]
    assert f"other instances use this master: {CLIENT};" in done(master, SELF, "disable", good=(1,))

    # Who is not of this project, or has not the key, gets no certificate.
    ca = f"mkdir -p $1/certs && cp {there[1]}/certs/ca.pem $1/certs/ && cp -r {there[1]}/private_keys $1/ && cd $1"
    shown = {CLIENT: "rm private_keys/*", FOREIGN: f"mv private_keys/*.pem private_keys/{FOREIGN}.pem", "new-1": ":"}
    signed_for(site, FOREIGN, "blue", key_of(client, CLIENT))
    for name, change in shown.items():
        project = "blue" if name == FOREIGN else "red"
        attributes = f"echo 'extension_requests: {{pp_project: {project}}}' >a.yaml"
        words = f"--server {NAME} --ca_server {NAME} --certname {name} --waitforcert 0 --http_keepalive_timeout 0"
        ask = f"puppet ssl bootstrap --ssldir $1 --csr_attributes $1/a.yaml {words}"
        done(client, "sh", "-ec", f"{ca}; {change}; {attributes}; {ask}", "sh", f"/root/{name}", good=(1,))
    assert verdicts(master)[1:] == [(CLIENT, "other-key"), (FOREIGN, "other-project"), ("new-1", "stranger")]
    done(client, "sh", "-c", "rm -r /root/*")

    # The master is gone: the timer brings the client back, and it stays while that lasts; then it comes again.
    done(client, "ip", "route", "add", "unreachable", f"{THERE}/32")
    waits_for(client, HERE)
    assert "must serve this machine" in done(client, "puppet", "agent", "--test", "--waitforlock", "1", good=(4, 6))
    assert settings(client) == HERE
    assert client.read("/etc/red") == f"central for {CLIENT}\n"
    done(client, "ip", "route", "del", "unreachable", f"{THERE}/32")
    agent(client)
    assert settings(client) == there

    # A crash in the middle of a change is no trap, nor is one on the way back.
    done(client, "systemctl", "stop", "puppetmaster-client-watch.timer", "puppet.service")
    done(client, "puppet", "config", "set", "--section", "agent", "ssldir", SSL)
    watch = f"ruby {MASTERS}/client-watch.rb {MASTERS}/watch.yaml watch"
    for tenths in range(5, 60, 7):
        client.run("timeout", "-s", "KILL", f"{tenths / 10}", *watch.split(), timeout=120)
    done(client, *watch.split())
    assert settings(client) == HERE
    start_service(client)

    # The class is taken away in LDAP: its own master's catalog lacks it, and what watches goes back, and goes.
    agent(client)
    assert settings(client) == there
    parameters = [word for name in ("server", "ca_certificate", "give_up_after") for word in _parameter(name)]
    said = ("--class", "puppetmaster::client", *parameters, "--reason", "enough")
    done(master, enc_admin, "node", "unset", CLIENT, *said)
    agent(client)
    assert client.read("/etc/red") == f"own for {CLIENT}\n"
    waits_for(client, HERE)
    agent(client)
    assert client.read("/etc/red") == f"central for {CLIENT}\n"
    deadline = time.monotonic() + 240
    while client.run("test", "-e", "/var/lib/puppetmaster").returncode == 0 and time.monotonic() < deadline:
        time.sleep(1)
    assert sorted(look(client)) == sorted(before)

    # It comes again with the certificate that it has there, and leaves by `absent`.
    done(master, enc_admin, *printed["join"][1:])
    agent(client)
    assert settings(client) == there
    assert verdicts(master)[-1] == (CLIENT, "has-certificate")
    agent(client)
    assert client.read("/etc/red") == f"own for {CLIENT}\n"
    done(master, enc_admin, *printed["leave"][1:])
    agent(client)
    assert settings(client) == HERE
    agent(client)
    done(client, "puppet", "agent", "--test", "--waitforlock", "1", good=(0,))
    assert client.read("/etc/red") == f"central for {CLIENT}\n"
    assert sorted(look(client)) == sorted(before)

    # LDAP asks the master to end, which its own catalog tells it.
    assign(site, 'puppetmaster::self::ensure="absent"')
    wait(master, "the own answer", lambda: "absent" in master.run(f"{toolkit.PREFIX}/bin/enc", NAME).stdout, 60)
    agent(master)
    until(master, "client")
    settled(master)
    assert "the central master serves this instance" in told(master, HAND_OVER)
    assert not in_ldap(site)
    assign(site, name="")
    agent(master)
    assert master.read("/etc/red") == f"central for {NAME}\n"
    assert status(master)["state"] == "client"
    # The trail is that of the edits above.
    assert {path for path in left_over(master, before_it_was_master) if "/audit" not in path} == set()


def _parameter(name: str) -> tuple[str, str]:
    return "--parameter", f"puppetmaster::client::{name}"


def test_power_cut_in_the_middle_of_apply(master: Machine) -> None:
    cut_off(master, "apply", "grep", "-q", "ssldir", "/etc/puppet/puppet.conf")


def test_a_dead_master_ends_it(site: Site, master: Machine) -> None:
    before = look_at(master, SELF_MASTER)
    drop_in = "/etc/systemd/system/puppetmaster-self-watch.timer.d"
    done(master, "sh", "-c", f'mkdir {drop_in} && printf "$1" >{drop_in}/often.conf', "sh", OFTEN)
    done(master, "sh", "-c", "echo '  dead_after: 10s' >>/etc/puppetmaster/config.yaml")
    done(master, SELF, "enable", timeout=580)
    assert in_ldap(site)
    done(master, "systemctl", "mask", "--runtime", "--now", "puppetserver")
    until(master, "client")
    assert "this instance's puppetserver has been down for" in status(master)["ended"]["reason"]
    assert "has been down for" in done(master, SELF, "status")
    wait(master, "LDAP", lambda: not in_ldap(site), 60)
    done(master, "systemctl", "unmask", "--runtime", "puppetserver")
    agent(master)
    assert master.read("/etc/red") == f"central for {NAME}\n"
    done(master, "sh", "-c", f"rm -r {drop_in} && sed -i /dead_after/d /etc/puppetmaster/config.yaml")
    assert left_over(master, before) == set()

    # What has gone wrong is not tried again at once, though LDAP asks for it.
    assign(site)
    agent(master)
    settled(master)
    assert "tried again an hour later" in told(master, HAND_OVER)
    assert status(master)["state"] == "client"
    assign(site, name="")
