"""A whole instance becomes its own master and goes back: real systemd, packages, puppetserver, agent, LDAP and git."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.machines import Machine, needs_root
from tests.support.puppetserver import MakeMaster
from tests.support.self_master_site import NAME, SELF, Site, agent, done, self_master_site

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make_master: MakeMaster) -> Iterator[Site]:
    needs_root()
    with self_master_site(tmp_path_factory.mktemp("site"), make_master) as site:
        yield site


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


def test_an_instance_serves_itself_and_goes_back(site: Site) -> None:
    machine = site.instance(NAME)
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
