"""Import, export and shadow on a real slapd: what comes over, what does not, and that twice is once."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from enc import cli
from tests.real.conftest import SlapdMaker
from tests.support.slapd import ADD, Slapd

S = "dc=example,dc=org"
WHY = ("--reason", "for a test")
LDIF = f"""version: 1

dn: {S}
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: ou=red,ou=hosts,{S}
objectClass: organizationalUnit
ou: red

dn: cn=red,ou=projects,{S}
objectClass: groupOfNames
objectClass: puppetClient
cn: red
member: uid=anna, ou=people,{S}
puppetClass: base
entryUUID: 00000000-0000-0000-0000-000000000000

dn: cn=web1.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
puppetClass: apache
puppetVar: a=1
puppetVar: name=web1

dn: cn=bad.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
puppetClass: not a class

dn: cn=two.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
cn: two.example.org
cn: web1.example.org

dn: uid=mallory,ou=people,{S}
objectClass: inetOrgPerson
uid: mallory
sn: m
cn: m

dn: cn=web2.example.org,ou=red,ou=hosts,{S}
objectClass: device
objectClass: puppetClient
environment: dev
"""

Run = Callable[..., tuple[int, str, str]]


def people(slapd: Slapd) -> None:
    for uid in ("anna", "olga"):
        slapd.add(
            f"uid={uid},ou=people,{S}",
            {"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid, "userPassword": f"pw-{uid}"},
        )
    slapd.modify(f"cn=operators,ou=groups,{S}", {"member": [(ADD, [f"uid=olga,ou=people,{S}"])]})


@pytest.fixture
def runner(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[[Slapd], Run]:
    """Makes a function that runs `enc-admin` on a slapd and returns exit status, stdout and stderr."""

    def on(slapd: Slapd) -> Run:
        file = tmp_path / f"{slapd.pid}.yaml"
        file.write_text(slapd.configuration() + f"audit: {{file: {tmp_path}/{slapd.pid}.trail}}\n")

        def run(*words: object) -> tuple[int, str, str]:
            capsys.readouterr()
            status = cli.main(["--config", str(file), *map(str, words)])
            told = capsys.readouterr()
            return status, told.out, told.err

        return run

    return on


@pytest.fixture
def admin(slapd: Slapd, runner: Callable[[Slapd], Run]) -> Run:
    people(slapd)
    return runner(slapd)


@pytest.fixture
def ldif(tmp_path: Path) -> Path:
    file = tmp_path / "site.ldif"
    file.write_text(LDIF)
    return file


def _answers(admin: Run) -> dict[str, dict[str, object]]:
    return {found["certname"]: found for found in json.loads(admin("export", "--format", "json")[1])}


def test_ldif_brings_over_what_is_sound_and_tells_the_rest(admin: Run, ldif: Path) -> None:
    status, out, err = admin("import", "ldif", ldif, *WHY, "--dry-run")
    assert status == 1
    assert "dry run, nothing was written" in err
    assert _answers(admin) == {}
    status, again, err = admin("import", "ldif", ldif, *WHY)
    assert (status, again) == (1, out)
    assert f"{ldif}:28: cn=bad.example.org" in err
    assert "not a class name" in err
    assert f"{ldif}:33: " in err
    assert "web1.example.org is that of" in err
    assert f"uid=mallory,ou=people,{S} is not below" in err
    assert "puppetVar: 'name=web1': Puppet keeps the variable name to itself" in err
    assert "4 added, 0 changed, 0 as they were, 3 skipped, 2 with problems" in err
    found = _answers(admin)
    assert found.keys() == {"web1.example.org", "web2.example.org"}
    assert found["web1.example.org"]["classes"] == {"base": {}, "apache": {}}
    assert found["web2.example.org"]["environment"] == "dev"


def test_a_second_import_does_nothing_and_a_changed_file_changes_what_it_names(admin: Run, ldif: Path) -> None:
    admin("import", "ldif", ldif, *WHY)
    admin("node", "set", "web1.example.org", "--environment", "kept", *WHY)
    assert "0 added, 0 changed, 4 as they were" in admin("import", "ldif", ldif, *WHY)[2]
    ldif.write_text(LDIF.replace("puppetVar: a=1", "puppetVar: a=2"))
    document = json.loads(admin("import", "ldif", ldif, *WHY, "--json")[1])
    assert (document["added"], document["changed"], document["unchanged"]) == (0, 1, 3)
    web1 = _answers(admin)["web1.example.org"]
    assert web1["environment"] == "kept"
    assert web1["parameters"]["a"] == "2"  # type: ignore[index]
    history = admin("node", "history", "web1.example.org")[1]
    assert "import ldif" in history


def test_a_person_imports_only_what_they_may_write(
    admin: Run, ldif: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin("project", "add", "red", "--admin", "anna", *WHY)
    admin("project", "add", "blue", "--admin", "olga", *WHY)
    mine = LDIF.split("\n\n")[4]
    ldif.write_text(f"{mine}\n\n{mine.replace('web1', 'web9').replace('ou=red', 'ou=blue')}\n")
    answer = tmp_path / "password"
    answer.write_text("pw-anna\n")
    monkeypatch.setattr("sys.stdin", answer.open())
    status, _, err = admin("import", "ldif", ldif, *WHY, "--as", "anna")
    assert status == 1
    assert "1 added" in err
    assert _answers(admin).keys() == {"web1.example.org"}


def test_wikimedias_mirror_means_the_same_here(admin: Run, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    for name, text in {
        "red/_.roles": "- role::base\n",
        "red/_.yaml": "who: project\nk: 1\n",
        "red/web.roles": "- role::web\n",
        "red/web1.yaml": "who: web1\n",
        "red/db.roles": "- role::db\n",
        "blue/_.roles": "- role::blue\n- role::9\n",
        "blue/_.yaml": "fine: true\n",
    }.items():
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_text(text)
    status, _, err = admin("import", "wikimedia", mirror, *WHY)
    assert status == 1
    assert "there is no project red" in err
    dry = admin("import", "wikimedia", mirror, "--admin", "anna", *WHY, "--dry-run")
    assert json.loads(admin("project", "list", "--json")[1]) in ([], {"projects": []})
    status, out, err = admin("import", "wikimedia", mirror, "--admin", "anna", *WHY)
    assert dry[0] == status == 1
    assert f"{mirror}/blue/_.roles:2" in err
    assert "+ puppetClass: role::base" in out
    admin("node", "add", "web1.example.org", "--project", "red", *WHY)
    web1 = _answers(admin)["web1.example.org"]
    assert list(web1["classes"]) == ["role::base", "role::web"]  # type: ignore[call-overload]
    assert web1["prefixes"] == ["web", "web1"]
    assert "0 added, 0 changed" in admin("import", "wikimedia", mirror, "--admin", "anna", *WHY)[2]


def test_puppet_conf_becomes_a_configuration_and_a_secret(admin: Run, tmp_path: Path) -> None:
    conf, secret = tmp_path / "puppet.conf", tmp_path / "secret"
    conf.write_text("[master]\nldapbase = ou=hosts,dc=x\nldapuser = cn=a\nldappassword = hidden\nldaptls = true\n")
    status, out, err = admin("import", "puppet-conf", conf, "--password-file", secret)
    assert status == 0
    assert yaml.safe_load(out)["nodes"]["semantics"] == "terminus"
    assert "hidden" not in out + err
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text() == "hidden\n"
    assert admin("import", "puppet-conf", conf, "--password-file", secret)[0] == 0
    secret.write_text("another\n")
    assert admin("import", "puppet-conf", conf, "--password-file", secret)[0] == 2
    assert secret.read_text() == "another\n"


def test_exported_entries_make_the_same_site_elsewhere(
    admin: Run, ldif: Path, make_slapd: SlapdMaker, runner: Callable[[Slapd], Run], tmp_path: Path
) -> None:
    admin("import", "ldif", ldif, *WHY)
    admin("project", "add", "red", "--admin", "anna", *WHY)
    data = ["--data", 'k={"ü":[1,"x  y"]}', "--parameter", "apache::p=null"]
    admin("node", "set", "web1.example.org", "--json-variable", 'v=" lead"', *data, *WHY)
    admin("project", "set", "red", "--prefix", "web", "--class", "webs", *WHY)
    exported = tmp_path / "export.ldif"
    exported.write_text(admin("export", "--format", "ldif")[1])
    elsewhere = make_slapd()
    people(elsewhere)
    there = runner(elsewhere)
    status, _, err = there("import", "ldif", exported, *WHY)
    assert status == 0, err
    here, copied = _answers(admin), _answers(there)
    assert len(here) == 2
    assert "anna" in there("project", "member", "list", "red")[1]
    for found in (*here.values(), *copied.values()):
        del found["version"]
    assert copied == here


def test_shadow_runs_another_enc_for_every_node(admin: Run, ldif: Path, tmp_path: Path) -> None:
    admin("import", "ldif", ldif, *WHY)
    answers = tmp_path / "answers"
    assert admin("export", "--to", answers)[0] == 0
    other = tmp_path / "other-enc"
    other.write_text(f"#!/bin/sh\nexec cat {answers}/$1.yaml\n")
    other.chmod(0o755)
    assert admin("shadow", "--with", other)[0] == 0
    file = answers / "web1.example.org.yaml"
    file.write_text(file.read_text().replace('"a": "1"', '"a": 1'))
    status, out, err = admin("shadow", "--with", other, "--jobs", 2)
    assert (status, out) == (1, 'web1.example.org: variable a: ours "1", theirs 1\n')
    assert "2 nodes compared, 1 different" in err
    (answers / "web2.example.org.yaml").unlink()
    document = json.loads(admin("shadow", "--with", other, "--node", "web2.example.org", "--json")[1])
    assert document["different"][0]["differences"][0].startswith("theirs fails: exit status 1")
