"""What doctor concludes from what it saw; the seeing itself is tested in tests/real/test_doctor.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from enc.answers.status import FollowerStatus
from enc.answers.worklist import Problem
from enc.directory.schema.compare import missing
from enc.directory.server_facts import _read_indexes
from enc.doctor import account, directory, follower, puppet, signing
from enc.doctor.findings import Finding, fault, lines, ok, verdict, warning
from enc.settings import Duration, Settings
from enc.settings.config import DEFAULT_PATH, parse
from enc.terms.errors import DirectoryUnreachable

EXTENDED = Settings()
TERMINUS = parse("nodes: {semantics: terminus}")
FOLLOWS = FollowerStatus("/a", True, 7, "current", 3, 1000, False, 10, 0, (), ())
ASKS = puppet.PuppetFacts(
    {
        "config": "/etc/puppet/puppet.conf",
        "node_terminus": "exec",
        "reports": "puppetmaster,store",
        "external_nodes": "/b/enc",
        "trusted_external_command": "/b/enc-trusted",
    },
    {"server": frozenset({"node_terminus"})},
    frozenset({"/b/enc", "/b/enc-trusted"}),
    hiera_reads_answers=True,
    has_hiera_data=True,
    packages={"puppet-agent": "7.23.0-1+deb12u1"},
)


def levels(findings: Iterable[Finding]) -> dict[str, str]:
    """Check → the worst level."""
    order = ("ok", "note", "warning", "fault")
    found: dict[str, str] = {}
    for one in findings:
        found[one.id] = max(found.get(one.id, "ok"), one.level, key=order.index)
    return found


def bad(findings: Iterable[Finding]) -> dict[str, str]:
    return {check: level for check, level in levels(findings).items() if level != "ok"}


def test_only_faults_make_it_fail_and_each_line_says_what_to_do() -> None:
    findings = [ok("a", "fine"), warning("b", "odd\nforged", "do this")]
    assert verdict(findings) == 0 and verdict([*findings, fault("c", "ill", "mend")]) == 4
    assert lines(findings)[1:] == ["warning  b  odd\\nforged", "            -> do this", "1 warning"]


def test_one_of_two_servers_away_is_a_warning_and_all_away_a_fault() -> None:
    away = DirectoryUnreachable("refused", where="ldap://a")
    assert [one.level for one in directory.judge_connections({"ldap://a": away, "ldap://b": 0.01})] == ["warning", "ok"]
    assert [one.level for one in directory.judge_connections({"ldap://a": away})] == ["fault"]
    assert [one.level for one in directory.judge_connections({"ldap://b": 2.0})] == ["warning"]


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ({"a": 100.0, "b": 99.0}, {}),
        ({"a": 100.0, "b": 10.0}, {"ldap-replication": "warning"}),
        ({"a": 160.0, "b": 160.0}, {"clock": "warning"}),
        ({}, {}),
    ],
)
def test_clocks_and_replicas(newest: dict[str, float], expected: dict[str, str]) -> None:
    assert bad(directory.judge_newest(newest, 101.0)) == expected


def test_csns_are_read_as_times() -> None:
    assert directory.csn_time("20120101120000.500000Z#000000#001#000000") == 1325419200.5
    assert directory.csn_time("odd") == 0


def test_an_index_that_is_missing_or_seems_to_be() -> None:
    indexes = _read_indexes(["{0}objectClass,cn eq", "{1}entryCSN,entryUUID eq", "l pres,sub"])
    assert indexes["cn"] == {"eq"} and indexes["l"] == {"pres", "sub"}
    assert bad(directory.judge_indexes({"cn": 0.001}, indexes)) == {}
    assert bad(directory.judge_indexes({"l": 0.001}, indexes)) == {"ldap-indexes": "warning"}
    assert bad(directory.judge_indexes({"cn": 0.001}, {"cn": frozenset({"eq"})})) == {"ldap-indexes": "warning"}
    assert bad(directory.judge_indexes({"cn": 0.001}, None)) == {}
    assert bad(directory.judge_indexes({"cn": 0.2}, None)) == {"ldap-indexes": "warning"}


def test_the_attributes_that_nodes_are_looked_up_by() -> None:
    settings = parse('nodes: {filter: "(&(objectClass=puppetClient)(|(cn=%s)(associatedDomain=%s.x)))"}')
    assert directory.look_up_attributes(settings) == ("cn", "associateddomain")


def test_limits_syncrepl_and_schema() -> None:
    assert directory.judge_limit(500, True, EXTENDED).level == "fault"
    assert directory.judge_limit(501, True, EXTENDED).level == "ok"
    assert directory.judge_limit(20, False, EXTENDED).level == "ok"
    assert directory.judge_room(80, 100).level == "warning" and directory.judge_room(79, 100).level == "ok"
    assert directory.judge_sync(True, True, EXTENDED).level == "ok"
    assert directory.judge_sync(False, False, EXTENDED).level == "warning"
    nothing_there = missing([])
    only_puppets = tuple(item for item in nothing_there if item.schema.name != "puppet")
    assert directory.judge_schema(nothing_there, EXTENDED).level == "fault"
    assert directory.judge_schema(only_puppets, EXTENDED).level == "warning"
    assert directory.judge_schema(only_puppets, TERMINUS).level == "ok"
    assert directory.judge_schema(None, EXTENDED).level == "note"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"running": False, "pid": None, "state": "stopped"}, {"follower": "fault"}),
        ({"state": "unreachable"}, {"follower": "fault"}),
        ({"age": 600}, {"answers-age": "warning"}),
        ({"age": 2000, "too_old": True}, {"answers-age": "fault"}),
        ({"pending": 5}, {"answers-pending": "note"}),
        ({"problems": (Problem("x", "a loop", 0),)}, {"entries": "warning"}),
        ({"unreadable": "no"}, {"follower-copy": "note"}),
        ({"running": False, "state": "never", "age": None}, {"follower": "note"}),
    ],
)
def test_the_follower(change: dict[str, object], expected: dict[str, str]) -> None:
    assert bad(follower.judge(replace(FOLLOWS, **change))) == expected  # type: ignore[arg-type]


def test_a_follower_that_never_reads_ldap_to_its_end() -> None:
    never = replace(FOLLOWS, state="never", age=None)
    assert bad(follower.judge(never, 5)) == {"follower": "note"}
    assert bad(follower.judge(never, 500)) == {"follower": "warning"}


def test_a_configuration_that_the_follower_does_not_know_clock_and_space() -> None:
    assert bad(follower.judge_configuration(20.0, 10.0)) == {"follower-config": "warning"}
    assert bad(follower.judge_configuration(10.0, 20.0)) == bad(follower.judge_configuration(20.0, None)) == {}
    assert bad(follower.judge_clock(1000, 100.0)) == {"answers-clock": "fault"}
    assert bad(follower.judge_clock(130, 100.0)) == {}
    assert follower.judge_space(Path("/a"), 5 << 30, 0.5, 0.5).level == "ok"
    assert follower.judge_space(Path("/a"), 5 << 20, 0.5, 0.5).level == "warning"
    assert follower.judge_space(Path("/a"), 5 << 30, 0.5, 0.01).level == "warning"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {}),
        ({"node_terminus": "plain"}, {"puppet-terminus": "fault"}),
        ({"reports": "store"}, {"puppet-reports": "note"}),
        ({"reports": "none"}, {"puppet-reports": "note"}),
        ({"external_nodes": "/b/node.rb"}, {"puppet-enc": "warning"}),
        ({"external_nodes": "enc"}, {"puppet-enc": "fault"}),
        ({"external_nodes": "/gone/enc"}, {"puppet-enc": "fault"}),
        ({"external_nodes": "/b/enc --config /other.yaml"}, {"puppet-enc-config": "warning"}),
        ({"trusted_external_command": ""}, {"puppet-trusted": "note"}),
        ({"trusted_external_command": "/gone"}, {"puppet-trusted": "fault"}),
    ],
)
def test_what_puppet_is_told(settings: dict[str, str], expected: dict[str, str]) -> None:
    facts = replace(ASKS, settings={**ASKS.settings, **settings})
    assert bad(puppet.judge(facts, DEFAULT_PATH, EXTENDED)) == expected


def test_a_command_with_a_space_in_its_path_is_ours_too() -> None:
    command = r'/usr/bin/env -S"/a\_b/enc"\_"--config"\_"/c.yaml"\c'
    executable = frozenset({"/usr/bin/env", "/b/enc-trusted"})
    facts = replace(ASKS, settings={**ASKS.settings, "external_nodes": command}, executable=executable)
    assert bad(puppet.judge(facts, Path("/c.yaml"), EXTENDED)) == {}


def test_settings_in_the_wrong_section_and_hiera_data_that_nobody_reads() -> None:
    text = "# [agent]\n[main]\nnode_terminus = exec\n [ agent ]\nexternal_nodes=/x\n[server]\na = b"
    sections = puppet.parse_sections(text)
    assert sections == {"main": {"node_terminus"}, "agent": {"external_nodes"}}
    facts = replace(ASKS, sections=sections, hiera_reads_answers=False)
    expected = {"puppet-sections": "warning", "puppet-hiera": "warning"}
    assert bad(puppet.judge(facts, DEFAULT_PATH, EXTENDED)) == expected
    assert bad(puppet.judge("puppet is not installed here", DEFAULT_PATH, EXTENDED)) == {"puppet": "note"}


def test_merged_files_that_hiera_reads_and_nobody_writes() -> None:
    facts = replace(ASKS, hiera_reads_merged=True)
    assert bad(puppet.judge(facts, DEFAULT_PATH, EXTENDED)) == {"puppet-hiera": "fault"}
    written = replace(EXTENDED, answers=replace(EXTENDED.answers, merged_data=True))
    assert bad(puppet.judge(facts, DEFAULT_PATH, written)) == {}


def test_what_the_account_may_read_and_how_fast_enc_is() -> None:
    assert bad(account.judge_reading("puppet", {}, "/s")) == {}
    assert bad(account.judge_reading("puppet", {"/s": "denied"}, "/s")) == {"account-secret": "warning"}
    assert bad(account.judge_reading("puppet", {"/a": "denied"}, "/s")) == {"account": "fault"}
    assert account.judge_runs("puppet", "n", [(0, "---", 0.5), (0, "---", 0.02)]).level == "ok"
    assert account.judge_runs("puppet", "n", [(0, "---", 0.5)]).level == "warning"
    refused = account.judge_runs("puppet", "n", [(1, "enc: too old", 0.01)])
    assert refused.level == "fault" and "enc: too old" in refused.found


def test_puppetservers_own_name_must_be_nobodys() -> None:
    found = signing.judge_name("master.example.org", Settings())
    assert found.level == "fault" and "master.example.org" in found.do
    settings = replace(Settings(), instances=replace(Settings().instances, reserved=("*.example.org",)))
    assert signing.judge_name("master.example.org", settings).level == "ok"
    assert signing.judge_place(settings).level == "note"
    settings = replace(settings, instances=replace(settings.instances, reserved_project="ops"))
    assert signing.judge_place(settings).level == "ok"


@pytest.mark.parametrize(
    "lifetime, before, after, level",
    [
        ("157680000", 30, 1780, "ok"),
        ("157680000", 30, 1795, "ok"),
        ("157680000", 30, 1796, "warning"),
        ("157680000", 30, None, "warning"),
        ("157680000", 0, None, "note"),
        ("2592000", 30, 15, "ok"),
        ("2592000", 30, 16, "warning"),
        ("", 30, 1, "note"),
    ],
)
def test_renewal_is_asked_for_when_it_is_given(lifetime: str, before: int, after: int | None, level: str) -> None:
    settings = Settings()
    agent = replace(settings.instances.agent, renew_before=Duration(before * 86400))
    given = None if after is None else Duration(after * 86400)
    settings = replace(settings, instances=replace(settings.instances, agent=agent))
    settings = replace(settings, signing=replace(settings.signing, renew_after=given))
    assert signing.judge_renewal(lifetime, settings).level == level


def test_what_is_set_by_default_fits_puppets_own_lifetime() -> None:
    assert signing.judge_renewal("157680000", Settings()).level == "ok"


@pytest.mark.parametrize(
    "value, executable, level",
    [
        ("/b/enc-autosign", True, "ok"),
        ("/b/enc-autosign", False, "fault"),
        ("enc-autosign", True, "fault"),
        ("true", False, "fault"),
        ("false", False, "note"),
        ("/etc/puppet/autosign.conf", False, "note"),
        ("/b/other", True, "note"),
    ],
)
def test_who_is_asked_about_requests(value: str, executable: bool, level: str) -> None:
    assert signing.judge_autosign(value, "puppet", executable=executable).level == level
