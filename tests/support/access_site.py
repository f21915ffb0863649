"""A site whose people log in to instances by LDAP: the embedded directory, an operator, and a machine to log in to.

The operator works as on a host of its own: with our commands, over TLS, which have an account and a password each. What
no command would write is written past them. Keys of people are made here; `ssh` is the real one, from another host of
the network. Not here: what is applied on the machine, and who may what.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import yaml

from tests.support.central_site import HIERA, MODULE
from tests.support.certificates import Authority
from tests.support.layers import with_login
from tests.support.machines import SUITE, Machine, Network, checked
from tests.support.puppet_module import PARTS, ROOT

PROGRAM = Path(sys.executable).with_name("enc-admin")
LDAP, LDAP_ADDRESS = "ldap.example.org", "10.81.0.1"
INSTANCE, INSTANCE_ADDRESS = "web-1.example.org", "10.81.0.10"
S = "dc=example,dc=org"
TRUSTED = "/etc/puppet/trusted"
"""Says, as `enc-trusted` does, whose the machine is."""
PEOPLE = ("anna", "mia", "ines", "otto", "lena", "debian", "tess")
DEEP = ("level2", "level3")
"""Each in the one before it, the first in `inner`: as deep as groups count."""
PROJECTS = (
    *(("red", "anna", "mia lena debian zoe"), ("blue", "otto", ""), ("sudo", "mia", "")),
    *(("inner", "ines", ""), ("level2", "anna", ""), ("level3", "tess", "")),
)
"""Name, admin and members. `sudo` is a group of Debian's."""
SYSTEMS = f"""dn: uid=zoe,ou=people,{S}
changetype: add
objectClass: inetOrgPerson
objectClass: posixAccount
uid: zoe
cn: zoe
sn: zoe
uidNumber: 0
gidNumber: 60000
homeDirectory: /root

dn: cn=nearly-sudo,ou=projects,{S}
changetype: add
objectClass: groupOfNames
objectClass: posixGroup
cn: nearly-sudo
gidNumber: 27
member: uid=mia,ou=people,{S}

"""
"""Past our commands, which refuse numbers of the system's: root's, and that of Debian's group `sudo`."""


