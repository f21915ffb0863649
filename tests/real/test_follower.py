"""The follower on a real slapd: what each kind of change reaches, and what a restart brings."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from enc.answers import session
from enc.rights.roles import Holding
from enc.settings import BranchSettings, Duration
from enc.terms.names import PersonName, ProjectName
from git_hooks.push.membership import KnownGroups, Membership
from tests.real.conftest import SlapdMaker
from tests.support.following import (
    BIN,
    HOSTS,
    KIND,
    SUFFIX,
    Following,
    add_node,
    add_project,
    eventually,
    node_dn,
)
from tests.support.slapd import ADD, DELETE, REPLACE, Slapd, checked

WEB = "web1.example.org"


@pytest.fixture
def following(slapd: Slapd, tmp_path: Path) -> Iterator[Following]:
    """Project alpha with one node, and a running follower."""
    add_project(slapd, "alpha", puppetClass=["profile::alpha"])
    add_node(slapd, WEB, puppetClass=["ntp"])
    following = Following(tmp_path / "f", slapd)
    following.start()
    yield following
    following.end()


def test_node_added_changed_renamed_deleted(following: Following) -> None:
    slapd = following.slapd
    assert following.classes(WEB) == ["profile::alpha", "ntp"]
    slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["apache"])]})
    eventually(lambda: following.classes(WEB) == ["profile::alpha", "ntp", "apache"], "changed")
    with slapd.connect() as connection:
        connection.modify_dn(node_dn(WEB), "cn=web2.example.org")
    eventually(lambda: following.classes("web2.example.org") is not None, "renamed")
    eventually(lambda: following.text(WEB) is None, "the old name is gone")
    slapd.delete(node_dn("web2.example.org"))
    eventually(lambda: following.text("web2.example.org") is None, "deleted")
    assert following.status().nodes == 0


def test_site_project_prefix_group_reach_their_nodes(following: Following) -> None:
    slapd = following.slapd
    add_project(slapd, "beta")
    add_node(slapd, "db1.example.org", "beta")
    eventually(lambda: following.classes("db1.example.org") == [], "added")
    slapd.modify(f"cn=site,{SUFFIX}", {"puppetClass": [(ADD, ["base"])]})
    slapd.modify(f"cn=beta,ou=projects,{SUFFIX}", {"puppetClass": [(ADD, ["profile::beta"])]})
    scope = ["puppetmasterScope", "puppetClient", "puppetmasterClassification"]
    slapd.add(
        f"cn=db,cn=beta,ou=projects,{SUFFIX}",
        {"objectClass": scope, "puppetClass": "mysql", "puppetmasterData": 'backup={"hour": 3}'},
    )
    group = f"cn=first,ou=groups,{SUFFIX}"
    slapd.add(
        group,
        {
            "objectClass": ["groupOfURLs", "puppetClient", "puppetmasterClassification"],
            "memberURL": f"ldap:///{HOSTS}??sub?(cn=*1.example.org)",
            "puppetClass": "first",
        },
    )
    eventually(
        lambda: following.classes("db1.example.org") == ["base", "profile::beta", "first", "mysql"], "all layers"
    )
    eventually(lambda: following.classes(WEB) == ["base", "profile::alpha", "first", "ntp"], "the other project")
    slapd.modify(group, {"memberURL": [(REPLACE, [f"ldap:///{HOSTS}??sub?(cn=web*)"])]})
    eventually(lambda: following.classes("db1.example.org") == ["base", "profile::beta", "mysql"], "left the group")
    data = following.layout.prefix_data / "beta" / "db.yaml"
    assert yaml.safe_load(data.read_text()) == {"backup": {"hour": 3}}
    slapd.delete(f"cn=db,cn=beta,ou=projects,{SUFFIX}")
    eventually(lambda: following.classes("db1.example.org") == ["base", "profile::beta"], "prefix gone")
    eventually(lambda: not data.parent.exists(), "its data is gone")
    following.assert_true()


def test_parent_appears_changes_and_goes(following: Following) -> None:
    slapd = following.slapd
    slapd.modify(node_dn(WEB), {"parentNode": [(ADD, ["common"])]})
    eventually(lambda: following.status().problems, "a missing parent is a problem")
    assert "Could not find parent node 'common'" in following.status().problems[0].message
    assert following.classes(WEB) == ["profile::alpha", "ntp"], "the last good answer goes on"
    add_node(slapd, "common", puppetClass=["firewall"], parentNode="ground")
    add_node(slapd, "ground", puppetClass=["motd"])
    eventually(lambda: following.classes(WEB) == ["profile::alpha", "motd", "firewall", "ntp"], "the parent came")
    slapd.modify(node_dn("ground"), {"puppetClass": [(REPLACE, ["issue"])]})
    eventually(lambda: "issue" in (following.classes(WEB) or ()), "a grandparent's change")
    assert following.status().problems == ()


def test_bad_entry_stops_nobody_else(following: Following) -> None:
    slapd = following.slapd
    add_node(slapd, "bad.example.org", puppetClass=["Not a class"])
    add_node(slapd, "good.example.org", puppetClass=["ntp"])
    eventually(lambda: following.classes("good.example.org"), "the good one")
    status, text = following.enc("bad.example.org")
    assert status == 1 and text.count("\n") == 1 and "Not a class" in text and "puppetClass" in text
    slapd.modify(node_dn("bad.example.org"), {"puppetClass": [(REPLACE, ["ntp"])]})
    eventually(lambda: following.enc("bad.example.org")[0] == 0, "repaired")
    assert not list(following.layout.refused.iterdir())


def test_changes_made_while_nobody_followed(following: Following) -> None:
    slapd = following.slapd
    add_node(slapd, "old.example.org")
    eventually(lambda: following.text("old.example.org"), "added")
    assert following.end() == 0
    slapd.delete(node_dn("old.example.org"))
    slapd.modify(node_dn(WEB), {"puppetClass": [(REPLACE, ["nginx"])]})
    add_node(slapd, "new.example.org")
    following.start()
    assert following.text("old.example.org") is None
    following.assert_true()
    assert "refreshed from a cookie" in following.log.read_text()


@pytest.mark.parametrize("damage", ["overwritten", "deleted", "another version", "answers"])
def test_what_is_thrown_away_is_made_again(following: Following, damage: str) -> None:
    following.end()
    copy = following.layout.copy
    if damage == "overwritten":
        copy.write_bytes(copy.read_bytes()[:8192] + os.urandom(40_000))
    elif damage == "deleted":
        copy.unlink()
    elif damage == "another version":
        with sqlite3.connect(copy) as database:
            database.execute("PRAGMA user_version = 999")
    else:
        (following.layout.nodes / f"{WEB}.yaml").unlink()
    (following.layout.nodes / "stranger.example.org.yaml").write_text("# {}\n---\n")
    following.start()
    assert following.text("stranger.example.org") is None
    following.assert_true()


def test_another_configuration_makes_all_answers_anew(following: Following) -> None:
    following.end()
    document = yaml.safe_load(following.configuration.read_text())
    document["nodes"] = {"default_environment": "staging"}
    following.configuration.write_text(yaml.safe_dump(document))
    following.start()
    answer = following.answer(WEB)
    assert answer is not None and answer["environment"] == "staging"


def test_one_directory_has_one_follower(following: Following) -> None:
    second = subprocess.run(
        [BIN / "enc-admin", "--config", following.configuration, "follow"], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "another follower" in second.stderr and second.stderr.count("\n") == 1
    assert following.status().pid == following.pid


def test_metrics_file(following: Following, tmp_path: Path) -> None:
    following.end()
    place = tmp_path / "follower.prom"
    document = yaml.safe_load(following.configuration.read_text())
    document["follow"]["metrics_file"] = str(place)
    following.configuration.write_text(yaml.safe_dump(document))
    following.start()
    wanted = ("puppetmaster_follower_nodes 1\n", "puppetmaster_follower_up 1\n")
    eventually(lambda: all(line in place.read_text() for line in wanted), "the number of nodes, and that it is up")


def test_a_server_without_syncrepl_is_polled(make_slapd: SlapdMaker, tmp_path: Path) -> None:
    slapd = make_slapd()
    add_project(slapd, "alpha")
    add_node(slapd, WEB)
    with slapd.connect() as connection:
        connection.delete("olcOverlay={0}syncprov,olcDatabase={1}mdb,cn=config")
        assert connection.result["result"] == 0, connection.result
    following = Following(tmp_path / "f", slapd)
    following.start()
    try:
        slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["ntp"])]})
        eventually(lambda: following.classes(WEB) == ["ntp"], "polled")
        slapd.delete(node_dn(WEB))
        eventually(lambda: following.text(WEB) is None, "deleted by absence")
        assert following.status().state == "current"
        assert {feed.cookie for feed in following.status().feeds} == {None}
    finally:
        following.end()


def test_many_names_are_done_by_several_processes(
    slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ldif = tmp_path / "many.ldif"
    with ldif.open("w") as file:
        for number in range(session.MANY + 100):
            file.write(f"dn: cn=n{number}.example.org,{HOSTS}\n")
            file.write("objectClass: device\nobjectClass: puppetClient\n")
            file.write(f"cn: n{number}.example.org\npuppetClass: c{number % 7}\n\n")
    slapd.load_ldif(ldif)
    following = Following(tmp_path / "f", slapd)
    following.start(wait=False)
    try:
        eventually(lambda: following.layout.contact.exists(), "complete")
        answers = following.all_on_disk()
        assert answers.keys() == {f"n{number}.example.org" for number in range(session.MANY + 100)}
        # Each is its own node's; that they are whole, some from all over the list show.
        assert all(
            f'"c{number % 7}"' in (answers[f"n{number}.example.org"][0] or "") for number in range(session.MANY + 100)
        )
        assert following.from_scratch(only=sorted(answers)[::40]).items() <= answers.items()
        assert following.end(signal.SIGTERM) == 0
    finally:
        following.end()


def test_deleted_values_leave_the_hiera_data(following: Following) -> None:
    slapd = following.slapd
    place = following.layout.node_data / f"{WEB}.yaml"
    slapd.modify(node_dn(WEB), {"puppetmasterData": [(ADD, ['key="a"'])]})
    eventually(lambda: place.exists() and yaml.safe_load(place.read_text()) == {"key": "a"}, "data")
    slapd.modify(node_dn(WEB), {"puppetmasterData": [(DELETE, ['key="a"'])]})
    eventually(lambda: not place.exists(), "no data, no file")


def test_one_merged_file_for_each_node(slapd: Slapd, tmp_path: Path) -> None:
    add_project(slapd, "alpha", puppetmasterData=['a={"x": 1, "y": 1}', "b=1", "c={1: [1], 20: [2]}"])
    for name in (WEB, "db1.example.org"):
        add_node(slapd, name)
    following = Following(tmp_path / "f", slapd, answers={"merged_data": True})
    following.start()

    def merged(name: str) -> object:
        place = following.layout.merged_data / f"{name}.yaml"
        return yaml.safe_load(place.read_text()) if place.exists() else None

    try:
        assert merged(WEB) == merged("db1.example.org") == {"a": {"x": 1, "y": 1}, "b": 1, "c": {1: [1], 20: [2]}}
        scope = {"objectClass": ["puppetmasterScope", "puppetClient", "puppetmasterClassification"]}
        below = f"cn=alpha,ou=projects,{SUFFIX}"
        slapd.add(f"cn=web,{below}", {**scope, "puppetmasterData": ["b=2", "role::x:mode=1"]})
        slapd.add(f"cn=web1,{below}", {**scope, "puppetmasterData": ["a={}", '"="=3']})
        slapd.modify(node_dn(WEB), {"puppetmasterData": [(ADD, ["own=null"])]})
        whole = {"a": {}, "b": 2, "c": {1: [1], 20: [2]}, "role::x:mode": 1, "=": 3, "own": None}
        eventually(lambda: merged(WEB) == whole, "the nearest level says a key whole")
        assert merged("db1.example.org") == {"a": {"x": 1, "y": 1}, "b": 1, "c": {1: [1], 20: [2]}}
        slapd.modify(node_dn(WEB), {"puppetmasterData": [(DELETE, ["own=null"])]})
        slapd.modify(below, {"puppetmasterData": [(REPLACE, [])]})
        eventually(lambda: merged(WEB) == {"a": {}, "b": 2, "role::x:mode": 1, "=": 3}, "the project says nothing")
        eventually(lambda: merged("db1.example.org") is None, "no data, no file")
        slapd.delete(node_dn(WEB))
        eventually(lambda: merged(WEB) is None, "no node, no file")
    finally:
        following.end()
    add_node(slapd, WEB)
    without = Following(tmp_path / "f", slapd)
    without.start()
    try:
        assert merged(WEB) is None
        assert without.text(WEB) is not None
    finally:
        without.end()


def rename(slapd: Slapd, dn: str, rdn: str, above: str | None = None) -> None:
    with slapd.connect() as connection:
        connection.modify_dn(dn, rdn, new_superior=above)
        checked(connection)


@pytest.fixture(params=["syncrepl", "polled"])
def moving(request: pytest.FixtureRequest, slapd: Slapd, tmp_path: Path) -> Iterator[Following]:
    """Projects alpha and beta, a unit with a node and a prefix with data, on a server with syncrepl and without."""
    add_project(slapd, "alpha", puppetClass=["profile::alpha"])
    add_project(slapd, "beta", puppetClass=["profile::beta"])
    slapd.add(f"ou=rack1,ou=alpha,{HOSTS}", {"objectClass": ["organizationalUnit"]})
    slapd.add(f"cn={WEB},ou=rack1,ou=alpha,{HOSTS}", {"objectClass": KIND, "puppetClass": "ntp"})
    scope = ["puppetmasterScope", "puppetClient", "puppetmasterClassification"]
    slapd.add(f"cn=web,cn=beta,ou=projects,{SUFFIX}", {"objectClass": scope, "puppetmasterData": 'key="beta"'})
    if request.param == "polled":
        with slapd.connect() as connection:
            connection.delete("olcOverlay={0}syncprov,olcDatabase={1}mdb,cn=config")
            checked(connection)
    following = Following(tmp_path / "f", slapd)
    following.start()
    yield following
    following.end()


def test_a_rename_above_a_node_reaches_it(moving: Following) -> None:
    """slapd leaves the entryCSN of what is below as it is, and tells syncrepl of the renamed entry alone."""
    slapd = moving.slapd
    assert moving.classes(WEB) == ["profile::alpha", "ntp"]
    rename(slapd, f"ou=rack1,ou=alpha,{HOSTS}", "ou=rack1", f"ou=beta,{HOSTS}")
    eventually(lambda: moving.classes(WEB) == ["profile::beta", "ntp"], "in the other project")
    assert '"project":"beta"' in (moving.text(WEB) or "")
    rename(slapd, f"ou=rack1,ou=beta,{HOSTS}", "ou=rack1", f"ou=groups,{SUFFIX}")
    eventually(lambda: moving.text(WEB) is None, "out of the base")
    moving.end()
    rename(slapd, f"ou=rack1,ou=groups,{SUFFIX}", "ou=rack2", f"ou=alpha,{HOSTS}")
    moving.start()
    assert moving.classes(WEB) == ["profile::alpha", "ntp"], "into the base, while nobody followed"
    moving.assert_true()


def test_a_rename_of_a_project_takes_its_prefixes_along(moving: Following) -> None:
    slapd = moving.slapd
    place = moving.layout.prefix_data
    eventually(lambda: (place / "beta/web.yaml").exists(), "the prefix's data")
    rename(slapd, f"cn=beta,ou=projects,{SUFFIX}", "cn=gamma")
    eventually(lambda: (place / "gamma/web.yaml").exists(), "moved")
    eventually(lambda: not (place / "beta").exists(), "gone from the old place")


def test_access_rules_that_hide_and_show_entries_are_noticed(following: Following) -> None:
    slapd = following.slapd
    rule = f'{{0}}to dn.subtree="ou=alpha,{HOSTS}" by * none'
    for change, what in ((ADD, None), (DELETE, ["profile::alpha", "ntp"])):
        slapd.modify("olcDatabase={1}mdb,cn=config", {"olcAccess": [(change, [rule if change == ADD else "{0}"])]})
        eventually(lambda: following.classes(WEB) == what, f"as LDAP shows it: {what}")  # noqa: B023
    following.current()


def test_a_number_too_long_to_read_stops_nobody(following: Following) -> None:
    slapd = following.slapd
    group = {"objectClass": ["groupOfURLs", "puppetClient"], "memberURL": "ldap:///??sub?(serialNumber>=10)"}
    slapd.add(f"cn=numbered,ou=groups,{SUFFIX}", {**group, "puppetClass": "numbered"})
    add_node(slapd, "long.example.org")
    with slapd.connect() as connection:  # "relax rules" passes the embedded directory's limits by, as others have none
        number = {"serialNumber": [(REPLACE, ["9" * 5000])]}
        assert connection.modify(node_dn("long.example.org"), number, [("1.3.6.1.4.1.4203.666.5.12", True, None)])
    slapd.modify(f"cn=numbered,ou=groups,{SUFFIX}", {"puppetClass": [(REPLACE, ["counted"])]})
    eventually(lambda: "counted" in (following.classes("long.example.org") or ()), "the node with the number")
    slapd.modify(node_dn(WEB), {"puppetClass": [(ADD, ["other"])]})
    eventually(lambda: "other" in (following.classes(WEB) or ()), "the others")
    following.current()


def test_status_says_what_a_server_said_that_does_not_give_all(following: Following) -> None:
    slapd = following.slapd
    following.end()
    limits = 'dn.exact="cn=reader,ou=services,dc=example,dc=org" size.soft=1 size.hard=1 size.pr=1 size.prtotal=1'
    reader = following.settings.directory.bind_dn
    slapd.modify(
        "olcDatabase={1}mdb,cn=config", {"olcLimits": [(REPLACE, [limits.replace(limits.split('"')[1], str(reader))])]}
    )
    for number in range(3):
        add_node(slapd, f"more{number}.example.org")
    following.start(wait=False)
    eventually(lambda: following.status().state == "refused", "said")
    done = subprocess.run(
        [BIN / "enc-admin", "--config", following.configuration, "status"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "LDAP answers but does not return everything" in done.stdout
    assert "raise its size limit" in done.stdout and "cannot be reached" not in done.stdout
    done = subprocess.run(
        [BIN / "enc-admin", "--config", following.configuration, "doctor"], capture_output=True, text=True, check=False
    )
    assert "LDAP answers but does not return everything" in done.stdout + done.stderr
    assert following.enc(WEB)[0] == 0


def test_who_is_taken_out_of_a_project_in_a_project_has_lost_it_at_once(following: Following, tmp_path: Path) -> None:
    """What a push remembers for long is asked again when the follower has seen a change."""
    slapd, (inner, outer) = following.slapd, (f"cn={name},ou=projects,{SUFFIX}" for name in ("inner", "outer"))
    for uid in ("mia", "zoe"):
        entry = {"objectClass": "inetOrgPerson", "uid": uid, "cn": uid, "sn": uid}
        slapd.add(f"uid={uid},ou=people,{SUFFIX}", entry)
    members = [f"uid={uid},ou=people,{SUFFIX}" for uid in ("mia", "zoe")]
    slapd.add(inner, {"objectClass": "groupOfNames", "cn": "inner", "member": members})
    slapd.add(outer, {"objectClass": "groupOfNames", "cn": "outer", "member": inner})
    settings = replace(
        following.settings,
        branches=BranchSettings(repository=tmp_path / "repository"),
        pushes=replace(following.settings.pushes, roles_kept=Duration(3600)),
    )
    # An operator by way of a group of people, which bears on no node
    staff, operators = (f"cn={name},ou=groups,{SUFFIX}" for name in ("staff", "operators"))
    slapd.add(staff, {"objectClass": "groupOfNames", "cn": "staff", "member": members})
    slapd.modify(operators, {"member": [(ADD, [staff])]})
    known = KnownGroups()

    def holds(held: Holding) -> bool:
        membership = Membership(settings, time.time, known=known)
        try:
            return held in membership.person(PersonName("mia")).holds
        finally:
            membership.close()

    member, operator = Holding("member", ProjectName("outer")), Holding("operator")
    eventually(lambda: holds(member) and holds(operator), "she is in both")
    slapd.modify(inner, {"member": [(DELETE, members[:1])]})
    eventually(lambda: not holds(member), "she has lost it")
    assert holds(operator)
    slapd.modify(staff, {"member": [(DELETE, members[:1])]})
    eventually(lambda: not holds(operator), "she is no operator any more")
    slapd.modify(operators, {"member": [(ADD, members[:1])]})
    eventually(lambda: holds(operator), "she is one again")
    slapd.modify(operators, {"member": [(DELETE, members[:1])]})
    eventually(lambda: not holds(operator), "and no more")
