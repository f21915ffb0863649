"""Our accounts as the shipped files make them: who reads what of a master, tried by the kernel, and what doctor says.

The accounts are made into files of the test's own, which only the programs
started here see as /etc/passwd and /etc/group (a mount namespace). They see no
other process: whole machines, whose accounts may have the same numbers, run
beside this.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from enc.systemd import units
from git_hooks import systemd
from tests.support.machines import needs_root
from tests.support.reachable import reachable

ACCOUNTS = ("puppet", "git", "puppetmaster", "puppetmaster-collect", "puppetmaster-vendordata")
INSIDE = r"""
set -e
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
shift
exec "$@"
"""
BESIDE = r"""
$1 &
for _ in $(seq 500); do grep -qx sleep /proc/$!/comm && break; sleep 0.01; done
shift
exec "$@"
"""
READ = r"""
import json, os, pwd, sys
sys.path.insert(0, os.getcwd())
from enc.doctor.account import unreadable
from enc.programs.accounts import Account, as_account
names, paths = json.loads(sys.argv[1])
who = {name: pwd.getpwnam(name) for name in names}
accounts = [Account(name, found.pw_uid, found.pw_gid) for name, found in who.items()]
print(json.dumps({a.name: [p for p in paths if p not in as_account(a, lambda: unreadable(paths))] for a in accounts}))
"""
DOCTOR = r"""
import json, os, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from enc.doctor import keys
from enc.doctor.puppet import PuppetFacts
from enc.settings.config import parse
cadir, private, configuration = sys.argv[1:4]
facts = PuppetFacts({"cadir": cadir, "privatekeydir": private}, {}, frozenset(), False, False, {})
settings = parse(Path(configuration).read_text())
if len(sys.argv) > 4:
    os.seteuid(int(sys.argv[4]))
print(json.dumps([(f.level, f.found, f.do) for f in keys.check(facts, None, settings)]))
"""


class Master:
    """What a master has on its disk, with the owners and modes that puppetserver and our documents give it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.etc = place / "etc"
        drop = self.etc / "sysusers.d"
        drop.mkdir(parents=True)
        for sources, file in ((units, units.ACCOUNTS), (systemd, systemd.ACCOUNTS)):
            text = Path(str(sources.__file__)).with_name(file).read_text()
            drop.joinpath(file.replace(".sysusers", ".conf")).write_text(text)
        # The last is puppetserver's package's.
        drop.joinpath("basic.conf").write_text(
            "u root 0 - /root\nu nobody 65534 - /nonexistent\nu puppet - - /var/lib/puppet\n"
        )
        subprocess.run(["systemd-sysusers", f"--root={place}"], check=True, capture_output=True)
        place.chmod(0o755)
        self.ca = self._file("ssl/ca/ca_key.pem", "puppet", "puppet", 0o640, closed=True)
        self.private = self._file("ssl/private_keys/puppet.example.org.pem", "puppet", "puppet", 0o640, closed=True)
        self.answers = self._file("answers/contact", "puppetmaster", "puppetmaster-readers", 0o644, closed=True)
        self.ldap = self._file("ldap.secret", "root", "puppetmaster-readers", 0o640)
        self.signer = self._file("signer.secret", "root", "puppetmaster-signer", 0o640)
        self.writer = self._file("writer.secret", "root", "root", 0o600)
        self.deploy = self._file("deploy/puppet.example.org-deploy.key", "git", "git", 0o400, closed=True)
        self.pusher = self._file("repository.git/puppetmaster/pusher.key", "git", "git", 0o600)
        self.environment = self._file("environments/production/site.pp", "git", "git", 0o644)
        self.configuration = place / "config.yaml"
        self.configuration.write_text(
            "directory:\n  suffix: dc=example,dc=org\n"
            f"  bind_dn: cn=a\n  bind_password_file: {self.ldap}\n"
            f"  write_bind_dn: cn=b\n  write_bind_password_file: {self.writer}\n"
            f"signing: {{bind_dn: cn=c, bind_password_file: {self.signer}}}\n"
            f"branches:\n  repository: {place}/repository.git\n"
            f"  puppetserver: {{certificate_file: {self.deploy}, key_file: {self.deploy}}}\n"
        )
        os.chown(place / "repository.git", self.number("passwd", "git"), 0)

    def number(self, file: str, name: str) -> int:
        lines = (line.split(":") for line in (self.etc / file).read_text().splitlines())
        return next(int(fields[2]) for fields in lines if fields[0] == name)

    def member(self, group: str, account: str) -> None:
        """Make `account` a member of `group`, as earlier versions did."""
        file = self.etc / "group"
        lines = file.read_text().splitlines()
        joined = [
            f"{line}{'' if line.endswith(':') else ','}{account}" if line.startswith(f"{group}:") else line
            for line in lines
        ]
        file.write_text("\n".join(joined) + "\n")

    def inside(self, *command: str) -> str:
        """Run a program to which these accounts are the machine's."""
        alone = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc")
        words = [*alone, "sh", "-c", INSIDE, "sh", str(self.etc), *command]
        done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read_by(self, *paths: Path) -> dict[str, set[Path]]:
        asked = json.dumps([ACCOUNTS, list(map(str, paths))])
        found: Mapping[str, list[str]] = json.loads(self.inside(sys.executable, "-c", READ, asked))
        return {name: set(map(Path, there)) for name, there in found.items()}

    def doctor(self, *, uid: str = "", beside: str = "") -> list[list[str]]:
        """Return what it finds, as `uid` if that is said, while the program `beside`, which becomes sleep(1), runs."""
        words = (sys.executable, "-c", DOCTOR, str(self.ca.parent), str(self.private.parent), str(self.configuration))
        before = ("sh", "-c", BESIDE, "sh", beside) if beside else ()
        found: list[list[str]] = json.loads(self.inside(*before, *words, *([uid] if uid else [])))
        return found

    def _file(self, path: str, owner: str, group: str, mode: int, *, closed: bool = False) -> Path:
        file = self.place / path
        for above in (*reversed(file.parent.relative_to(self.place).parents), file.parent.relative_to(self.place)):
            self.place.joinpath(above).mkdir(exist_ok=True)
            self.place.joinpath(above).chmod(0o755)
        file.write_text("secret\n")
        file.chmod(mode)
        numbers = self.number("passwd", owner), self.number("group", group)
        os.chown(file, *numbers)
        if closed:
            file.parent.chmod(0o750)
            os.chown(file.parent, *numbers)
        return file