class AccessSite:
    """LDAP and a machine, which has the module and is of the project red."""

    def __init__(self, base: Path, namespace: str) -> None:
        """Put LDAP up on a host of the network, `namespace`, from where all else is done, too."""
        self._base = base
        self._inside = ("ip", "netns", "exec", namespace)
        self._data = base / "directory"
        self.machine: Machine
        self.authority = Authority.make(base / "authority")
        certificate, key = self.authority.issue(LDAP)
        listening = ("--listen", LDAP_ADDRESS, "--tls-certificate", certificate, "--tls-key", key)
        self._start = ("directory", "--data-directory", self._data, "start", *listening)
        self.start()

    @property
    def secret(self) -> str:
        """The password of the account with which instances ask."""
        return (self._data / "instances-password").read_text().strip()

    def populate(self) -> None:
        """Let there be people with keys, and projects, as an operator makes them."""
        (self._base / "hosts").write_text(f"127.0.0.1 localhost\n{LDAP_ADDRESS} {LDAP}\n")
        (self._base / "secret").touch(0o600)
        (self._base / "secret").write_text("pw-olga\n")
        directory = yaml.safe_load((self._data / "config.yaml").read_text())["directory"]
        directory |= {"uris": [f"ldaps://{LDAP}"], "tls": {"ca_file": str(self.authority.certificate)}}
        directory["write_bind_dn"] = f"uid=olga,ou=people,{S}"
        directory["write_bind_password_file"] = str(self._base / "secret")
        settings = {"directory": directory, "audit": {"file": str(self._base / "trail.jsonl")}}
        settings["answers"] = {"directory": str(self._base / "answers")}
        (self._base / "enc.yaml").write_text(yaml.safe_dump(settings))
        self.ldif(
            f"dn: uid=olga,ou=people,{S}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: olga\ncn: olga\nsn: olga\n"
            f"userPassword: pw-olga\n\ndn: cn=operators,ou=groups,{S}\nchangetype: modify\nadd: member\n"
            f"member: uid=olga,ou=people,{S}\n\n{SYSTEMS}"
        )
        with ThreadPoolExecutor(4) as several:  # as operators work who do not wait for one another
            list(several.map(lambda uid: self.enc_admin("person", "add", uid, "--name", uid.title()), PEOPLE))
            self.ldif("".join(map(self._with_key, (*PEOPLE, "zoe"))))
            list(several.map(self._project, PROJECTS))
        for outer, inner in pairwise(("red", "inner", *DEEP)):
            self.enc_admin("project", "member", "add", outer, "--project", inner)

    def enc_admin(self, *words: str) -> str:
        """Run one of an operator's commands; return what it prints."""
        bound = 'mount --bind "$0" /etc/hosts && exec "$@"'
        where = ("unshare", "--mount", "sh", "-c", bound, str(self._base / "hosts"))
        own = (str(PROGRAM), "--config", str(self._base / "enc.yaml"))
        return checked([*self._inside, *where, *own, *words, "--reason", "test"])

    def _project(self, said: tuple[str, str, str]) -> None:
        name, admin, members = said
        self.enc_admin("project", "add", name, "--admin", admin, *(["--member", *members.split()] if members else []))

    def _with_key(self, person: str) -> str:
        """Return the change that gives somebody a key of their own, which LDAP has then."""
        checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._base / person)])
        key, place = self.key(person), f"uid={person},ou=people,{S}"
        return (
            f"dn: {place}\nchangetype: modify\nadd: objectClass\nobjectClass: ldapPublicKey\n-\n"
            f"add: sshPublicKey\nsshPublicKey: {key}\n\n"
        )

    def key(self, person: str) -> str:
        """Return somebody's key, as LDAP has it."""
        return (self._base / f"{person}.pub").read_text().strip()

    def ssh(self, person: str, command: str) -> tuple[int, str]:
        """Return status and output of a command that `person` runs on the machine by ssh; 255: not let in."""
        done = subprocess.run(self.ssh_command(person, command), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def ssh_command(self, person: str, command: str) -> list[str]:
        """Return the words of that, from another host of the network and with the person's own key."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")
        words = [word for option in (*options, f"IdentityFile={self._base / person}") for word in ("-o", option)]
        return [*self._inside, "ssh", "-F", "none", *words, f"{person}@{INSTANCE_ADDRESS}", command]

    def ldif(self, text: str) -> None:
        """Make changes past our commands, as the directory's owner."""
        socket = f"ldapi://{str(self._data / 'run/ldapi').replace('/', '%2F')}"
        checked(["ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", socket], text)

    def start(self) -> None:
        """Let LDAP be there."""
        self._directory(*self._start)

    def stop(self) -> None:
        """Let LDAP be away: connections are refused."""
        self._directory("directory", "--data-directory", self._data, "stop")

    def _directory(self, *words: str | Path) -> None:
        checked([*self._inside, str(PROGRAM), *map(str, words)])


@contextmanager
def access_site(base: Path, data: dict[str, object]) -> Iterator[AccessSite]:
    """Put it all up; `data` is the machine's hiera data, to which the account's password comes.

    ACCESS_ON=trixie has the machine be a Debian 13.
    """
    suite = os.environ.get("ACCESS_ON", SUITE)
    with ExitStack() as stack:
        network = Network("pml")
        stack.callback(network.close)
        site = AccessSite(base, network.host("ldap", LDAP_ADDRESS))
        stack.callback(site.stop)
        (base / "machine").mkdir()
        files = {
            "/site.tar": _module_tar(),
            "/etc/hosts": f"127.0.0.1 localhost\n{LDAP_ADDRESS} {LDAP}\n{INSTANCE_ADDRESS} {INSTANCE} web-1\n",
            "/etc/ssl/ldap-ca.pem": site.authority.certificate.read_text(),
            "/etc/puppet/hiera.yaml": HIERA,
            "/etc/puppet/data/site.yaml": yaml.safe_dump(data | {"puppetmaster::access::ldap_secret": site.secret}),
            "/etc/puppet/puppet.conf": f"[main]\ncertname = {INSTANCE}\ntrusted_external_command = {TRUSTED}\n",
            TRUSTED: """#!/bin/sh\necho '{"project": "red"}'\n""",
            "/root/.ssh/authorized_keys": "",
        }
        host = network.host("web", INSTANCE_ADDRESS)
        site.machine = Machine(base / "machine", "web-1", host, files, suite, prepared=with_login(suite))
        stack.callback(site.machine.stop)
        site.machine.boot()
        # As a cloud image's cloud-init makes it
        account = "useradd --create-home debian"
        prepare = f"{account} && chmod 755 {TRUSTED} && tar -C / -xf /site.tar && rm /site.tar && apt-get -q update"
        with ThreadPoolExecutor(1) as meanwhile:
            populated = meanwhile.submit(site.populate)
            done = site.machine.run("sh", "-c", prepare, timeout=180)
            populated.result()
        assert done.returncode == 0, done.stdout + done.stderr
        yield site


def _module_tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for part in PARTS:
            tar.add(ROOT / part, arcname=f"{MODULE}/{part}")
    return packed.getvalue()
