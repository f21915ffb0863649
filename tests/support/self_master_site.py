"""A site for tests of self-masters: LDAP, a repository, a central master, and whole instances that it serves.

Owns the network and every process in it; all ends with the context. Each
instance has the toolkit installed, is enrolled, and its agent runs as a
service. It becomes a master quickly, with what puppetserver needs there already,
unless it is to be a `plain` one. All keys are small. Not here: what the
instances are for.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from enc.directory.embedded_config import StartOptions, TlsFiles
from enc.terms.names import Certname, EnvironmentName
from puppetmaster_quickstart.lab import SMALL_CLASSES
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.support import toolkit
from tests.support.certificates import Authority
from tests.support.layers import prepared
from tests.support.machines import Machine, Network
from tests.support.pages import Reader
from tests.support.puppet_module import PARTS, ROOT
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

QUICKLY = f"  code: {json.dumps(SMALL_CLASSES)}\n"
"""Put at the end of an instance's config.yaml: its own puppetserver has few needs."""
SMALL_KEYS = "[main]\nkeylength = 2048\n"
SELF = f"{toolkit.PREFIX}/bin/puppetmaster-self"
_SERVICE = """
touch /run/before
systemctl enable --now puppet.service
until [ /var/cache/puppet/public/last_run_summary.yaml -nt /run/before ]; do sleep 0.2; done
while [ -e /var/cache/puppet/state/agent_catalog_run.lock ]; do sleep 0.2; done
rm /run/before
"""


class Site:
    """A central master with LDAP and a repository; `instance` boots whole machines that it serves."""

    def __init__(self, base: Path, slapd: Slapd, network: Network, repository: Path, stack: ExitStack) -> None:
        self.base = base
        self.slapd = slapd
        self.repository = repository
        self.master: PrivateMaster
        self._network = network
        self._stack = stack
        self._instances = 0

    def instance(self, certname: Certname, *, plain: bool = False, **files: str) -> Machine:
        """Boot a machine, enrol it and let its agent run; `files` are put over the usual ones, path → content."""
        self._instances += 1
        place = self.base / certname.short
        place.mkdir()
        network = self._network.host(certname.short, f"10.77.0.{9 + self._instances}")
        wanted = _files(self.base, certname, plain=plain) | files
        machine = Machine(place, certname.short, network, wanted, prepared=None if plain else prepared())
        self._stack.callback(machine.stop)
        machine.boot()
        done(machine, "sh", "-c", toolkit.PACKAGES, timeout=300)
        reader = pasting(machine)
        reader.follow("self-master.md", "apt-get install python3-venv", toolkit.INSTALLED)
        reader.follow("self-master.md", "install -m 0644 CA", _differing(plain=plain))
        agent(machine, "--waitforcert", "5", "--http_keepalive_timeout", "0")
        start_service(machine)
        return machine


