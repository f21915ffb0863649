"""One whole machine on which every unit that we ship runs at once, set up by following the documentation (pages.py).

Its systemd is its own, its software this machine's (whole_instance.py). What is not ours is played: puppetserver, a
forge and OpenStack answer as far as they are asked (forge.py, openstack.py).
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from enc.terms.names import Certname
from puppetmaster_quickstart.instance_system import PREFIX, readable
from puppetmaster_quickstart.private_agent import AgentRun
from puppetmaster_quickstart.private_instance import end
from puppetmaster_quickstart.whole_instance import ADDRESS, WholeInstance, forget_groups
from tests.support.bare import Bare, git
from tests.support.certificates import Authority
from tests.support.pages import Reader, block, differing

NAME = Certname("puppet.example.org")
PORT = 8140
SERVICES = (
    *("puppetmaster-directory", "puppetmaster-follow", "puppetmaster-collect", "puppetmaster-vendordata"),
    *("puppetmaster-hooks", "puppetmaster-serve"),
)
TIMERS = ("puppetmaster-instances", "puppetmaster-crl")
RUNS = "/var/lib/puppetmaster/instances/runs"
REPORTS = "/var/lib/puppetserver/reports"
REPORT = """--- !ruby/object:Puppet::Transaction::Report
host: %s
time: '2026-11-30T10:00:00.000000000+00:00'
status: changed
noop: false
configuration_version: 1
"""
_HERE = Path(__file__).parent

OWN_PROGRAMS = """
mkdir -p /run/programs/{up,work}
mount -t overlay overlay -o lowerdir=/usr/local/bin,upperdir=/run/programs/up,workdir=/run/programs/work /usr/local/bin
"""
"""The machine's /usr is this machine's, and links in /usr/local/bin must be its own."""

INSTALLED = {
    "apt-get install puppetserver git python3-venv ldap-utils\n": "",
    "python3 -m venv /opt/puppetmaster\n": f"ln -s {PREFIX} /opt/puppetmaster\n",
    "/opt/puppetmaster/bin/pip install --require-hashes -r puppetmaster-toolkit/files/requirements.lock\n": "",
    "/opt/puppetmaster/bin/pip install --no-deps --no-build-isolation ./puppetmaster-toolkit\n": "",
}
"""Software is there, and no network that it could come from."""

PLAYED = {"https://puppet.example.org:8140": f"https://localhost:{PORT}"}

ALICE = "-S uid=alice,ou=people,dc=example,dc=org    # asks for the new password"
PASSWORD = "-s secret-of-{0} uid={0},ou=people,dc=example,dc=org"

AUTHORITY = """
install -d -o puppet -g puppet -m 0750 $ssl
for place in certs private_keys public_keys; do install -d -o puppet -g puppet -m 0750 $ssl/$place; done
install -m 0644 /srv/stubs/ca.pem $ssl/certs/ca.pem
install -m 0644 /srv/stubs/client.pem $ssl/certs/$name.pem
install -m 0640 /srv/stubs/client.key $ssl/private_keys/$name.pem
touch $ssl/public_keys/$name.pem
"""
"""What `puppetserver ca generate` leaves."""

FIND_RULES = "sed -i '/^ *rules: \\[/r /srv/rule' /etc/puppet/puppetserver/conf.d/auth.conf"
READ_RULES = """ruby -rhocon -e 'puts Hocon.load(ARGV[0])["authorization"]["rules"].map { |rule| rule["name"] }' \
  /etc/puppet/puppetserver/conf.d/auth.conf"""

VENDORDATA = """
printf %s secret-of-openstack >/srv/openstack.secret
sed -i '/^  bind_password_file: .*ldap.secret/a\\  write_bind_dn: uid=openstack,ou=people,dc=example,dc=org\\n\\
  write_bind_password_file: /etc/puppetmaster/writer.secret' /etc/puppetmaster/config.yaml
