"""`--json` of what edits do and of what no other test asks for: as promised, and a dry run as the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc import cli
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.instances import RED, add_people_and_projects, write_config

WEB = "web7.red.example.org"
REASON = ("--reason", "for a test")
Data = Callable[..., Any]


@pytest.fixture(scope="module")
def config(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    slapd, base = make_module_slapd(), tmp_path_factory.mktemp("site")
    config = write_config(base / "config.yaml", slapd)
    add_people_and_projects(slapd, config)
    return config


@pytest.fixture
def data(config: Path, capsys: pytest.CaptureFixture[str]) -> Data:
    """Runs `enc-admin` with --json; returns the document, which is held against the contract."""

    def run(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main(["--config", str(config), *words, "--json"]) == status
        return json_contract.held("enc-admin", words, capsys.readouterr().out)

    return run


EDITS = (
    ("node", "add", WEB, "--project", RED, "--class", "ntp"),
    ("node", "set", WEB, "--class", "apache"),
    ("node", "unset", WEB, "--class", "apache"),
    ("node", "try", WEB, "topic/red/x", "--for", "1h"),
    ("node", "try", WEB, "--end"),
    ("node", "remove", WEB),
    ("project", "add", "green", "--admin", "anna"),
    ("project", "set", "green", "--class", "base"),
    ("project", "unset", "green", "--class", "base"),
    ("project", "member", "add", "green", "bert"),
    ("project", "member", "remove", "green", "bert"),
    ("project", "delete", "green"),
    ("instance", "create", "web-9", "--project", RED),
    ("instance", "rebuild", "web-9.red.example.org"),
    ("instance", "move", "web-9.red.example.org", "--region", "eu"),
    ("instance", "delete", "web-9.red.example.org"),
)


def test_an_edit_is_told_as_its_dry_run(data: Data) -> None:
    for words in EDITS:
        would, did = data(*words, *REASON, "--dry-run"), data(*words, *REASON)
        assert (would["dry_run"], did["dry_run"]) == (True, False), words
        assert would.keys() == did.keys()
        if "steps" in would and "try" not in words:
            assert would["steps"] == did["steps"], words
    edit = data("node", "history", "--last", "1")["edits"][0]
    assert data("node", "undo", edit["id"], *REASON, "--dry-run")["dry_run"] is True


def test_a_trial_is_told_with_a_moment_and_not_with_seconds(
    data: Data, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    data(*EDITS[0], *REASON)
    try:
        data("node", "try", WEB, "topic/red/x", "--for", "1h", *REASON)
        assert data("node", "show", WEB)["trial"]["until"].endswith("Z")
        assert data("node", "explain", WEB)["trial"]["until"].endswith("Z")
        assert data("node", "list")["nodes"][0]["trial"]["until"].endswith("Z")
    finally:
        data("node", "remove", WEB, *REASON)


def test_nothing_found_is_an_empty_list_and_words_on_stderr(
    data: Data, capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    for words, key, none in (
        (("node", "list"), "nodes", "no nodes"),
        (("node", "history", "nobody.example.org"), "edits", "no edits"),
        (("instance", "list"), "instances", "no instances"),
        (("instance", "list", "--unfinished"), "operations", "no unfinished operations"),
        (("instance", "resume"), "operations", "nothing to resume"),
        (("instance", "collect"), "runs", "no new runs"),
        (("who-uses", "nosuch"), "nodes", "no nodes"),
        (("signing", "log"), "requests", "no requests"),
        (("export",), "answers", ""),
    ):
        assert data(*words)[key] == [], words
        assert cli.main(["--config", str(config), *words]) == 0
        told = capsys.readouterr()
        assert (told.out, told.err.strip()) == ("", none), words


def test_instances_are_compared(data: Data) -> None:
    for option in ((), ("--dry-run",)):
        assert data("instance", "reconcile", *option)["repairs"] == []


def test_the_configuration_is_told(data: Data, config: Path, tmp_path: Path) -> None:
    assert data("config", "show")["settings"]["directory"]["timeout"] == "3s"
    assert [data("config", "link")["changed"] for _ in range(2)] == [True, False]
    assert {Path(file).parent for file in data("config", "units", str(tmp_path))["files"]} == {tmp_path}
    conf = tmp_path / "puppet.conf"
    conf.write_text("[master]\nnode_terminus = ldap\nldapserver = ldap.example.org\nldapbase = dc=example,dc=org\n")
    document = data("import", "puppet-conf", str(conf), "--dry-run")
    assert document["dry_run"] is True and yaml.safe_dump(document["configuration"])


def test_a_failure_is_a_document(data: Data) -> None:
    for words, status, message in (
        (("node", "show", "nobody.example.org"), 1, "nobody.example.org"),
        (("node", "show", "../x"), 2, "is not a certname"),
        (("node", "add", WEB, "--project", "nosuch", *REASON), 1, "nosuch"),
        (("node", "undo", "nosuch", *REASON), 1, "nosuch"),
        (("instance", "show", "nobody.example.org"), 1, "nobody.example.org"),
        (("node", "set", WEB, "--class"), 2, "expected one argument"),
        (("certificate", "list"), 2, "names no authority"),
    ):
        assert message in json.dumps(data(*words, status=status)["error"]), words
