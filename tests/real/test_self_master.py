"""A whole instance becomes its own master and goes back: real systemd, packages, puppetserver, agent, LDAP and git."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from enc.directory.embedded_config import StartOptions, TlsFiles
from enc.names import Certname, EnvironmentName
from puppetmaster_self.private_master import PrivateMaster
from puppetmaster_self.puppetserver_files import MasterSettings, exec_terminus
from tests.support import toolkit
from tests.support.certificates import Authority
from tests.support.machines import Machine, Network, needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.slapd import ADD, Slapd

CENTRAL, ADDRESS = Certname("puppet.example.org"), "10.77.0.1"
NAME = Certname("web-1.example.org")
BRANCH, ENVIRONMENT = "project/red", EnvironmentName("project_red")
S = "dc=example,dc=org"
SITE = """node default {
  file { '/etc/red': content => "%s for ${trusted['certname']}\\n" }
}
"""
LDIF = f"""dn: uid=olga,ou=people,{S}
objectClass: inetOrgPerson
uid: olga
cn: olga
sn: olga
userPassword: secret-olga

dn: cn=red,ou=projects,{S}
objectClass: groupOfNames
cn: red
member: uid=olga,ou=people,{S}

dn: ou=red,ou=hosts,{S}
objectClass: organizationalUnit
ou: red

dn: cn={NAME},ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
objectClass: puppetmasterClassification
cn: {NAME}
environment: {ENVIRONMENT}
"""

FORWARD = """
import socket, sys, threading
listening = socket.create_server((sys.argv[1], 389))
def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            try: end.shutdown(socket.SHUT_RDWR)
            except OSError: pass
while True:
    client, _ = listening.accept()
    server = socket.socket(socket.AF_UNIX)
    server.connect(sys.argv[2])
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""
"""LDAP for the instance's network: slapd itself listens on this machine's loopback and on a socket only."""

LOOK = r"""
import hashlib, os, sys
roots = ["/etc", "/opt", "/root", "/srv", "/usr/lib/systemd", "/var/lib"]
for root in roots:
    for directory, names, files in os.walk(root):
        names[:] = [n for n in names if not any((directory + "/" + n).startswith(w) for w in sys.argv[1:])]
        for name in (*names, *files):
            path = directory + "/" + name
            if any(path.startswith(without) for without in sys.argv[1:]):
                continue
            status = os.lstat(path)
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            else:
                content = ""
            print(path, oct(status.st_mode), status.st_uid, status.st_gid, content, sep="\t")
"""
LISTED = (
    # docs/self-master.md lists them: what package programs remember, and what stays on purpose.
    *("/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd", "/etc/passwd-", "/etc/group-", "/etc/shadow-"),
    *("/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/ld.so.cache", "/etc/.pwd.lock"),
    *("/var/lib/puppetmaster/self", "/var/lib/private"),
)


