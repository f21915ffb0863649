"""Who is a client of a project's own master, and the commands that make one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from enc.classify.model import Classification
from enc.settings import DirectorySettings, Settings
from enc.terms.names import Certname, EnvironmentName
from puppetmaster_self.standing.clients import CLASS, certified, clients, is_client, joining, leaving

MASTER, NODE = Certname("web-1.example.org"), Certname("web-2.example.org")
AUTHORITY = "-----BEGIN CERTIFICATE-----\nAA'\"==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "parameters, wanted",
    [
        (None, False),
        ({}, False),
        ({"server": "web-1.example.org"}, True),
        ({"server": "web-1.example.org", "ensure": "present"}, True),
        ({"server": "web-1.example.org", "ensure": "absent"}, False),
        ({"server": "web-9.example.org"}, False),
    ],
)
def test_who_is_a_client(parameters: dict[str, str] | None, wanted: bool) -> None:
    classes = {"ntp": {}, **({CLASS: parameters} if parameters is not None else {})}
    assert is_client(Classification(NODE, EnvironmentName("test"), classes, {}), MASTER) is wanted


def test_the_commands_say_what_the_class_needs() -> None:
    def parameters(words: list[str]) -> dict[str, object]:
        given = (words[at + 1].partition("=") for at, word in enumerate(words) if word == "--parameter")
        return {name.removeprefix(f"{CLASS}::"): json.loads(value) for name, _, value in given}

    words = joining(NODE, MASTER, 8140, AUTHORITY)
    assert words[:6] == ["enc-admin", "node", "set", NODE, "--class", CLASS]
    assert parameters(words) == {"server": MASTER, "ca_certificate": AUTHORITY}
    assert parameters(joining(NODE, MASTER, 8141, AUTHORITY))["port"] == 8141
    assert parameters(leaving(NODE)) == {"ensure": "absent"}


def test_who_holds_a_certificate(tmp_path: Path) -> None:
    assert certified(tmp_path, MASTER) == []
    (tmp_path / "signed").mkdir()
    for name in (MASTER, NODE, "Not A Name"):
        (tmp_path / "signed" / f"{name}.pem").touch()
    assert certified(tmp_path, MASTER) == [NODE]
    # Without LDAP, who could be a client counts as one: `disable` is to refuse rather than to leave somebody alone.
    nowhere = dataclasses.replace(Settings(), directory=DirectorySettings(uris=(f"ldapi://{tmp_path / 'none'}",)))
    assert [words.partition(";")[0] for words in clients(nowhere, tmp_path, MASTER)] == [f"{NODE} (perhaps"]
