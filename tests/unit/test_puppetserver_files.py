"""The texts that a private puppetserver reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from enc.terms.errors import UsageError
from puppetmaster_quickstart.auth_conf import AuthRule
from puppetmaster_quickstart.puppetserver_files import MasterSettings, check_base, exec_terminus, files

BASE = Path("/srv/some where")


def test_external_nodes_survives_puppets_splitting(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    enc = place / "enc"
    enc.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    enc.chmod(0o755)
    value = exec_terminus(enc, "--config", f"{place}/c.yaml")["external_nodes"]
    # Puppet splits at white space and appends the certname (puppet/node/exec.rb).
    output = subprocess.run([*value.split(), "web-1"], check=True, capture_output=True, text=True).stdout
    assert output == f"--config|{place}/c.yaml|web-1|"
    assert not value.endswith(("'", '"'))


def test_external_nodes_without_spaces_is_the_plain_command() -> None:
    settings = exec_terminus(Path("/usr/bin/enc"), "--config", "/etc/c.yaml", trusted=Path("/usr/bin/t"))
    assert settings == {
        "node_terminus": "exec",
        "external_nodes": "/usr/bin/enc --config /etc/c.yaml",
        "trusted_external_command": "/usr/bin/t",
    }


@pytest.mark.parametrize("path", ["/a b$c/enc", '/a b"/enc', "/a b\\/enc", "/a\tb/enc"])
def test_external_nodes_refuses_what_env_would_expand(path: str) -> None:
    with pytest.raises(UsageError, match="external_nodes"):
        exec_terminus(Path(path))


@pytest.mark.parametrize("path", ["relative", "/a:b", "/a$b", '/a"b', "/a\nb"])
def test_a_base_that_puppet_would_misread_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        check_base(Path(path))


def test_every_rule_comes_before_the_refusal_of_everything() -> None:
    rule = AuthRule("flush", "/puppet-admin-api/v1/environment-cache", ("delete",), ("one",))
    text = files(BASE, MasterSettings(rules=(rule,)))["server/conf.d/auth.conf"]
    orders = [int(number) for number in re.findall(r'"?sort-order"?: (\d+)', text)]
    assert orders[0] == rule.order == min(orders) and orders[-1] == max(orders) and orders.count(max(orders)) == 1
    assert text.index('"name": "flush"') < text.index("sort-order: ")
    assert 'deny: "*"' in text.rpartition("match-request")[2]
    assert "<%" not in text


def test_settings_stand_under_server() -> None:
    text = files(BASE, MasterSettings(server={"versioned_environment_dirs": "true"}))["puppet/puppet.conf"]
    main, _, server = text.partition("[server]\n")
    assert "versioned_environment_dirs = true" in server.splitlines()
    assert f"codedir = {BASE}/puppet/code" in main.splitlines()
    with pytest.raises(UsageError):
        files(BASE, MasterSettings(server={"external_nodes": "a\n[main]"}))