@pytest.fixture
def master() -> Iterator[Master]:
    needs_root()
    with reachable() as place:
        yield Master(place)


def test_each_account_reads_what_it_needs_and_no_key_of_puppetserver(master: Master) -> None:
    m = master
    everything = (m.ca, m.private, m.answers, m.ldap, m.signer, m.writer, m.deploy, m.pusher, m.environment)
    assert m.read_by(*everything) == {
        "puppet": {m.ca, m.private, m.answers, m.ldap, m.signer, m.environment},
        "git": {m.answers, m.ldap, m.deploy, m.pusher, m.environment},
        "puppetmaster": {m.answers, m.ldap, m.environment},
        "puppetmaster-collect": {m.signer, m.environment},
        # It asks LDAP who has a server, with the password that reads.
        "puppetmaster-vendordata": {m.answers, m.ldap, m.environment},
    }
    ((level, found, _),) = m.doctor()
    assert level == "ok" and "git" in found
    assert {level for level, _, _ in m.doctor(uid="65534")} == {"note", "ok"}


def test_doctor_names_who_is_still_in_the_group_that_reads_keys(master: Master) -> None:
    for account in ("git", "puppetmaster"):
        master.member("puppet", account)
    assert {master.ca, master.private} <= master.read_by(master.ca, master.private)["git"]
    faults = {(found, do.partition(",")[0]) for level, found, do in master.doctor() if level == "fault"}
    assert faults == {
        (
            f"{name} is in the group puppet, which reads the authority's key and all private keys",
            f"gpasswd -d {name} puppet",
        )
        for name in ("git", "puppetmaster")
    }


@pytest.mark.parametrize("uid", ["", "65534"])
def test_doctor_names_a_secret_that_others_read(master: Master, uid: str) -> None:
    master.signer.chmod(0o644)
    os.chown(master.writer, 0, master.number("group", "puppetmaster-readers"))
    master.writer.chmod(0o640)
    faults = [found for level, found, _ in master.doctor(uid=uid) if level == "fault"]
    for name, secret in (("git", master.signer), ("puppetmaster", master.signer), ("git", master.writer)):
        assert any(said.startswith(f"{name} can read {secret}, ") for said in faults), (name, faults)
    assert not any(said.startswith("puppetmaster-collect") for said in faults)


def test_doctor_names_a_process_that_has_the_group_still(master: Master) -> None:
    uid, group = master.number("passwd", "git"), master.number("group", "puppet")
    beside = f"setpriv --reuid={uid} --regid={uid} --groups={group} sleep 60"
    (warned,) = [found for level, found, _ in master.doctor(beside=beside) if level == "warning"]
    assert re.fullmatch("process [0-9]+ of git has had the group puppet since it started", warned)