cat /srv/more.yaml >>/etc/puppetmaster/config.yaml
"""

TIMED = """
chown puppet /etc/puppetmaster/authority/*    # only because puppetmaster-crl runs here as well
cd "$(mktemp -d)" && enc-admin config units .
install -m 0644 -t /etc/systemd/system puppetmaster-*.timer puppetmaster-{collect,instances,crl}.service
systemctl daemon-reload
"""

MORE = """
authorities:
  servers:
    - name: central
      url: https://localhost:8140
      ca_file: /etc/puppetmaster/ca.pem
      certificate_file: /etc/puppetmaster/authority/instances.pem
      key_file: /etc/puppetmaster/authority/instances.key
  crl_files: [/var/lib/puppet/ssl/crl.pem]
instances:
  name: "%{name}.%{project}.example.org"
  agent: {server: puppet.example.org, ca_file: /etc/puppetmaster/ca.pem}
  reserved: [puppet.example.org]    # as branches.puppetserver does where it is not played
openstack: {cloud: site, region: north, caller_users: [nova]}
"""

LOOKS = r"""
look() {
  # Of /tmp, what stays; of slapd's own files nothing, for whoever reads enters a lock there.
  python3 /srv/looks.py /etc /srv /var /root /home /tmp \
    -x /var/lib/puppetmaster/directory /var/log /srv/stubs | grep -v '^/tmp '
}
look >/run/before
run() {
  "$@" >/run/said 2>&1 </dev/null && status=0 || status=$?
  # 2: it was called in a wrong way; 3: a bug
  case $status in
    0 | 1 | 4) ;;
    *) echo "$* ended with $status:"; cat /run/said ;;
  esac
  if [ -n "${each-}" ] || [ "$*" = true ]; then
    look >/run/after
    cmp -s /run/before /run/after || { echo "changed by $*:"; diff /run/before /run/after; cp /run/after /run/before; }
  fi
  echo "same $*"
}
run enc-admin config check
run enc-admin config show
run enc-admin config example
run enc-admin doctor
run enc-admin status
run enc-admin completion bash
run enc-admin directory status
run enc-admin node list
run enc-admin node show web-4.red.example.org
run enc-admin node explain web-4.red.example.org
run enc-admin node history web-4.red.example.org
run enc-admin node set web-4.red.example.org --environment nosuch --reason x --dry-run
run enc-admin project list
run enc-admin project show red
run enc-admin who-uses apache
run enc-admin export
run enc-admin schema check
run enc-admin schema print
run enc-admin signing log
run enc-admin signing explain web-4.red.example.org
run enc-admin instance list
run enc-admin instance list --unfinished
run enc-admin instance show web-4.red.example.org
run enc-admin instance create web-9 --project red --reason x --dry-run
run enc-admin instance delete web-4.red.example.org --reason x --dry-run
run enc-admin instance rebuild web-4.red.example.org --reason x --dry-run
run enc-admin instance reconcile --dry-run
run enc-admin instance reconcile --openstack --delete-missing --older-than 0s --dry-run
run enc-admin certificate list
run enc-admin certificate crl --dry-run
run enc-admin vendordata servers
run enc-admin answer web-4.red.example.org
run enc web-4.red.example.org
run enc web-7.red.example.org
run enc-trusted web-4.red.example.org
run branch-manager doctor
run branch-manager list
run branch-manager status
run branch-manager status test
run branch-manager verify
run branch-manager verify-store
run branch-manager audit-code
run branch-manager init --dry-run
run branch-manager deploy --dry-run
run branch-manager deploy --gone --dry-run
run branch-manager expire --dry-run
run branch-manager make-branches --dry-run
run branch-manager rollback test --reason x --dry-run
run branch-manager restore --dry-run
run branch-manager token list
run branch-manager authorized-keys alice
run puppetmaster-self status
run puppetmaster-self doctor
run true
"""
"""Each of our commands that only looks, and dry runs; with `each` in the environment, it is said which one it was."""


class UnitSite:
    """The machine; `start` it, `stop` it."""

    def __init__(self, base: Path) -> None:
        self._base = base
        (base / "lab").mkdir(parents=True)
        self.machine = WholeInstance(base / "lab", NAME, NAME, {PORT: base / "nothing"})
        self.reader = Reader(self.sh)
        self.nova = ""
        """A token of Nova's."""

    def start(self) -> None:
        """Boot it, set everything up by the documentation, and start all units."""
        self.machine.start()
        own = self.machine.own
        with readable():
            for place in ("etc/ldap/schema", "etc/pam.d", "etc/security"):  # slapd's, and runuser's
                shutil.copytree(f"/{place}", own / place)
            (own / "etc/puppetmaster").mkdir()
            stubs = own / "srv/stubs"
            stubs.mkdir()
            for file in ("forge.py", "openstack.py"):
                shutil.copy(_HERE / file, stubs)
            self._certificates(stubs)
        self.play_puppetserver()
        self.sh(f"systemd-run --quiet --unit=played-openstack {PREFIX}/bin/python3 /srv/stubs/openstack.py /srv/stubs")
        self.until(lambda: (stubs / "nova").exists(), "OpenStack is played")
        self.nova = (stubs / "nova").read_text()
        self._bundle(own / "srv/first.bundle")
        self.sh(OWN_PROGRAMS)
        self._operation()
        self.sh("enc-admin project add red --admin alice --reason 'the first one'")
        self._instances()
        self.sh("systemctl restart puppetmaster-follow puppetmaster-hooks puppetmaster-serve")  # read the new settings
        self.sh(f"systemctl enable --quiet --now {' '.join(SERVICES[1:])} {' '.join(f'{one}.timer' for one in TIMERS)}")

    def _operation(self) -> None:
        """Follow docs/operation.md and what it leads to."""
        follow = self.reader.follow
        follow("operation.md", "apt-get install puppetserver git", INSTALLED)
        off = "apt-get install slapd && systemctl disable slapd && systemctl stop slapd "
        follow("operation.md", "apt-get install slapd", {off: "true "})
        configuration = differing(block("branches.md", "projects:", "yaml"), PLAYED)
        self._append("/etc/puppetmaster/config.yaml", configuration)
        self.sh("enc-admin config check")
        follow("operation.md", "install -m 0644 puppetmaster-follow.service")
        for who in ("alice", "openstack"):
            follow("directory.md", "ldapi=", {ALICE: PASSWORD.format("alice"), "alice": who})
        self._append("/etc/puppet/puppet.conf", block("operation.md", "[server]\nnode_terminus", "ini").text)
        self._append("/srv/rule", block("branches.md", "{ name:", "hocon").text)
        assert "flush environments\n" in self.sh(f"{FIND_RULES}; {READ_RULES}")
        started = "systemctl enable puppetserver && systemctl restart puppetserver"
        follow("operation.md", "systemctl enable puppetserver", {started: "systemctl restart played-puppetserver"})
        follow("branches.md", "ssl=", {"puppetserver ca generate --certname $name\n": AUTHORITY})
        follow("operation.md", "install -d -o git -g puppetmaster-readers", {"ADDRESS": "/srv/first.bundle"})

    def _instances(self) -> None:
        """Follow docs/signing.md and docs/openstack.md, and start what comes with instances."""
        self.machine.put("/srv/more.yaml", MORE)
        follow = self.reader.follow
        follow("signing.md", "install -g puppetmaster-signer")
        for page, setting in (("signing.md", "autosign"), ("instances.md", "reports")):
            lines = block(page, f"[server]\n{setting} = ", "ini").text
            self._append("/etc/puppet/puppet.conf", lines.removeprefix("[server]\n"))
        follow("instances.md", "install -D -m 0644 lib/puppet/reports", {" lib/": f" {PREFIX}/code/lib/"})
        self.sh(VENDORDATA)
        given = {
            '"$(puppet config print --section server localcacert)"': "/srv/stubs/ca.pem",
            "CLOUDS": "/srv/stubs/clouds.yaml",
            "SECRET": "/srv/openstack.secret",
            "CERTIFICATE": "/srv/stubs/client.pem",
            "KEY": "/srv/stubs/client.key",
        }
        follow("openstack.md", "cd /etc/puppetmaster", given)
        follow("openstack.md", "install -d /etc/systemd/system/puppetmaster-instances.service.d")
        self.sh(TIMED)

    def _append(self, path: str, text: str) -> None:
        """Put text at the end of a file there, as with an editor."""
        self.machine.put("/srv/text", text)
        self.sh(f"cat /srv/text >>{path}")

    def play_puppetserver(self) -> None:
        """Let something answer in the place of puppetserver, and of a forge."""
        words = (
            f"{PREFIX}/bin/python3 /srv/stubs/forge.py /srv/stubs {PORT} /srv/stubs/server.pem /srv/stubs/server.key"
        )
        self.sh(f"systemd-run --quiet --unit=played-puppetserver {words}")

    def stop(self) -> None:
        """End it, without a trace."""
        end(self.machine.process)
        forget_groups(self.machine.base)

    def sh(self, script: str, *, status: int | None = 0, timeout: float = 180.0) -> str:
        """Run a script as root there; return what it said."""
        done = self.try_(script, timeout=timeout)
        assert status is None or done.status == status, f"{script}: {done.status}: {done.output}\n{self.journal()}"
        return done.output

    def try_(self, script: str, *, timeout: float = 180.0) -> AgentRun:
        """Run a script as root there; how it ended is a value."""
        return self.machine.run("bash", "-c", f"set -eu; {script}", timeout=timeout)

    def journal(self, *units: str) -> str:
        """Return the end of what units wrote into the log."""
        which = " ".join(f"-u {shlex.quote(unit)}" for unit in units)
        return self.machine.run("sh", "-c", f"journalctl --no-pager -n 60 {which}").output

    def until(self, true: Callable[[], bool], what: str, *, timeout: float = 180.0) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < deadline, f"not so: {what}\n{self.journal()}"
            time.sleep(0.1)

    def elsewhere(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command on another machine of its network: this one's software, and that one address."""
        network = f"--net=/proc/{self.machine.process.pid}/ns/net"
        return subprocess.run(["nsenter", network, *words], capture_output=True, text=True, timeout=60, check=False)

    def doctor(self, program: str = "enc-admin", *words: str) -> dict[str, list[tuple[str, str]]]:
        """Return what a doctor found that is not well: check → (level, text) each."""
        said = self.machine.run(program, "doctor", "--json", *words).output
        found: dict[str, list[tuple[str, str]]] = {}
        for one in json.loads(said[said.index("{") :])["findings"]:
            if one["level"] in ("fault", "warning"):
                found.setdefault(one["id"], []).append((one["level"], one["found"]))
        return found

    def _bundle(self, place: Path) -> None:
        bare = Bare(self._base)
        first = bare.commit("production", {"manifests": {"site.pp": "# first\n"}})
        bare.commit_tree("test", bare.tree({"manifests": {"site.pp": "# test\n"}}), parent=first)
        git(bare.path, "bundle", "create", str(place), "--all")
        place.chmod(0o644)

    def _certificates(self, stubs: Path) -> None:
        authority = Authority.make(self._base / "authority")
        shutil.copy(authority.certificate, stubs / "ca.pem")
        for name, (certificate, key) in (
            ("server", authority.issue("localhost")),
            ("client", authority.issue("client.example.org")),
            ("directory", authority.issue(ADDRESS)),
        ):
            shutil.copy(certificate, stubs / f"{name}.pem")
            shutil.copy(key, stubs / f"{name}.key")
        (stubs / "crl.pem").write_bytes(_crl(authority))


def _crl(authority: Authority) -> bytes:
    """Return a revocation list of nobody."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
    builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=365))
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)  # type: ignore[arg-type]
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
