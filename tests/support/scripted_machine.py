"""A machine for the self-master's transaction: real files and real git, with programs of the system as small scripts.

Packages, services and accounts are files below `system/`, so that everything
that a transaction changes can be compared. What answers on the master's port is
a real HTTPS server in this process. Not here: Puppet, which whole machines have.
"""

from __future__ import annotations

import dataclasses
import http.server
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enc.settings import BranchSettings, SelfMasterSettings, Settings
from enc.terms.names import BranchName, Certname, EnvironmentName, ProjectName
from puppetmaster_self.instance import tree
from puppetmaster_self.instance.machine import Machine, Places
from puppetmaster_self.transaction.facts import Facts
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.plan import Wish, decide
from puppetmaster_self.transaction.steps.master import Classifier
from puppetmaster_self.transaction.steps.repository import Deploy, Repository
from puppetmaster_self.transaction.steps.snapshot import Mark, Snapshot
from puppetmaster_self.transaction.steps.step import Step

CONFIGURED = """\
# of the central master
[main]
server = puppet.example.org

[agent]
  environment = test
# the end
"""

_SCRIPTS = {
    "puppet": r"""
case $1 in
config)
    case " $* " in *" agent_catalog_run_lockfile "*) echo "$R/run.lock";; *) echo "certname = web-1.example.org";; esac
    exit;;
apply)
    mkdir -p "$R/etc/puppet/puppetserver/conf.d" "$R/self/master/ssl/certs"
    cp "$R/authority.pem" "$R/self/master/ssl/certs/ca.pem"
    echo own >"$R/etc/puppet/puppetserver/conf.d/master.conf"
    printf '[server]\nssldir = own\n' >>"$R/etc/puppet/puppet.conf"
    echo changed >>"$R/etc/puppet/hiera.yaml"
    : >"$R/system/users/puppetmaster"
    : >"$R/system/active/puppetserver.service"
    echo "Notice: /Stage[main]/x"; exit 2;;
agent)
    who=central
    if [[ " $* " = *" --server "* ]] || grep -q '^server = localhost' "$R/etc/puppet/puppet.conf"; then who=own; fi
    [ "$who" != central ] || [ ! -e "$R/central-is-away" ] || { echo "no route to it"; exit 1; }
    [ "$who" != own ] || [ -e "$R/system/active/puppetserver.service" ] || { echo "own master is away"; exit 1; }
    echo "$who" >>"$R/runs"
    echo "Notice: /Stage[main]/File[x]: current_value 'a', should be 'b' (noop)";;
esac""",
    "systemctl": r"""
verb=$1; shift; unit=${*: -1}
case $verb in
start) : >"$R/system/active/$unit";;
stop) for it in "$R"/system/{active,queued}/"$unit"; do [ ! -e "$it" ] || rm "$it"; done;;
list-jobs) for unit in "$R"/system/queued/*; do echo "7 ${unit##*/} start waiting"; done;;
list-units) for unit in "$R"/system/active/*; do echo "${unit##*/} loaded active running x"; done;;
is-active) [ -e "$R/system/active/$unit" ] && echo active || { echo inactive; exit 3; };;
is-failed) echo active; exit 1;;
esac
exit 0""",
    "apt-get": r"""
[ ! -e "$R/no-packages" ] || { echo "E: Unable to locate package"; exit 100; }
new="$R/system/packages/puppetserver"
case " $* " in
*" install "*)
    if [[ " $* " = *" --fix-broken "* ]]; then
        [ -e "$R/archives" ] || { echo "E: some files are missing"; exit 100; }
        : >"$R/system/packages/jre"; exit
    fi
    if [ -e "$R/power-cut" ]; then printf iHR >"$R/system/packages/jre"; kill -9 $PPID; exit; fi
    : >"$new"; : >"$R/system/packages/jre"; : >"$R/system/users/puppet"; : >"$R/system/groups/puppet"
    echo "JAVA_ARGS=big" >"$R/etc/default/puppetserver"; : >"$R/system/overrides/srv";;
*" --simulate purge "*)
    for name in "${@:4}"; do echo "Purg $name [1.0]"; done
    # What came later needs the jre.
    for path in "$R"/system/packages/jenkins*; do
        [[ " $* " != *" jre "* ]] || echo "Purg ${path##*/}:amd64 [1.0]"
    done;;
*" purge "*)
    if grep -qs iHR "$R"/system/packages/*; then echo "very bad inconsistent state; reinstall it"; exit 100; fi
    for name in "${@:8}"; do rm -f "$R/system/packages/$name"; done;;
esac""",
    "dpkg": r"""
case " $* " in
*" --purge --force-remove-reinstreq "*) rm "$R/system/packages/${*: -1}";;
esac""",
    "dpkg-query": r"""
for package in "$R"/system/packages/*; do IFS= read -r said <"$package"; echo "${said:-ii } ${package##*/}"; done""",
    "dpkg-statoverride": r"""
case $1 in
--list) for path in "$R"/system/overrides/*; do [ ! -e "$path" ] || echo "puppet puppet 0750 /${path##*/}"; done;;
--remove) rm "$R/system/overrides/${2#/}";;
esac""",
    "getent": r"""
case $1 in passwd) kind=users;; *) kind=groups;; esac
for name in "$R/system/$kind"/*; do echo "${name##*/}:x:"; done""",
    "userdel": r"""rm "$R/system/users/$1"; rm -f "$R/system/groups/$1" """,
    "groupdel": r"""rm "$R/system/groups/$1" """,
    "deploy": r"""[ ! -e "$R/no-deploy" ] || { echo "no environment"; exit 1; }; echo live""",
    "classify": r"""echo "classes: {}" """,
}


