"""Our schemas load into servers that are not ours: as files, and into a running cn=config."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ldap3 import NONE, SASL, Connection, Server

from enc import cli
from enc.directory import slapd_process
from enc.directory.edits import DirectoryEditor
from enc.directory.schema import install
from enc.directory.schema.compare import Missing
from enc.directory.schema.definitions import SCHEMAS
from enc.directory.schema.render import render
from enc.settings import DirectorySettings, Settings
from enc.terms.errors import DirectoryRefused
from tests.support import json_contract

EXTERNAL = f"gidNumber={os.getegid()}+uidNumber={os.geteuid()},cn=peercred,cn=external,cn=auth"


def test_the_ldif_files_load_into_cn_config(tmp_path: Path) -> None:
    system = slapd_process.schema_directory()
    ldif = tmp_path / "config.ldif"
    ldif.write_text(
        "dn: cn=config\nobjectClass: olcGlobal\ncn: config\n\n"
        "dn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n"
        + "".join(f"include: file://{system}/{name}.ldif\n\n" for name in ("core", "cosine"))
        + "\n".join(render(schema, "ldif") for schema in SCHEMAS)
    )
    (tmp_path / "slapd.d").mkdir()
    slapd_process.run_offline(
        "slapadd", ["-n0", "-F", tmp_path / "slapd.d", "-l", ldif], what="our schema does not load"
    )
    loaded = {path.name.split("}")[1] for path in (tmp_path / "slapd.d/cn=config/cn=schema").iterdir()}
    assert loaded >= {f"{schema.name}.ldif" for schema in SCHEMAS}


def test_the_conf_files_load_into_slapd_conf(tmp_path: Path) -> None:
    system = slapd_process.schema_directory()
    ours = install.write_files(tmp_path / "schema")
    conf = tmp_path / "slapd.conf"
    conf.write_text("".join(f"include {path}\n" for path in (system / "core.schema", *ours)))
    slapd_process.run_offline("slaptest", ["-u", "-f", conf], what="our schema does not load")


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Connection]:
    """A running slapd with the core schema only, whose cn=config we may write."""
    conf, socket = tmp_path / "slapd.conf", tmp_path / "ldapi"
    place, modules = slapd_process.modules(("back_mdb",))
    (tmp_path / "db").mkdir()
    conf.write_text(
        (f"modulepath {place}\n" if place else "")
        + "".join(f"moduleload {name}\n" for name in modules)
        + f"include {slapd_process.schema_directory()}/core.schema\n"
        f'database config\naccess to * by dn.exact="{EXTERNAL}" manage\n'
        f'database mdb\nsuffix "dc=x"\nrootdn "{EXTERNAL}"\ndirectory "{tmp_path}/db"\n'
    )
    uri = f"ldapi://{quote(str(socket), safe='')}"
    with (tmp_path / "log").open("wb") as log:
        slapd = subprocess.Popen([slapd_process.program("slapd"), "-d", "none", "-f", conf, "-h", uri], stderr=log)
    try:
        started = slapd_process.Started(slapd, slapd)
        slapd_process.wait_until_it_answers(started, socket, timeout=60, log=tmp_path / "log", log_start=0)
        server = Server(uri, get_info=NONE)
        with Connection(server, authentication=SASL, sasl_mechanism="EXTERNAL", sasl_credentials="") as connection:
            yield connection
    finally:
        slapd.terminate()
        slapd.wait(60)


NIS_GROUP = (
    "( 1.3.6.1.1.1.2.2 NAME 'posixGroup' DESC 'Abstraction of a group of accounts' SUP top STRUCTURAL "
    "MUST ( cn $ gidNumber ) MAY ( userPassword $ memberUid $ description ) )"
)
"""As OpenLDAP's nis.schema has it, which Debian's slapd loads."""


def _configure(config: Path, uri: str) -> None:
    more = f"people: {{filter: '(uid=%s)'}}\naudit: {{file: {config.parent}/trail.jsonl}}\n"
    config.write_text(f"directory: {{uris: ['{uri}'], suffix: dc=x}}\n{more}")


def _admin(tmp_path: Path, uri: str, *words: str) -> tuple[int, dict[str, Any]]:
    config = tmp_path / "config.yaml"
    _configure(config, uri)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = cli.main(["--config", str(config), "schema", *words, "--json"])
    json_contract.watch("enc-admin", ("schema", *words, "--json"), out.getvalue())
    return status, json.loads(out.getvalue())


def _project(tmp_path: Path, status: int, *words: str) -> str:
    """Run `enc-admin project …`; return what it says."""
    config = tmp_path / "config.yaml"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        found = cli.main(["--config", str(config), "project", *words, "--reason", "for a test"])
    assert found == status, err.getvalue()
    return err.getvalue()


def test_rfc_2307s_groups_are_told_left_alone_and_changed_if_somebody_says_so(
    foreign: Connection, tmp_path: Path
) -> None:
    uri = f"ldapi://{quote(str(tmp_path / 'ldapi'), safe='')}"
    uid = "( 1.3.6.1.1.1.1.12 NAME 'memberUid' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )"
    attributes = {"cn": "nis", "olcAttributeTypes": uid, "olcObjectClasses": NIS_GROUP}
    foreign.add("cn=nis,cn=schema,cn=config", ["olcSchemaConfig"], attributes)
    assert foreign.result["result"] == 0
    status, told = _admin(tmp_path, uri, "install", "--uri", uri)
    clash = {"schema": "rfc2307bis", "name": "posixGroup", "found": "STRUCTURAL", "needed": "AUXILIARY"}
    assert (status, told["clashes"]) == (0, [clash])
    assert "posixAccount" in {name for item in told["schemas"] for name in item["names"]}
    assert _admin(tmp_path, uri, "check") == (4, {"schemas": [], "clashes": [clash]})

    project = {"cn": "red", "member": "cn=red,dc=x", "gidNumber": "50000"}
    foreign.add("dc=x", ["dcObject", "organization"], {"dc": "x", "o": "x"})
    foreign.add("cn=old,dc=x", ["posixGroup"], {"cn": "old", "gidNumber": "1"})
    assert foreign.result["result"] == 0
    assert _admin(tmp_path, uri, "install", "--uri", uri, "--auxiliary-groups")[0] == 1
    assert _admin(tmp_path, uri, "check")[0] == 4
    foreign.delete("cn=old,dc=x")
    foreign.add("cn=red,dc=x", ["groupOfNames", "posixGroup"], project)
    assert foreign.result["result"] != 0
    # Projects are made all the same, without a number.
    for unit in ("projects", "hosts", "people", "numbers"):
        foreign.add(f"ou={unit},dc=x", ["organizationalUnit"], {"ou": unit})
    foreign.add("ou=gid,ou=numbers,dc=x", ["organizationalUnit"], {"ou": "gid"})
    foreign.add("uid=anna,ou=people,dc=x", ["person", "uidObject"], {"uid": "anna", "cn": "anna", "sn": "anna"})
    assert foreign.result["result"] == 0
    assert "gets no number" in _project(tmp_path, 0, "add", "blue", "--admin", "anna")
    assert "schema check" in _project(tmp_path, 1, "posix", "blue")
    assert "schema check" in _project(tmp_path, 1, "add", "green", "--admin", "anna", "--gid", "50000")
    assert _admin(tmp_path, uri, "install", "--uri", uri, "--auxiliary-groups", "--dry-run")[1]["clashes"] == []
    assert _admin(tmp_path, uri, "check")[0] == 4
    assert _admin(tmp_path, uri, "install", "--uri", uri, "--auxiliary-groups")[0] == 0
    assert _admin(tmp_path, uri, "check") == (0, {"schemas": [], "clashes": []})
    _project(tmp_path, 0, "posix", "blue")
    foreign.search("cn=blue,ou=projects,dc=x", "(gidNumber=50000)")
    assert len(foreign.response or []) == 1
    project["gidNumber"] = "50001"
    foreign.add("cn=red,dc=x", ["groupOfNames", "posixGroup"], project)
    assert foreign.result["result"] == 0
    assert _admin(tmp_path, uri, "install", "--uri", uri, "--auxiliary-groups")[0] == 0


def _names(found: tuple[Missing, ...]) -> list[str]:
    return [item.schema.name for item in found]


def test_installing_into_a_running_server_adds_what_is_missing_once(foreign: Connection) -> None:
    everything = [schema.name for schema in SCHEMAS]
    assert _names(install.install_in_server(foreign, dry_run=True)) == everything
    assert _names(install.install_in_server(foreign)) == everything
    assert install.install_in_server(foreign) == ()


def test_a_server_with_a_schema_of_that_name_keeps_its_own(foreign: Connection) -> None:
    """Such as an older puppet.schema, here without the object class and with another OID."""
    own = "( 1.1.1 NAME ( 'puppetClass' 'pclass' ) SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )"
    foreign.add("cn=puppet,cn=schema,cn=config", ["olcSchemaConfig"], {"cn": "puppet", "olcAttributeTypes": own})
    assert foreign.result["result"] == 0
    added = {item.schema.name: item.names for item in install.install_in_server(foreign)}
    assert added["puppet"] == ("parentNode", "environment", "puppetVar", "puppetClient")
    assert install.install_in_server(foreign) == ()


def test_who_writes_to_a_server_without_our_schema_is_told(foreign: Connection, tmp_path: Path) -> None:
    uri = f"ldapi://{quote(str(tmp_path / 'ldapi'), safe='')}"
    settings = replace(Settings(), directory=replace(DirectorySettings(), suffix="dc=x", uris=(uri,)))
    scope = {"objectClass": ["organizationalRole", "puppetmasterScope"], "cn": ["x"]}
    with DirectoryEditor(settings) as editor:
        with pytest.raises(DirectoryRefused, match=r"lacks part of our schema: enc-admin schema check$"):
            editor.add("cn=x,dc=x", scope)
        install.install_in_server(foreign)
        with pytest.raises(DirectoryRefused) as refused:
            editor.add("dc=x", {"objectClass": ["nonesuch"], "cn": ["x"]})
        assert "schema check" not in str(refused.value)


def test_a_server_that_denies_it_is_quoted(foreign: Connection) -> None:
    with Connection(foreign.server) as anonymous, pytest.raises(DirectoryRefused, match="as root over ldapi"):
        install.install_in_server(anonymous)
