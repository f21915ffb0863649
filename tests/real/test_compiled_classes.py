"""puppetserver's classes compiled ahead: by whom, and how often. All tests that start a server use them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from enc.terms.names import Certname
from puppetmaster_quickstart.compiled_classes import cached, compiled
from puppetmaster_quickstart.owned_process import ProcessFailed
from puppetmaster_quickstart.private_master import PrivateMaster
from puppetmaster_quickstart.puppetserver_files import MasterSettings

COMPILER = """#!/bin/sh
for word; do case $word in
-Dclojure.compile.path=*) echo ran >>{runs}; sleep {takes}; echo >"${{word#*=}}/made.class"; exit ;;
esac; done
sleep 0.3
"""
"""In the place of java, which takes 15 s to compile; a server that ends soon."""


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where it writes how often it compiled."""
    (tmp_path / "java").write_text(COMPILER.format(runs=tmp_path / "runs", takes=6))
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "runs"


def test_of_those_who_want_the_classes_at_once_one_compiles(java: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert cached(cache) is None
    with ThreadPoolExecutor(3) as together:
        jars = list(together.map(compiled, [cache] * 3))
    assert set(jars) == {cached(cache)}
    assert java.read_text() == "ran\n"
    assert not list(cache.glob("making-*"))


def test_the_time_of_a_start_begins_when_all_is_compiled(java: Path, tmp_path: Path) -> None:
    settings = MasterSettings(certname=Certname("puppet.example.org"))
    master = PrivateMaster(tmp_path / "master", settings, cache=tmp_path / "cache")
    with pytest.raises(ProcessFailed, match="puppetserver ended while it started"):
        master.start(timeout=5.9)
    assert java.read_text() == "ran\n"