class ScriptedMachine:
    """One such machine below `root`."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.upstream = root / "central.git"
        self.rules = BranchSettings().rules
        self.places = Places(root / "self", units=root / "etc/systemd/system", lock=root / "lock")
        self.machine = Machine(self.places, path=f"{root / 'bin'}:{os.environ['PATH']}")

    @property
    def settings(self) -> Settings:
        own = SelfMasterSettings(
            base=self.places.base,
            upstream=str(self.upstream),
            working_copy=self.root / "srv/puppet",
            port=self.port,
        )
        return dataclasses.replace(Settings(), self_master=own, branches=BranchSettings(rules=self.rules))

    @property
    def journal(self) -> Journal:
        return Journal(self.places.transaction)

    def make(self) -> None:
        """Make it as it is before everything."""
        for name in ("bin", "etc/puppet/ssl", "etc/default", "etc/systemd/system", "srv"):
            (self.root / name).mkdir(parents=True)
        for kind, names in {
            "packages": ("puppet-agent", "libc6"),
            "users": ("root",),
            "groups": ("root", "adm"),
            "active": ("puppet.service", "ssh.service"),
            "overrides": (),
        }.items():
            (self.root / "system" / kind).mkdir(parents=True)
            for name in names:
                (self.root / "system" / kind / name).touch()
        for name, text in _SCRIPTS.items():
            script = self.root / "bin" / name
            script.write_text(f"#!/bin/bash\nR={self.root}\nshopt -s nullglob\n{text}\n")
            script.chmod(0o755)
        (self.root / "etc/puppet/puppet.conf").write_text(CONFIGURED)
        (self.root / "etc/puppet/puppet.conf").chmod(0o640)
        (self.root / "etc/puppet/hiera.yaml").write_text("---\n")
        (self.root / "etc/puppet/link").symlink_to("hiera.yaml")
        (self.root / "etc/puppet/ssl/key.pem").write_text("central key\n")
        (self.root / "etc/puppet/ssl/key.pem").chmod(0o600)
        seed = self.root / "seed"
        run("git", "init", "-q", "-b", "project/demo", str(seed))
        (seed / "site.pp").write_text("# demo\n")
        run("git", "-C", str(seed), "add", ".")
        run("git", "-C", str(seed), *AUTHOR, "commit", "-q", "-m", "demo")
        run("git", "clone", "-q", "--bare", str(seed), str(self.upstream))
        # What answers on the port is signed by itself.
        (self.root / "authority.pem").write_text(ssl.get_server_certificate(("127.0.0.1", self.port)))
        shutil.rmtree(seed)

    def steps(self) -> list[Step]:
        """Return the steps as they are planned, with our scripts for the toolkit's own commands."""
        confdir = str(self.root / "etc/puppet")
        puppet = {"confdir": confdir, "ssldir": f"{confdir}/ssl", "cadir": f"{confdir}/ca", "basemodulepath": "/none"}
        facts = Facts(
            certname=Certname("web-1.example.org"),
            agent={**puppet, "config": f"{confdir}/puppet.conf", "environment": "production"},
            server=puppet,
            systemd=True,
            root=True,
            tool="apt",
            new_packages=2,
            packages_said="",
            memory=1 << 40,
            disk=1 << 40,
            now=0.0,
            port_taken=False,
            master_runs=False,
            agent_runs=True,
            agent_disabled=False,
            certificate=0.0,
            last_run=(0.0, 0),
            upstream_said="",
            own_name_is_local=True,
            occupied=(),
            hidden=(),
        )
        wish = Wish(environment=EnvironmentName("project_demo"), project=ProjectName("demo"))
        plan = decide(facts, wish, self.settings, Path("/etc/puppetmaster/config.yaml"), self.places)
        roots = (self.root / "etc",)
        deploy = (str(self.root / "bin/deploy"),)
        changed = []
        for step in plan.steps:
            if isinstance(step, Snapshot | Mark):
                step = dataclasses.replace(step, roots=roots)
            elif isinstance(step, Repository):
                step = dataclasses.replace(step, deploy=deploy)
            elif isinstance(step, Deploy):
                step = dataclasses.replace(step, command=deploy)
            elif isinstance(step, Classifier):
                step = dataclasses.replace(step, program=(str(self.root / "bin/classify"),), user="root")
            changed.append(step)
        return changed

    @property
    def opening(self) -> dict[str, str]:
        return {"branch": "project/demo", "project": "demo", "certname": "web-1.example.org"}

    def look(self) -> dict[str, tuple[object, ...]]:
        """Return all that must be as it was: the files, and what stands for services, packages and accounts."""
        found = tree.look([self.root / name for name in ("etc", "system", "srv")])
        if self.places.base.exists():
            ours = (self.places.transaction, self.places.kept)
            found |= tree.look([path for path in self.places.base.iterdir() if path not in ours])
        return {path: entry.likeness for path, entry in found.items()}

    @property
    def served_by(self) -> str:
        """Return who would serve the agent's next run: central, own, or nobody."""
        configured = (self.root / "etc/puppet/puppet.conf").read_text()
        if "\nserver = localhost\n" not in configured:
            key = self.root / "etc/puppet/ssl/key.pem"
            return "central" if key.read_text() == "central key\n" else "nobody"
        runs = (self.root / "system/active/puppetserver.service").exists()
        return "own" if runs and self.places.repository.exists() and self.places.environments.exists() else "nobody"

    def commit(self, text: str) -> None:
        """Commit in the working copy, as a person does."""
        copy = self.settings.self_master.working_copy
        (copy / "site.pp").write_text(text)
        run("git", "-C", str(copy), *AUTHOR, "commit", "-q", "-a", "-m", text.strip())


AUTHOR = ("-c", "user.name=Bob", "-c", "user.email=bob@example.org")
DEMO = BranchName("project/demo")


def run(*command: str) -> str:
    """Run a program that must succeed; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@contextmanager
def answering(certificate: Path) -> Iterator[int]:
    """Serve 200 over HTTPS on a free port of the loopback, as a puppetserver's status does."""

    class Always(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Always)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def self_signed(place: Path) -> Path:
    """Make a certificate with its key in one file."""
    file = place / "both.pem"
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2")
    words = (*words, "-addext", "subjectAltName=DNS:localhost")
    run(*words, "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem"))
    file.write_text((place / "key.pem").read_text() + (place / "cert.pem").read_text())
    return file
