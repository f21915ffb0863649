"""Secrets at the push: refused in any commit, told without what they are, allowed on the server alone."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_hooks.secrets.findings import Finding
from git_hooks.secrets.kept import Allowance, Allowances
from tests.real.conftest import SlapdMaker
from tests.support.pushes import ManagedRepository, populate
from tests.support.slapd import Slapd


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    return made


@pytest.fixture(scope="module")
def site(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedRepository]:
    made = ManagedRepository(tmp_path_factory.mktemp("secrets") / "site", slapd, secrets="check", syntax="check")
    with made.serving():
        yield made


@pytest.fixture
def word() -> str:
    return f"Q{secrets.token_hex(8)}z"


def data(word: str) -> dict[str, str]:
    return {"data/x.yaml": f"a: 1\nx::db_password: '{word}'\n"}


def test_push(site: ManagedRepository, word: str) -> None:
    t = time.monotonic()
    pushed = site.push([{"ref": "project/red", "files": data(word)}], "mia")
    print(time.monotonic() - t)
    print(pushed.output)
    t = time.monotonic()
    pushed = site.push([{"ref": "project/red", "files": {"docs/b": "x"}}], "mia")
    print(time.monotonic() - t)
    print(pushed.output)
    assert 0
