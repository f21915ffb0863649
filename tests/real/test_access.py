"""Members of a project log in to its instance and its admins become root, by LDAP: Debian 12 with sssd, sshd and sudo.

One machine, from before the class to after it, in the order of the tests. docs/access.md says what is shown here.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.access_site import AccessSite, S, access_site
from tests.support.applied import apply, example, kill_apply
from tests.support.machine_look import REMEMBERED, differing, look
from tests.support.machines import needs_root
from tests.support.self_master_site import done

CACHE = 2
DATA: dict[str, object] = example("access.md", 0) | {
    "puppetmaster::access::ca_file": "/etc/ssl/ldap-ca.pem",
    "puppetmaster::access::cache_seconds": CACHE,
}
PRESENT = "include puppetmaster::access"
ABSENT = "class { 'puppetmaster::access': ensure => absent }"
KILLED = ("[ -e /var/lib/dpkg/info/sssd-common.list ]", "[ -e /etc/ssh/sshd_config.d/00-puppetmaster-access.conf ]")
KILLED_ABSENT = ("[ ! -e /usr/sbin/sssd ]",)
"""When runs are killed: packages are half there, keys are asked for and nobody has sudo; packages are half gone.

ACCESS_KILLED=all has them killed at each step.
"""
if os.environ.get("ACCESS_KILLED") == "all":
    _BEFORE = "/var/lib/puppetmaster/before/access"
    KILLED = (
        *(f"[ -e {_BEFORE} ]", f"[ -e {_BEFORE}/packages.new ] || [ -e {_BEFORE}/packages ]", KILLED[0]),
        *("[ -e /etc/sssd/sssd.conf ]", f"[ -e {_BEFORE}/sssd ]", "grep -q sss /etc/nsswitch.conf"),
        *("[ -e /usr/local/sbin/puppetmaster-access-keys ]", KILLED[1], f"[ -e {_BEFORE}/sshd ]"),
    )
    KILLED_ABSENT = (
        *("[ ! -e /etc/ssh/sshd_config.d/00-puppetmaster-access.conf ]", "[ ! -e /etc/sudoers.d/puppetmaster-access ]"),
        *("[ ! -e /etc/sssd/conf.d/puppetmaster-local.conf ]", KILLED_ABSENT[0], "[ ! -e /var/lib/sss ]"),
    )
BECOME = "sudo -n id -un"
WITHOUT = (*REMEMBERED, "/var/lib/puppet/", "/etc/puppet/devices")
"""What Puppet makes for itself."""
OTTO = f"dn: uid=otto,ou=people,{S}\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: {{key}}\n"
FAILED_UNITS = ("systemctl", "--failed", "--no-legend")
NOTED: dict[str, dict[str, str]] = {}
FAILED: list[str] = []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessSite]:
    needs_root()
    with access_site(tmp_path_factory.mktemp("access"), DATA) as site:
        NOTED["before"] = look(site.machine, WITHOUT)
        FAILED.append(done(site.machine, *FAILED_UNITS))
        for when in KILLED:
            kill_apply(site.machine, PRESENT, when)
        apply(site.machine, PRESENT, good=(2,))
        yield site


def test_it_is_there_once(site: AccessSite) -> None:
    apply(site.machine, PRESENT, good=(0,))
    assert [done(site.machine, *FAILED_UNITS)] == FAILED
    # The password of LDAP's account is in it.
    mode = done(site.machine, "stat", "-c", "%a %U %G", "/etc/sssd/sssd.conf").strip()
    assert mode in ("600 root root", "640 root root")


def test_members_come_in_and_admins_become_root(site: AccessSite) -> None:
    said = done(site.machine, "id", "mia")
    red = done(site.machine, "getent", "group", "red").split(":")[2]
    assert re.fullmatch(rf"uid=(2\d{{4}})\(mia\) gid=\1 groups=\1,{red}\(red\)\n", said), said
    # Not `debian`, which is a local account here: neither gets what the other has. Nor zoe, whose number is root's.
    assert set(members(site, "red")) == {"anna", "mia", "lena", "ines", "tess"}
    assert members(site, "projectadmin") == ["anna"]
    assert site.ssh("anna", f"pwd; {BECOME}") == (0, "/home/anna\nroot\n")
    # A member, and one by an inner project
    for person in ("mia", "ines", "tess"):
        assert site.ssh(person, "id -un") == (0, f"{person}\n")
        assert refused_sudo(site, person), person


def test_others_do_not(site: AccessSite) -> None:
    # Another project's admin; whoever has a local account's name in LDAP; whoever has root's number there
    for person in ("otto", "debian", "zoe"):
        status, said = site.ssh(person, "id")
        assert (status, "Permission denied" in said) == (255, True), (person, said)
    # mia's other projects are called as Debian's group of sudoers, and have its number.
    assert "sudo" not in done(site.machine, "id", "mia")
    assert done(site.machine, "getent", "group", "sudo").split(":")[2] == "27"
    asked = "sudo -u mia sudo -n -l 2>&1"
    assert "(ALL" not in site.machine.run("sh", "-c", asked).stdout


def test_who_is_taken_out_is_refused_within_the_caches_time(site: AccessSite) -> None:
    with_sudo = f"{BECOME} && while {BECOME}; do sleep 0.5; done 2>/dev/null; echo taken"
    session = subprocess.Popen(site.ssh_command("anna", with_sudo), stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None and session.stdout.readline() == "root\n"
    site.enc_admin("project", "member", "remove", "red", "anna", "--admin")
    site.enc_admin("project", "member", "remove", "red", "mia")
    site.enc_admin("project", "member", "add", "inner", "otto")
    site.enc_admin("project", "member", "remove", "inner", "ines")
    within(lambda: site.ssh("mia", "id")[0] == 255)
    within(lambda: site.ssh("ines", "id")[0] == 255)
    # The session that was open gives no more, either; and who came into the inner project comes in.
    assert session.communicate(timeout=120)[0].splitlines()[-1] == "taken"
    within(lambda: site.ssh("otto", "id")[0] == 0)
    assert refused_sudo(site, "otto")
    # What limits a key in LDAP limits it here.
    key = site.key("otto")
    site.ldif(OTTO.format(key=f'command="echo limited" {key}'))
    within(lambda: site.ssh("otto", "id") == (0, "limited\n"))
    site.ldif(OTTO.format(key=f'from="192.0.2.1" {key}'))
    within(lambda: site.ssh("otto", "id")[0] == 255)
    site.ldif(OTTO.format(key=key))
    within(lambda: site.ssh("otto", "id")[0] == 0)
    # A key that LDAP has no more is none, wherever else it is.
    put = "mkdir -p .ssh && cat >.ssh/authorized_keys"
    assert site.ssh("otto", f"echo '{key}' | ({put})") == (0, "")
    site.ldif(f"dn: uid=otto,ou=people,{S}\nchangetype: modify\ndelete: sshPublicKey\n")
    within(lambda: site.ssh("otto", "id")[0] == 255)
    assert refused_sudo(site, "anna")
    site.enc_admin("project", "member", "add", "red", "anna", "--admin")
    within(lambda: site.ssh("anna", BECOME)[1] == "root\n")


@pytest.mark.parametrize("away", ["speaks with another authority's certificate", "is away"])
def test_without_ldap_who_was_there_before_comes_in_and_others_do_not(site: AccessSite, away: str) -> None:
    file = "/etc/ssl/ldap-ca.pem"
    if away == "is away":
        site.stop()
    else:
        done(site.machine, "sh", "-c", f"mv {file} {file}.own && cp /etc/ssl/certs/ca-certificates.crt {file}")
        done(site.machine, "systemctl", "restart", "sssd")
    time.sleep(CACHE + 1)
    assert site.ssh("anna", BECOME) == (0, "root\n")
    assert site.ssh("lena", "id")[0] == 255
    if away == "is away":
        # Not for ever
        done(site.machine, "touch", "-d", "4 days ago", "/var/lib/sss/db/timestamps_red.ldb")
        assert site.ssh("anna", "id")[0] == 255
        assert "LDAP has not answered" in done(site.machine, "journalctl", "-q", "-t", "puppetmaster-access")
        site.start()
        within(lambda: site.ssh("lena", "id -un") == (0, "lena\n"))
    else:
        done(site.machine, "mv", f"{file}.own", file)
        done(site.machine, "systemctl", "restart", "sssd")


def test_absent_leaves_it_as_before(site: AccessSite) -> None:
    for when in KILLED_ABSENT:
        kill_apply(site.machine, ABSENT, when)
    apply(site.machine, ABSENT, good=(2,))
    assert differing(NOTED["before"], look(site.machine, WITHOUT)) == {}
    assert site.ssh("anna", "id")[0] == 255
    assert site.machine.run("id", "anna").returncode == 1
    done(site.machine, "sh", "-c", "sshd -t && visudo -cq && systemctl is-active ssh")
    apply(site.machine, ABSENT, good=(0,))


def members(site: AccessSite, group: str) -> list[str]:
    return done(site.machine, "getent", "group", group).strip().rpartition(":")[2].split(",")


def refused_sudo(site: AccessSite, person: str) -> bool:
    """Tell whether somebody who may log in may not become root."""
    status, said = site.ssh(person, BECOME)
    return status not in (0, 255) and "root" not in said


def within(true: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.5)
