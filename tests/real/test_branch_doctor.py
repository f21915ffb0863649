"""`branch-manager doctor` on a real site: silent when it is sound, and right about what was broken."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.terms.names import EnvironmentName
from git_hooks.deploy.records import Records
from git_hooks.push.service import socket_path
from git_hooks.store.layout import Layout
from git_hooks.store.locks import locked
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.bare import git
from tests.support.slapd import Slapd
from tests.support.transports import Managed, S, people


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    people(made)
    return made


NO_UNITS = "units"
"""A note: whatever runs here is not a unit of this machine's (test_units.py has those)."""


class Site(Managed):
    """A managed repository whose environments a puppetserver reads, which is configured and not started."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        super().__init__(base, slapd)
        server = {"versioned_environment_dirs": "true", "environment_timeout": "0"}
        self.master = PrivateMaster(base / "master", MasterSettings(server=server))
        self.master.write()
        shutil.rmtree(self.master.environments)
        self.change(environments=str(self.master.environments))
        assert self.branch_manager("init").returncode == 0
        assert self.branch_manager("deploy").returncode == 0

    def change(self, **branches: object) -> None:
        document = yaml.safe_load(self.configuration.read_text())
        document["branches"] |= branches
        self.configuration.write_text(yaml.safe_dump(document))

    def doctor(self) -> dict[str, str]:
        """Check → the last level, of what is no `ok`."""
        base = self.master.base
        places = ("--puppet-confdir", str(base / "puppet"), "--puppetserver-conf", str(base / "server/conf.d"))
        done = self.branch_manager("doctor", "--user", pwd.getpwuid(os.geteuid()).pw_name, *places, "--json")
        assert done.returncode in (0, 4), done.stderr
        document: dict[str, Any] = json_contract.held("branch-manager", ["doctor"], done.stdout)
        assert document["sound"] == (done.returncode == 0)
        return {
            one["id"]: one["level"] for one in document["findings"] if one["level"] != "ok" and one["id"] != NO_UNITS
        }


@pytest.fixture
def site(slapd: Slapd, tmp_path: Path) -> Site:
    return Site(tmp_path / "site", slapd)


QUIET = {
    **dict.fromkeys(("puppet-static-catalogs", "puppetserver-flush", "puppetserver-catalogs", "members-code"), "note"),
}
"""What this site does not have, and says so."""


def test_a_sound_site_needs_nothing(site: Site) -> None:
    path = socket_path(site.settings.branches.store)
    path.parent.mkdir()
    with locked(f"{path}.lock"):
        assert site.doctor() == QUIET
    assert site.doctor() == {**QUIET, "service": "warning"}


def test_what_was_broken_is_named(site: Site, slapd: Slapd) -> None:
    hook = site.bare.path / "hooks/pre-receive"
    hook.chmod(0o644)
    site.bare.commit("test", {"manifests": {"site.pp": "# not deployed\n"}}, parent=site.tip("test"))
    Records(str(site.settings.branches.store)).owe_flush(EnvironmentName("project_red"))
    site.settings.branches.store.chmod(0o777)
    site.settings.branches.transport.tokens.mkdir(exist_ok=True)
    site.settings.branches.transport.tokens.chmod(0o770)
    entry = {"objectClass": "groupOfNames", "cn": "blue", "member": f"uid=alice,ou=people,{S}"}
    slapd.add(f"cn=blue,ou=projects,{S}", entry)
    try:
        found = site.doctor()
    finally:
        slapd.delete(f"cn=blue,ou=projects,{S}")
    expected = {"hooks", "environments", "flushes", "store-owner", "tokens"}
    assert {check for check, level in found.items() if level == "fault"} == expected
    assert found["project-branches"] == "warning"


def test_environments_that_are_not_ours_or_wanted_twice(site: Site) -> None:
    live = Path(Layout("", str(site.master.environments)).live(EnvironmentName("test")))
    live.unlink()
    live.mkdir()
    (live / "theirs").touch()
    git(site.bare.path, "update-ref", "refs/heads/project/a-b", site.tip("test") or "")
    git(site.bare.path, "update-ref", "refs/heads/project/a_b", site.tip("test") or "")
    done = site.branch_manager("doctor").stdout
    assert "test is not ours" in done and "move " in done
    assert "several branches would become project_a_b" in done


def test_who_cannot_be_asked_is_named(site: Site) -> None:
    site.change(
        puppetserver={"urls": ["https://127.0.0.1:1"]},
        mirror={"forge": "gerrit", "url": f"https://127.0.0.1:1{site.base}/no.git", "secret_file": "/no/secret"},
        store=str(site.base / ("s" * 100)),
        ruby="/bin/false",
    )
    found = site.doctor()
    assert found["syntax"] == "warning"
    assert found["puppetserver-flush"] == found["mirror-url"] == found["mirror-secret"] == "fault"
    assert found["service-socket"] == "warning"


def test_without_ldap_nobody_pushes(site: Site) -> None:
    document = yaml.safe_load(site.configuration.read_text())
    document["directory"]["uris"] = ["ldap://127.0.0.1:1"]
    site.configuration.write_text(yaml.safe_dump(document))
    assert site.doctor()["project-branches"] == "fault"
