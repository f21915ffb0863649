"""doctor and config check on a real site: silent when it is sound, and right about what was broken."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.answers.layout import Layout
from enc.doctor import directory
from enc.doctor.directory import SLOW_CONNECT, SLOW_LOOK_UP
from enc.settings import config
from enc.terms.names import EnvironmentName
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings, exec_terminus
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.reachable import reachable
from tests.support.slapd import ADD, DELETE, Slapd
from tests.support.sluggish import Sluggish

SCRIPTS = Path(sysconfig.get_path("scripts"))
USER = "puppet" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
"""Only root can look with another's eyes."""
S = "dc=example,dc=org"
NODE = {"objectClass": ["device", "puppetClient"]}

NO_UNITS = "units"
"""A note: whatever runs here is not a unit of this machine's (test_units.py has those)."""


class Site:
    """slapd, a follower, and a puppetserver that is configured and not started."""

    def __init__(self, base: Path, slapd: Slapd) -> None:
        self.base, self.slapd = base, slapd
        self.config = base / "config.yaml"
        self.answers = base / "answers"
        self.document: dict[str, Any] = yaml.safe_load(slapd.configuration())
        shutil.copy(self.document["directory"]["bind_password_file"], base / "secret")
        self.document["directory"]["bind_password_file"] = str(base / "secret")
        self.document |= {"answers": {"directory": str(self.answers)}, "audit": {"file": str(base / "trail")}}
        self.write()
        shutil.copy(self.document["signing"]["bind_password_file"], base / "signer-secret")
        self.document["signing"] |= {
            "bind_password_file": str(base / "signer-secret"),
            "journal": str(base / "signing/journal.jsonl"),
            "timeout": "30s",
        }
        self.document["instances"] = {"reserved": ["puppet.example.org"], "reserved_project": "ops"}
        (base / "signing").mkdir()
        self.write()
        for name in ("enc", "enc-trusted", "enc-autosign"):  # where the user may run it, wherever the checkout is
            shutil.copy(SCRIPTS / name, base / name)
        terminus = exec_terminus(base / "enc", "--config", str(self.config), trusted=base / "enc-trusted")
        terminus["reports"] = "puppetmaster, store"
        self.master = PrivateMaster(base / "master", MasterSettings(server=terminus, autosign=base / "enc-autosign"))
        self.master.write()
        self.master.add_environment(
            EnvironmentName("production"), {"modules/web/manifests/init.pp": "class web { }", "manifests/site.pp": ""}
        )
        self.follower: subprocess.Popen[str] | None = None
        if os.geteuid() == 0:
            self.answers.mkdir(mode=0o750)
            shutil.chown(self.answers, group=USER)
            shutil.chown(base / "secret", group=USER)
            shutil.chown(base / "signer-secret", group=USER)
            (base / "signer-secret").chmod(0o640)
            shutil.chown(base / "signing", USER)
            (base / "secret").chmod(0o640)

    def write(self) -> None:
        self.config.write_text(yaml.safe_dump(self.document))

    def follow(self) -> None:
        self.follower = subprocess.Popen(
            [SCRIPTS / "enc-admin", "--config", self.config, "follow"], stderr=subprocess.DEVNULL, text=True
        )
        deadline = time.monotonic() + 60
        while not (self.answers / "contact").exists() or self.look("status").returncode:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop_following(self) -> None:
        if self.follower:
            self.follower.terminate()
            assert self.follower.wait(60) == 0
            self.follower = None

    def look(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [SCRIPTS / "enc-admin", "--config", self.config, *words]
        return subprocess.run(command, capture_output=True, text=True)

    def bad(self, *words: str) -> dict[str, str]:
        """Check → level, of what is no `ok`."""
        done = self.look(*words, "--json")
        assert done.returncode in (0, 4), done.stderr
        document = json_contract.held("enc-admin", words, done.stdout)
        assert document["sound"] == (done.returncode == 0)
        return {
            one["id"]: one["level"] for one in document["findings"] if one["level"] != "ok" and one["id"] != NO_UNITS
        }

    def doctor(self) -> dict[str, str]:
        return self.bad("doctor", "--user", USER, "--puppet-confdir", str(self.master.base / "puppet"))


@pytest.fixture(scope="module")
def site(make_module_slapd: SlapdMaker) -> Iterator[Site]:
    slapd = make_module_slapd()
    slapd.add(f"ou=alpha,ou=hosts,{S}", {"objectClass": "organizationalUnit"})
    slapd.add(f"cn=alpha,ou=projects,{S}", {"objectClass": "groupOfNames", "member": f"cn=manager,{S}"})
    slapd.add(f"cn=web-1.example.org,ou=alpha,ou=hosts,{S}", {**NODE, "puppetClass": "web"})
    slapd.add(
        f"cn=web-2.example.org,ou=alpha,ou=hosts,{S}",
        {
            "objectClass": [*NODE["objectClass"], "puppetmasterClassification"],
            "puppetmasterEnrolment": "closed since 1",
        },
    )
    with reachable() as base:
        made = Site(base, slapd)
        made.follow()
        yield made
        made.stop_following()


def test_a_sound_site_needs_nothing(site: Site) -> None:
    assert site.doctor() == {}
    assert site.bad("config", "check") == {}


@pytest.mark.parametrize(
    ("attribute", "value", "wrong"),
    [
        ("puppetVar", "name=x", {"variables": "warning"}),
        ("title", "shelf", {"variables": "note"}),
        ("puppetVar", "fqdn=web-1.example.org", {"variables": "warning"}),
        ("serialNumber", "1234", {"variables": "note"}),
        ("environment", "agent", {"environments": "warning"}),
        ("environment", "not_pushed_yet", {"environments": "warning"}),
        ("puppetClass", "not::pushed", {"classes": "warning"}),
    ],
)
def test_what_surprises_puppet_is_told(site: Site, attribute: str, value: str, wrong: dict[str, str]) -> None:
    place = f"cn=web-1.example.org,ou=alpha,ou=hosts,{S}"
    added = {"objectClass": (ADD, ["extensibleObject"])} if attribute == "title" else {}
    site.slapd.modify(place, {attribute: [(ADD, [value])], **{name: [change] for name, change in added.items()}})
    try:
        assert site.doctor() == wrong
        # Nothing of it is the end of the node.
        assert site.look("node", "explain", "web-1.example.org").returncode == 0
    finally:
        site.slapd.modify(place, {attribute: [(DELETE, [value])]})
        if added:
            site.slapd.modify(place, {"objectClass": [(DELETE, ["extensibleObject"])]})


def test_answers_and_secrets_that_puppetserver_cannot_read(site: Site) -> None:
    contact, secret = Layout(site.answers).contact, site.base / "secret"
    site.stop_following()  # it would write contact anew
    try:
        contact.chmod(0o000)
        secret.chmod(0o600 if os.geteuid() == 0 else 0o000)
        found = site.doctor()
    finally:
        contact.chmod(0o644)
        secret.chmod(0o640)
        site.follow()
    assert found["account"] == "fault"
    assert found["follower"] in ("fault", "note")
    assert found["account-secret" if os.geteuid() == 0 else "config-secret"] in ("warning", "fault")


def test_what_keeps_requests_from_being_signed(site: Site) -> None:
    program, secret, signing = site.base / "enc-autosign", site.base / "signer-secret", site.base / "signing"
    before = dict(site.document["signing"])
    try:
        program.chmod(0o644)
        signing.chmod(0o500)
        if os.geteuid() == 0:
            shutil.chown(signing, "root")
            secret.chmod(0o600)
        found = site.doctor()
        assert (found["signing-autosign"], found["signing-journal"]) == ("fault", "fault")
        assert found.get("signing-account") == ("fault" if os.geteuid() == 0 else None)
        assert "signing-names" not in found
        secret.chmod(0o640)
        # The reader signs in as well, and may note nothing.
        reader = site.document["directory"]
        site.document["signing"] |= {name: reader[name] for name in ("bind_dn", "bind_password_file")}
        site.write()
        del site.document["instances"]
        site.write()
        found = site.doctor()
        assert (found["signing-account"], found["signing-names"]) == ("fault", "fault")
        assert found["signing-servers"] == "note"
    finally:
        site.document["signing"] = before
        site.document["instances"] = {"reserved": ["puppet.example.org"], "reserved_project": "ops"}
        site.write()
        program.chmod(0o755)
        signing.chmod(0o700)
        secret.chmod(0o640)
        if os.geteuid() == 0:
            shutil.chown(signing, USER)
    site.stop_following()
    site.follow()
    assert [name for name in site.doctor() if name.startswith("signing")] == []


def test_what_anybody_could_read_or_write(site: Site) -> None:
    secret, nodes = site.base / "secret", Layout(site.answers).nodes
    try:
        secret.chmod(0o644)
        site.config.chmod(0o664)  # for all, root does not even read it
        nodes.chmod(0o777)
        found = site.bad("config", "check")
    finally:
        secret.chmod(0o640)
        site.config.chmod(0o644)
        nodes.chmod(0o755)
    expected = {"config-secret": "fault", "config-file": "fault", "answers-directory": "fault"}
    assert {check: found.get(check) for check in expected} == expected


def test_a_link_that_leads_elsewhere_and_a_configuration_that_changed(site: Site) -> None:
    link = site.base / "config.yaml.answers"
    right = link.readlink()
    try:
        link.unlink()
        link.symlink_to("/elsewhere")
        site.config.touch()
        found = site.doctor()
    finally:
        assert site.look("config", "link").returncode == 0
    assert link.readlink() == right
    assert (found["config-link"], found["follower-config"]) == ("fault", "warning")


def test_a_bad_entry_and_an_account_with_limits(site: Site) -> None:
    person = f"uid=eve,ou=people,{S}"
    site.slapd.add(person, {"objectClass": "inetOrgPerson", "uid": "eve", "cn": "e", "sn": "e", "userPassword": "eve"})
    site.slapd.load_ldif(
        "\n\n".join(
            f"dn: cn=n{number},ou=alpha,ou=hosts,{S}\nobjectClass: device\nobjectClass: puppetClient"
            for number in range(505)
        )
    )
    site.slapd.add(f"cn=bad.example.org,ou=alpha,ou=hosts,{S}", {**NODE, "parentNode": "nowhere"})
    directory = site.document["directory"]
    before = dict(directory)
    (site.base / "eve").write_text("eve")
    (site.base / "eve").chmod(0o600)
    deadline = time.monotonic() + 60
    while "bad.example.org" not in site.look("status").stdout:
        assert time.monotonic() < deadline
    try:
        directory |= {"bind_dn": person, "bind_password_file": str(site.base / "eve")}
        site.write()
        found = site.doctor()
    finally:
        directory |= before
        site.write()
    assert (found["ldap-limits"], found["entries"]) == ("fault", "warning")


def test_a_directory_that_is_away(site: Site) -> None:
    site.slapd.stop()
    try:
        found = site.doctor()
    finally:
        site.slapd.start()
    assert found["ldap-connect"] == "fault"
    assert "enc" not in found  # answers go on


@pytest.mark.parametrize(("times", "told"), [(2, set()), (99, {"ldap-connect", "ldap-indexes"})])
def test_a_server_is_slow_that_is_slow_again(site: Site, tmp_path: Path, times: int, told: set[str]) -> None:
    """Once it may be the machine, which has other things to do for a moment."""
    socket = site.slapd.directory.home.socket_path
    between = Sluggish(tmp_path / "between", socket, times=times, connect=1.2 * SLOW_CONNECT, ask=3 * SLOW_LOOK_UP)
    settings = config.load(site.config)
    settings = replace(settings, directory=replace(settings.directory, uris=(between.uri,)))
    found = [*directory.check(settings), *directory.check_service(settings)]
    between.close()
    slow = {one.id for one in found if one.id in ("ldap-connect", "ldap-indexes") and one.level != "ok"}
    assert slow == told, found


def test_a_base_that_does_not_exist_is_named(site: Site) -> None:
    site.document["nodes"] = {"base": f"ou=gone,{S}"}
    site.write()
    try:
        done = site.look("config", "check")
    finally:
        del site.document["nodes"]
        site.write()
    assert done.returncode == 4
    assert f"nodes.base: there is no entry ou=gone,{S}" in done.stdout


def test_an_attribute_without_index_is_seen_in_the_servers_configuration(site: Site) -> None:
    site.document["nodes"] = {"filter": "(&(objectClass=puppetClient)(|(cn=%s)(l=%s)))"}
    site.write()
    try:
        done = site.look("doctor", "--puppet-confdir", str(site.master.base / "puppet"))
    finally:
        del site.document["nodes"]
        site.write()
    assert "l has no equality index" in done.stdout
    assert "cn has no" not in done.stdout


def test_the_schema_is_there_and_installing_it_again_changes_nothing(site: Site) -> None:
    def document(*words: str) -> Any:
        return json_contract.held("enc-admin", words, site.look(*words, "--json").stdout)

    assert site.look("schema", "check").stdout == "nothing is missing\n"
    assert document("schema", "check") == {"schemas": [], "clashes": []}
    for option, dry in ((("--dry-run",), True), ((), False)):
        assert document("schema", "install", "--uri", site.slapd.ldapi_uri, *option)["dry_run"] == dry
    assert site.look("schema", "install", "--uri", site.slapd.ldapi_uri).stdout == "nothing is missing\n"


def test_the_embedded_directorys_life_by_its_commands(tmp_path: Path) -> None:
    def directory(*words: str) -> subprocess.CompletedProcess[str]:
        command = [SCRIPTS / "enc-admin", "directory", "--data-directory", tmp_path / "d", *words]
        return subprocess.run(command, capture_output=True, text=True)

    def document(*words: str, status: int = 0) -> Any:
        done = directory(*words, "--json")
        assert done.returncode == status, done.stderr
        return json_contract.held("enc-admin", ["directory", *words], done.stdout)

    backup = str(tmp_path / "backup.ldif")
    assert directory("status").returncode == 4
    started = document("start", "--suffix", "o=small")
    try:
        assert started["suffix"] == "o=small"
        assert document("backup", backup)["bytes"] == Path(backup).stat().st_size
        assert document("restore", backup, status=2)["error"]["where"] == str(tmp_path / "d")  # it runs
    finally:
        assert document("stop") == {"data_directory": str(tmp_path / "d")}
    assert document("restore", backup)["file"] == backup
    assert document("status", status=4)["answering"] is False
