"""A network for tests of the Puppet module: LDAP, and whole machines on which the module is applied.

LDAP has one project, its admin, an operator, and the accounts of our programs.
A machine has what puppetserver needs (layers.py), Puppet's agent, the module in
its modulepath and an index of Python packages, as a site without the world's
network has one; `pip` and `apt` on it are real. Not here: what is applied.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from enc.directory.embedded_config import StartOptions, TlsFiles
from tests.support import toolkit
from tests.support.certificates import Authority
from tests.support.layers import prepared
from tests.support.machines import SUITE, Machine, Network
from tests.support.puppet_module import PARTS, ROOT
from tests.support.self_master_site import FORWARD, done
from tests.support.slapd import ADD, Slapd

LDAP, LDAP_ADDRESS = "ldap.example.org", "10.80.0.1"
S = "dc=example,dc=org"
PEOPLE = "".join(
    f"dn: uid={uid},ou=people,{S}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n"
    f"userPassword: pw-{uid}\n\n"
    for uid in ("anna", "mia", "olga")
)
MODULE = "/etc/puppet/code/modules/puppetmaster"
HIERA = """version: 5
defaults: {datadir: data, data_hash: yaml_data}
hierarchy: [{name: this site, path: site.yaml}]
"""
PREPARE = """set -e
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -o Dpkg::Options::=--force-confold install --no-install-recommends puppet-agent
tar -C / -xf /site.tar
rm /site.tar
systemctl disable --now puppet
"""


class CentralSite:
    """LDAP in a network; `machine` boots one that has the module."""

    def __init__(self, base: Path, slapd: Slapd, network: Network, stack: ExitStack) -> None:
        self.base = base
        self.slapd = slapd
        self.addresses: dict[str, str] = {LDAP: LDAP_ADDRESS}
        self._network = network
        self._stack = stack

    def password(self, account: str) -> str:
        """Return the password of one of our programs' accounts."""
        return (self.slapd.directory.home.data_dir / f"{account}-password").read_text().strip()

    def boot(self, certname: str, files: Mapping[str, str | bytes], suite: str = SUITE) -> Machine:
        """Boot a machine with no more than a name, an address and `files`."""
        name = certname.partition(".")[0]
        place = self.base / name
        place.mkdir()
        address = self.addresses[certname]
        hosts = "".join(f"{of} {host} {host.partition('.')[0]}\n" for host, of in self.addresses.items())
        usual = {"/etc/hosts": f"127.0.0.1 localhost\n{hosts}"}
        machine = Machine(place, name, self._network.host(name, address), usual | dict(files), suite, prepared(suite))
        self._stack.callback(machine.stop)
        machine.boot()
        return machine

    def machine(self, certname: str, suite: str = SUITE, **data: object) -> Machine:
        """Boot a machine with the agent and the module, and `data` for hiera."""
        machine = self.boot(certname, self.files(certname, data), suite)
        done(machine, "sh", "-c", PREPARE, timeout=300)
        return machine

    def files(self, certname: str, data: Mapping[str, object]) -> dict[str, str | bytes]:
        """Return what `PREPARE` needs."""
        return {
            "/site.tar": _site_tar(self.base),
            "/etc/pip.conf": "[global]\nno-index = true\nfind-links = file:///srv/wheels\n",
            "/etc/ssl/ldap-ca.pem": (self.base / "authority/ca.pem").read_text(),
            "/etc/puppet/hiera.yaml": HIERA,
            "/etc/puppet/data/site.yaml": yaml.safe_dump(dict(data)),
            "/etc/puppet/puppet.conf": f"# ours\n[main]\ncertname = {certname}\n",
        }


@contextmanager
def central_site(base: Path, *certnames: str) -> Iterator[CentralSite]:
    """Put up LDAP in a network with addresses for `certnames`."""
    with ExitStack() as stack:
        network = Network("pmc")
        stack.callback(network.close)
        inside = ("ip", "netns", "exec", network.host("ldap", LDAP_ADDRESS))
        authority = Authority.make(base / "authority")
        slapd = Slapd(base / "slapd", options=StartOptions(tls=TlsFiles(*authority.issue(LDAP))))
        stack.callback(slapd.stop)
        slapd.load_ldif(PEOPLE)
        slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})
        forward = [*inside, sys.executable, "-c", FORWARD, LDAP_ADDRESS, str(base / "slapd/run/ldapi")]
        process = subprocess.Popen(forward, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        site = CentralSite(base, slapd, network, stack)
        site.addresses |= {certname: f"10.80.0.{number}" for number, certname in enumerate(certnames, 10)}
        yield site


def _site_tar(base: Path) -> bytes:
    """Return a tar file with the module and the index of Python packages; made once."""
    file = base / "site.tar"
    if not file.exists():
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for part in PARTS:
                tar.add(ROOT / part, arcname=f"{MODULE}/{part}")
            tar.add(toolkit.wheels(base), arcname="/srv/wheels")
        file.write_bytes(packed.getvalue())
    return file.read_bytes()