class Site(NamedTuple):
    """A central master with LDAP and a repository, and one instance that it serves."""

    master: PrivateMaster
    machine: Machine
    repository: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    base = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        central = ("ip", "netns", "exec", network.host("central", ADDRESS))
        authority = Authority.make(base / "authority")
        slapd = Slapd(base / "slapd", options=StartOptions(tls=TlsFiles(*authority.issue(str(CENTRAL)))))
        stack.callback(slapd.stop)
        slapd.load_ldif(LDIF)
        slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})
        config = base / "config.yaml"
        config.write_text(f"{slapd.configuration()}answers: {{directory: {base}/answers}}\n")
        enc = Path(sys.executable).with_name("enc")
        repository = _repository(base)
        socket_path = str(base / "slapd/run/ldapi")
        serve = ("git", "daemon", f"--base-path={base}", "--export-all", "--enable=receive-pack", f"--listen={ADDRESS}")
        for command in ([sys.executable, "-c", FORWARD, ADDRESS, socket_path], list(serve)):
            process = subprocess.Popen([*central, *command], stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        terminus = exec_terminus(enc, "--config", str(config))
        master = make_master(
            base / "master",
            MasterSettings(certname=CENTRAL, address=ADDRESS, port=8140, launcher=central, server=terminus),
        )
        stack.callback(master.stop)
        master.add_environment(ENVIRONMENT, {"manifests/site.pp": SITE % "central"})
        master.start()
        (base / "instance").mkdir()
        machine = Machine(base / "instance", NAME.short, network.host("instance", "10.77.0.10"), _files(base))
        stack.callback(machine.stop)
        machine.boot()
        done(machine, "sh", "-c", toolkit.INSTALL + "chgrp puppet /etc/puppetmaster/ldap.secret\n", timeout=300)
        agent(machine, "--waitforcert", "5", "--http_keepalive_timeout", "0")
        done(machine, "systemctl", "enable", "--now", "puppet.service")
        agent(machine)
        yield Site(master, machine, repository)


def _files(base: Path) -> dict[str, str | bytes]:
    (base / "toolkit").mkdir()
    return {
        "/toolkit.tar": toolkit.tar_file(base / "toolkit"),
        "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {NAME}\n{ADDRESS} {CENTRAL} puppet\n",
        "/etc/puppetmaster/ldap.secret": "secret-olga\n",
        "/etc/puppetmaster/ldap-ca.pem": (base / "authority/ca.pem").read_text(),
        "/etc/puppetmaster/config.yaml": (
            f"directory:\n  uris: [ldap://{CENTRAL}]\n  bind_dn: uid=olga,ou=people,{S}\n"
            "  tls: {start: true, ca_file: /etc/puppetmaster/ldap-ca.pem}\n"
            "  bind_password_file: /etc/puppetmaster/ldap.secret\n"
            f"self_master:\n  upstream: git://{ADDRESS}/central.git\n"
        ),
        "/etc/puppet/puppet.conf": f"[agent]\nserver = {CENTRAL}\ncertname = {NAME}\n",
    }


def _repository(base: Path) -> Path:
    seed = base / "seed"
    (seed / "manifests").mkdir(parents=True)
    (seed / "manifests/site.pp").write_text(SITE % "central")
    git = ("git", "-C", str(seed), "-c", "user.name=Rita", "-c", "user.email=rita@example.org")
    for words in (("init", "-q", "-b", BRANCH), ("add", "."), ("commit", "-q", "-m", "red"), ("branch", "production")):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(seed), str(base / "central.git")], check=True)
    return base / "central.git"


def done(machine: Machine, *command: str, timeout: float = 120, good: tuple[int, ...] = (0,)) -> str:
    """Run a command that must succeed; return its output, and show it with the time that it took."""
    began = time.monotonic()
    ended = machine.run(*command, timeout=timeout)
    said = ended.stdout + ended.stderr
    print(f"$ {' '.join(command)[:100]}  # {time.monotonic() - began:.1f} s\n{said[-4000:]}")
    assert ended.returncode in good, f"{command}: {ended.returncode}: {said[-6000:]}"
    return said


def look(machine: Machine) -> dict[str, str]:
    """Return every file that counts, and what systemd, packages and accounts are like."""
    lines = machine.run("python3", "-c", LOOK, *LISTED, timeout=120).stdout.splitlines()
    found = dict(line.split("\t", 1) for line in lines)
    for kind, command in {
        "packages": ("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package} ${Version}\n"),
        "overrides": ("dpkg-statoverride", "--list"),
        "units": ("systemctl", "list-unit-files", "--no-legend", "--no-pager"),
    }.items():
        found |= {f"{kind}: {' '.join(line.split())}": "" for line in machine.run(*command).stdout.splitlines()}
    return found


def differing(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    return {
        key: (before.get(key), after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    }


def agent(machine: Machine, *words: str) -> str:
    command = ("puppet", "agent", "--test", "--color", "false", "--waitforlock", "1", *words)
    return done(machine, *command, timeout=180, good=(0, 2))


SELF = f"{toolkit.PREFIX}/bin/puppetmaster-self"


def test_an_instance_serves_itself_and_goes_back(site: Site) -> None:
    machine = site.machine
    assert machine.read("/etc/red") == f"central for {NAME}\n"
    before = look(machine)
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
    assert set(differing(before, look(machine))) <= {"/var/lib/puppetmaster"}
    left = machine.run("ls", "/var/lib/puppetmaster", "/var/lib/puppetmaster/self").stdout.split()
    assert [word for word in left if not word.startswith("/")] == ["self", "kept", "transaction"]
    kept = subprocess.run(
        ["git", "-C", str(site.repository), "log", "--format=%s", "--branches=topic/*", "-1"],
        capture_output=True,
        text=True,
    )
    assert kept.stdout == "own\n"
