"""What the branch manager's doctor concludes from puppetserver's configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import BranchSettings, PuppetserverSettings
from git_hooks.doctor.installation import judge_service, room
from git_hooks.doctor.puppet import PuppetFacts, judge, parse_commands, setting
from git_hooks.store.code_programs import link

SETTINGS = BranchSettings(puppetserver=PuppetserverSettings(urls=("https://p:8140",)))
SOUND = {
    "config": "/etc/puppet/puppet.conf",
    "environmentpath": str(SETTINGS.environments),
    "versioned_environment_dirs": "true",
    "environment_timeout": "unlimited",
}
BOTH = {"code-id-command": "/b/id", "code-content-command": "/b/content"}
CONF_D = Path("/conf.d")


def bad(facts: PuppetFacts | str, config: Path, settings: BranchSettings = SETTINGS) -> dict[str, str]:
    return {one.id: one.level for one in judge(facts, config, settings) if one.level != "ok"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """With the links that `init` makes."""
    link(tmp_path / "config.yaml", SETTINGS)
    return tmp_path / "config.yaml"


def test_a_sound_configuration_needs_nothing(config: Path) -> None:
    assert bad(PuppetFacts(SOUND, CONF_D, BOTH, frozenset()), config) == {}
    assert bad("puppet is not installed here", config) == {"puppet": "note"}


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("environmentpath", "/elsewhere", {"puppet-environmentpath": "fault"}),
        ("environmentpath", f"{SETTINGS.environments}:/more", {"puppet-environmentpath": "fault"}),
        ("environmentpath", f"{SETTINGS.environments}/../environments", {"puppet-environmentpath": "warning"}),
        ("versioned_environment_dirs", "false", {"puppet-versioned": "fault"}),
        ("environment_timeout", "0", {}),
        ("environment_timeout", "3m", {"puppet-timeout": "warning"}),
    ],
)
def test_each_setting(config: Path, setting: str, value: str, expected: dict[str, str]) -> None:
    facts = PuppetFacts({**SOUND, setting: value}, CONF_D, BOTH, frozenset())
    assert bad(facts, config) == expected


def test_a_cache_that_nobody_flushes_is_a_fault(config: Path) -> None:
    facts = PuppetFacts(SOUND, CONF_D, BOTH, frozenset())
    assert bad(facts, config, BranchSettings()) == {"puppet-timeout": "fault"}


@pytest.mark.parametrize(
    ("commands", "broken", "level"),
    [
        ({}, [], "note"),
        ({"code-id-command": "/b/id"}, [], "fault"),
        (BOTH, ["/b/content"], "fault"),
    ],
)
def test_the_two_programs_go_together(config: Path, commands: dict[str, str], broken: list[str], level: str) -> None:
    facts = PuppetFacts(SOUND, CONF_D, commands, frozenset(broken))
    assert bad(facts, config) == {"puppet-static-catalogs": level}


def test_a_secret_that_the_repositorys_account_cannot_read() -> None:
    (found,) = judge_service("git", {"/etc/ldap.secret": "Permission denied"})
    assert (found.id, found.level) == ("service-account", "fault") and "git cannot read /etc/ldap.secret" in found.found
    (found,) = judge_service("git", {"/c.pem": "No such file or directory"})
    assert "puppetserver makes its certificates" in found.do
    assert [one.level for one in judge_service("git", {})] == ["ok"]


def test_programs_that_do_not_find_the_store(config: Path) -> None:
    facts = PuppetFacts(SOUND, CONF_D, BOTH, frozenset())
    place = config.with_name("config.yaml.store")
    place.unlink()
    assert bad(facts, config) == {}, "they look at the usual place"
    assert bad(facts, config, replace(SETTINGS, store=Path("/srv/store"))) == {"puppet-static-catalogs": "fault"}
    place.symlink_to("/srv/store")
    assert bad(facts, config) == {"puppet-static-catalogs": "fault"}


@pytest.mark.parametrize(
    "text",
    [
        "versioned-code: {\n  code-id-command: /b/id\n  code-content-command: /b/content\n}\n",
        '{"versioned-code": {"code-id-command": "/b/id", "code-content-command": "/b/content"}}',
        "versioned-code { code-id-command = /b/id, code-content-command = /b/content }\n# code-id-command = /c",
    ],
)
def test_the_forms_of_hocon(text: str) -> None:
    assert parse_commands(text) == BOTH
    assert parse_commands("versioned-code: {\n  # code-id-command: /b/id\n}") == {}


@pytest.mark.parametrize(
    ("left", "inodes", "flag", "level"),
    [(5_000, 9_000, 0, None), (10, 9_000, 0, "fault"), (5_000, 10, 0, "fault"), (400, 9_000, 0, "warning"),
     (5_000, 9_000, os.ST_RDONLY, "fault")],
)  # fmt: skip
def test_a_disk_without_room_is_named(left: int, inodes: int, flag: int, level: str | None) -> None:
    """In MB, of 10 GB."""
    disk = (1 << 20, 1 << 20, 10_000, left, left, 10_000, inodes, inodes, flag, 255)
    finding = room("/store", os.statvfs_result(disk))
    assert (finding.level if finding is not None else None) == level


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("environment_timeout = 0\n", "0"),
        ("[main]\nenvironment_timeout = 5m\n[server]\nenvironment_timeout=unlimited\n[agent]\n", "unlimited"),
        ("[agent]\nenvironment_timeout = 0\n", None),
        ("[master]\n# environment_timeout = 0\n environment_timeout = 3m \n", "3m"),
    ],
)
def test_what_puppet_conf_says_for_puppetserver(text: str, value: str | None) -> None:
    assert setting(text, "environment_timeout") == value


def test_a_hiera_that_walks_and_large_directories_as_links_do_not_go_together(config: Path) -> None:
    facts = PuppetFacts(SOUND, CONF_D, BOTH, frozenset(), "/etc/puppet/hiera.yaml")
    assert bad(facts, config) == {"puppet-hiera": "warning"}
    assert bad(facts, config, replace(SETTINGS, split_large=False)) == {}
