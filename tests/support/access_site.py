"""A site whose people log in to instances by LDAP: a slapd with posix groups, and a whole machine to log in to.

The tree is that of docs/directory.md. Keys of people are made here; `ssh` is the real one, from another host of the
network. Not here: what is applied on the machine, and who may what.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from tests.support.central_site import HIERA, MODULE
from tests.support.certificates import Authority
from tests.support.layers import with_login
from tests.support.machines import SEED, Machine, Network, checked
from tests.support.posix_slapd import PosixSlapd
from tests.support.puppet_module import PARTS, ROOT

LDAP, LDAP_ADDRESS = "ldap.example.org", "10.81.0.1"
INSTANCE, INSTANCE_ADDRESS = "web-1.example.org", "10.81.0.10"
S = "dc=example,dc=org"
BOUND = f"cn=instances,ou=services,{S}"
SECRET = "pass#word; of = all"
TRUSTED = "/etc/puppet/trusted"
"""Says, as `enc-trusted` does, whose the machine is."""
NUMBERS = {"anna": 60001, "mia": 60002, "ines": 60003, "otto": 60004, "lena": 60005, "debian": 60006, "zoe": 0}


class AccessSite:
    """LDAP and a machine, which has the module and is of the project red."""

    def __init__(self, base: Path, slapd: PosixSlapd, machine: Machine, inside: Sequence[str]) -> None:
        self.slapd = slapd
        self.machine = machine
        self.key = (base / "key.pub").read_text().strip()
        """Everybody's, as LDAP has it."""
        self._base = base
        self._inside = inside

    def ssh(self, person: str, command: str) -> tuple[int, str]:
        """Return status and output of a command that `person` runs on the machine by ssh; 255: not let in."""
        done = subprocess.run(self.ssh_command(person, command), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def ssh_command(self, person: str, command: str) -> list[str]:
        """Return the words of that, from another host of the network and with the key that LDAP has of everybody."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")
        words = [word for option in (*options, f"IdentityFile={self._base / 'key'}") for word in ("-o", option)]
        return [*self._inside, "ssh", "-F", "none", *words, f"{person}@{INSTANCE_ADDRESS}", command]

    def holds(self, group: str, attribute: str, change: str, *people: str) -> None:
        """Add (`change`) to a group below ou=projects, or take out (`delete`)."""
        values = "".join(f"{attribute}: uid={person},ou=people,{S}\n" for person in people)
        self.slapd.ldif(f"dn: {group},ou=projects,{S}\nchangetype: modify\n{change}: {attribute}\n{values}")


def tree(key: str) -> str:
    """Return the directory: anna is admin of red, mia a member, ines one by the project inner, otto is blue's."""
    entries = [
        (S, "dcObject organization", {"dc": ["example"], "o": ["x"]}),
        *((f"ou={ou},{S}", "organizationalUnit", {"ou": [ou]}) for ou in ("people", "projects", "services")),
        (BOUND, "organizationalRole simpleSecurityObject", {"cn": ["instances"], "userPassword": [SECRET]}),
    ]
    for name, number in NUMBERS.items():
        said = {"uid": name, "cn": name, "sn": name, "userPassword": f"pw-{name}", "sshPublicKey": key}
        said |= {"uidNumber": str(number), "gidNumber": "60000", "homeDirectory": "/root", "loginShell": "/bin/bash"}
        classes = "inetOrgPerson posixAccount ldapPublicKey"
        entries.append((f"uid={name},ou=people,{S}", classes, {at: [value] for at, value in said.items()}))
    # `sudo` is a group of Debian's, and of its number.
    groups = {"inner": (50002, "ines"), "red": (50001, "anna mia lena debian zoe inner/"), "blue": (50003, "otto")}
    groups |= {"sudo": (50004, "mia"), "nearly-sudo": (27, "mia")}
    for name, (number, members) in groups.items():
        names = (f"cn={it[:-1]},ou=projects" if it[-1] == "/" else f"uid={it},ou=people" for it in members.split())
        dns = [f"{it},{S}" for it in names]
        attributes = {"cn": [name], "gidNumber": [str(number)], "member": dns}
        entries.append((f"cn={name},ou=projects,{S}", "groupOfNames posixGroup", attributes))
    for number, (project, admin) in enumerate((("red", "anna"), ("blue", "otto"), ("inner", "ines")), 50101):
        attributes = {"cn": ["projectadmin"], "gidNumber": [str(number)]}
        attributes["roleOccupant"] = [f"uid={admin},ou=people,{S}"]
        entries.append((f"cn=projectadmin,cn={project},ou=projects,{S}", "organizationalRole posixGroup", attributes))
    return "\n".join(
        f"dn: {dn}\n"
        + "".join(f"objectClass: {name}\n" for name in classes.split())
        + "".join(f"{attribute}: {value}\n" for attribute, values in said.items() for value in values)
        for dn, classes, said in entries
    )


@contextmanager
def access_site(base: Path, data: dict[str, object]) -> Iterator[AccessSite]:
    """Put it all up; `data` is the machine's hiera data."""
    with ExitStack() as stack:
        network = Network("pml")
        stack.callback(network.close)
        namespace = network.host("ldap", LDAP_ADDRESS)
        authority = Authority.make(base / "authority")
        slapd = PosixSlapd(base / "slapd", authority, LDAP, namespace, LDAP_ADDRESS, S)
        stack.callback(slapd.stop)
        checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / "key")])
        slapd.ldif(tree((base / "key.pub").read_text().strip()))
        (base / "machine").mkdir()
        files = {
            "/site.tar": _module_tar(),
            "/etc/hosts": f"127.0.0.1 localhost\n{LDAP_ADDRESS} {LDAP}\n{INSTANCE_ADDRESS} {INSTANCE} web-1\n",
            "/etc/ssl/ldap-ca.pem": authority.certificate.read_text(),
            "/etc/puppet/hiera.yaml": HIERA,
            "/etc/puppet/data/site.yaml": yaml.safe_dump(data),
            "/etc/puppet/puppet.conf": f"[main]\ncertname = {INSTANCE}\ntrusted_external_command = {TRUSTED}\n",
            TRUSTED: """#!/bin/sh\necho '{"project": "red"}'\n""",
            "/root/.ssh/authorized_keys": "",
            # cloud-init makes a local account, debian.
            f"{SEED}/user-data": "#cloud-config\n",
            f"{SEED}/meta-data": "instance-id: i-1\nlocal-hostname: web-1\n",
        }
        host = network.host("web", INSTANCE_ADDRESS)
        machine = Machine(base / "machine", "web-1", host, files, prepared=with_login())
        stack.callback(machine.stop)
        machine.boot()
        prepare = f"chmod 755 {TRUSTED} && tar -C / -xf /site.tar && rm /site.tar && apt-get -q update"
        done = machine.run("sh", "-c", f"cloud-init status --wait; {prepare}", timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        yield AccessSite(base, slapd, machine, ("ip", "netns", "exec", namespace))


def _module_tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for part in PARTS:
            tar.add(ROOT / part, arcname=f"{MODULE}/{part}")
    return packed.getvalue()