@contextmanager
def self_master_site(base: Path, make_master: MakeMaster) -> Iterator[Site]:
    """Put up all but the instances."""
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
        config.write_text(slapd.configuration(answers={"directory": f"{base}/answers"}))
        enc = Path(sys.executable).with_name("enc")
        repository = _repository(base)
        socket_path = str(base / "slapd/run/ldapi")
        serve = ("git", "daemon", f"--base-path={base}", "--export-all", "--enable=receive-pack", f"--listen={ADDRESS}")
        for command in ([sys.executable, "-c", FORWARD, ADDRESS, socket_path], list(serve)):
            process = subprocess.Popen([*central, *command], stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        terminus = exec_terminus(enc, "--config", str(config))
        site = Site(base, slapd, network, repository, stack)
        site.master = master = make_master(
            base / "master",
            MasterSettings(certname=CENTRAL, address=ADDRESS, port=8140, launcher=central, server=terminus),
        )
        stack.callback(master.stop)
        master.add_environment(ENVIRONMENT, {"manifests/site.pp": SITE % "central"})
        master.start()
        yield site


def _toolkit(base: Path) -> bytes:
    """Return the toolkit as a tar file; made once."""
    file = base / "toolkit.tar"
    if not file.exists():
        (base / "toolkit").mkdir()
        file.write_bytes(toolkit.tar_file(base / "toolkit"))
    return file.read_bytes()


def _differing(*, plain: bool) -> dict[str, str]:
    """Return what of the configuration on the page is otherwise here: LDAP's and git's addresses, and the account."""
    return {
        "0644 CA ": "0644 /ca.pem ",
        "PASSWORD": "/password",
        "0600 CREDENTIALS ": "0600 /credentials ",
        "ldaps://ldap.example.org": f"ldap://{CENTRAL}",
        f"cn=enc,ou=services,{S}": f"uid=olga,ou=people,{S}",
        "{ca_file:": "{start: true, ca_file:",
        "projects: {environment: project_%s}\n": (
            "branches: {rules: ['main = production', 'project/<name> = project_<name>',"
            " 'topic/<name>/<topic> = project_<name>__<topic>']}\n"
        ),
        "https://puppet.example.org:8418/repository.git\n": (
            f"git://{ADDRESS}/central.git\n{'' if plain else QUICKLY}"
        ),
        "puppetmaster-self doctor\n": "puppetmaster-self doctor --json >/dev/null || test $? = 4\n",
    }


def _files(base: Path, certname: Certname, *, plain: bool) -> dict[str, str | bytes]:
    return {
        "/toolkit.tar": _toolkit(base),
        "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {certname}\n{ADDRESS} {CENTRAL} puppet\n",
        "/password": "secret-olga\n",
        "/ca.pem": (base / "authority/ca.pem").read_text(),
        "/credentials": "https://olga:token@puppet.example.org:8418\n",
        "/etc/puppet/puppet.conf": f"{SMALL_KEYS}[agent]\nserver = {CENTRAL}\ncertname = {certname}\n",
    }


def _repository(base: Path) -> Path:
    seed = base / "seed"
    (seed / "manifests").mkdir(parents=True)
    (seed / "manifests/site.pp").write_text(SITE % "central")
    git = ("git", "-C", str(seed), "-c", "user.name=Rita", "-c", "user.email=rita@example.org")
    for words in (("init", "-q", "-b", BRANCH), ("add", "."), ("commit", "-q", "-m", "red"), ("branch", "main")):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(seed), str(base / "central.git")], check=True)
    return base / "central.git"


def with_module(environment: Path) -> None:
    """Let the Puppet module be one of an environment's own."""
    module = environment / "modules/puppetmaster"
    module.mkdir(parents=True)
    for part in PARTS:
        place = ROOT / part
        (shutil.copytree if place.is_dir() else shutil.copyfile)(place, module / part)


def done(machine: Machine, *command: str, timeout: float = 300, good: tuple[int, ...] = (0,)) -> str:
    """Run a command that must succeed; return its output, and show it with the time that it took."""
    began = time.monotonic()
    ended = machine.run(*command, timeout=timeout)
    if "Execution of 'ps -" in ended.stderr:  # its lock was that of a run that ended (steps/agent.py)
        ended = machine.run(*command, timeout=timeout)
    said = ended.stdout + ended.stderr
    print(f"$ {' '.join(command)[:100]}  # {time.monotonic() - began:.1f} s\n{said[-90000:]}")
    assert ended.returncode in good, f"{command}: {ended.returncode}: {said[-6000:]}"
    return said


def start_service(machine: Machine) -> None:
    """Start the agent's service, which runs at once; that has ended then, and so nothing changes beside a test."""
    done(machine, "sh", "-ec", _SERVICE, timeout=180)


def pasting(machine: Machine, before: str = "") -> Reader:
    """Return somebody who pastes into a shell of root's there, after some words of their own."""
    path = "PATH=/usr/local/sbin:/usr/local/bin:$PATH"
    return Reader(lambda script: done(machine, "bash", "-c", f"{path}\n{before}\n{script}", timeout=300))


def agent(machine: Machine, *words: str) -> str:
    command = ("puppet", "agent", "--test", "--color", "false", "--waitforlock", "1", *words)
    return done(machine, *command, timeout=180, good=(0, 2))
