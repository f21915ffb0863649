"""Edits that come past our commands are told by `node history`, with who and what; those of our commands once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.conftest import SlapdMaker
from tests.support.following import BIN, HOSTS, SUFFIX, Following, add_node, add_project, eventually, node_dn
from tests.support.slapd import ADD, DELETE, REPLACE, checked

WEB = "web1.example.org"
ANNA = f"uid=anna,ou=people,{SUFFIX}"


@pytest.fixture
def following(make_slapd: SlapdMaker, tmp_path: Path) -> Iterator[Following]:
    slapd = make_slapd()
    person = {"objectClass": ["inetOrgPerson"], "uid": "anna", "cn": "a", "sn": "a", "userPassword": "pw"}
    slapd.add(ANNA, person)
    add_project(slapd, "alpha")
    role = {"objectClass": ["organizationalRole"], "cn": "projectadmin", "roleOccupant": ANNA}
    slapd.add(f"cn=projectadmin,cn=alpha,ou=projects,{SUFFIX}", role)
    add_node(slapd, WEB, puppetClass=["ntp"])
    following = Following(tmp_path / "f", slapd, audit={"file": str(tmp_path / "trail.jsonl")})
    following.start()
    yield following
    following.end(signal.SIGKILL)


def enc_admin(following: Following, *words: str, **environment: str) -> str:
    command = [BIN / "enc-admin", "--config", following.configuration, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def history(following: Following, *words: str) -> list[dict[str, Any]]:
    following.current()
    found: list[dict[str, Any]] = json.loads(enc_admin(following, "node", "history", *words, "--json"))["edits"]
    return found


def test_what_comes_past_our_commands_is_told_with_who_and_what(following: Following) -> None:
    slapd = following.slapd
    assert history(following, "--all") == [], "what was there is nobody's edit"
    enc_admin(following, "node", "set", WEB, "--class", "apache", "--reason", "because")
    assert [edit["action"] for edit in history(following, WEB)] == ["node set"]
    with slapd.connect(ANNA, "pw") as anna:
        anna.modify(node_dn(WEB), {"environment": [(REPLACE, ["project_beta"])], "puppetClass": [(DELETE, ["ntp"])]})
        checked(anna)
        anna.add(f"cn=new.example.org,ou=alpha,{HOSTS}", attributes={"objectClass": ["device", "puppetClient"]})
        checked(anna)
    _, seen = history(following, WEB)
    assert seen["who"] == f"anna ({ANNA})" and seen["action"] == "ldap modify" and seen["project"] == "alpha"
    told = {change["attribute"]: (change["before"], change["after"]) for change in seen["steps"][0]["changes"]}
    assert told == {"environment": ([], ["project_beta"]), "puppetClass": (["ntp"], [])}
    # Killed, and edited meanwhile; deleted; and somebody appoints.
    following.end(signal.SIGKILL)
    slapd.modify(node_dn(WEB), {"description": [(ADD, ["while nobody looked"])]})
    with slapd.connect(ANNA, "pw") as anna:
        anna.delete(f"cn=new.example.org,ou=alpha,{HOSTS}")
        checked(anna)
        role = f"cn=projectadmin,cn=alpha,ou=projects,{SUFFIX}"
        anna.modify(role, {"roleOccupant": [(ADD, [f"uid=mallory,ou=people,{SUFFIX}"])]})
        checked(anna)
    following.start()
    all_of_them = history(following, "--project", "alpha")
    assert [edit["action"] for edit in all_of_them if edit["subject"] == "node new.example.org"] == [
        "ldap add",
        "ldap delete",
    ]
    *_, gone = (edit for edit in all_of_them if edit["subject"] == "node new.example.org")
    assert gone["who"] == f"anna ({ANNA})", "though nobody followed"
    (appointed,) = (edit for edit in all_of_them if edit["subject"] == "projectadmin of project alpha")
    assert "mallory" in str(appointed["steps"]) and "anna" in appointed["who"]
    *_, last = history(following, WEB)
    assert "while nobody looked" in str(last["steps"]) and "manager" in last["who"]
    text = enc_admin(following, "node", "history", WEB)
    assert "not by a command on this machine" in text


def test_nobody_washes_away_what_is_noted_of_others(following: Following) -> None:
    slapd, mallory = following.slapd, f"uid=mallory,ou=people,{SUFFIX}"
    person = {"objectClass": ["inetOrgPerson"], "uid": "mallory", "cn": "m", "sn": "m", "userPassword": "pw"}
    slapd.add(mallory, person)
    add_project(slapd, "beta")
    role = {"objectClass": ["organizationalRole"], "cn": "projectadmin", "roleOccupant": mallory}
    slapd.add(f"cn=projectadmin,cn=beta,ou=projects,{SUFFIX}", role)
    theirs = "big.example.org"
    add_node(slapd, theirs, project="beta")
    following.current()
    with slapd.connect(ANNA, "pw") as anna:
        anna.modify(node_dn(WEB), {"puppetClass": [(ADD, ["seen"])]})
        checked(anna)
    following.current()
    place = node_dn(theirs, "beta")
    with slapd.connect(mallory, "pw") as many:
        for number in range(60):
            many.modify(place, {"puppetVar": [(REPLACE, [f"v{i}={number}{'x' * 4000}" for i in range(60)])]})
            checked(many)
    following.current()
    assert [one["who"] for one in history(following, WEB)] == [f"anna ({ANNA})"]
    assert f"mallory ({mallory})" in {one["who"] for one in history(following, theirs)}


def test_our_own_edits_are_told_once(following: Following) -> None:
    for words in (
        ("node", "add", "our.example.org", "--project", "alpha", "--class", "ntp"),
        ("node", "set", "our.example.org", "--environment", "test"),
        ("node", "remove", "our.example.org"),
        ("project", "set", "alpha", "--description", "ours"),
    ):
        enc_admin(following, *words, "--reason", "ours", SUDO_USER="mallory")
    eventually(lambda: following.text("our.example.org") is None, "gone")
    found = history(following, "--all")
    assert [edit["action"] for edit in found] == ["node add", "node set", "node remove", "project set"]
    assert "mallory" not in str(found), "the environment says who it likes"
    with following.slapd.connect(ANNA, "pw") as anna:
        anna.add(f"cn=our.example.org,ou=alpha,{HOSTS}", attributes={"objectClass": ["device", "puppetClient"]})
        anna.delete(f"cn=our.example.org,ou=alpha,{HOSTS}")
        checked(anna)
        following.current()
        anna.add(f"cn=our.example.org,ou=alpha,{HOSTS}", attributes={"objectClass": ["device", "puppetClient"]})
    eventually(lambda: following.text("our.example.org") is not None, "made")
    assert "ldap add" in [edit["action"] for edit in history(following, "our.example.org")]
    # Each of several deletions of one name has its own author.
    with following.slapd.connect() as manager:
        manager.delete(f"cn=our.example.org,ou=alpha,{HOSTS}")
        checked(manager)
    eventually(lambda: following.text("our.example.org") is None, "gone again")
    deleted = [edit["who"] for edit in history(following, "our.example.org") if edit["action"] == "ldap delete"]
    assert deleted[-1] == f"manager (cn=manager,{SUFFIX})" and deleted[0] == f"anna ({ANNA})"
