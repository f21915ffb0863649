"""puppetserver's classes compiled ahead: by whom, and how often. All tests that start a server use them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puppetmaster_quickstart.compiled_classes import cached, compiled

COMPILER = """#!/bin/sh
echo ran >>{runs}
sleep 0.5
for word; do case $word in -Dclojure.compile.path=*) echo >"${{word#*=}}/made.class" ;; esac; done
"""
"""In the place of java, which takes 15 s."""


def test_of_those_who_want_the_classes_at_once_one_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "java").write_text(COMPILER.format(runs=tmp_path / "runs"))
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cache = tmp_path / "cache"
    assert cached(cache) is None
    with ThreadPoolExecutor(3) as together:
        jars = list(together.map(compiled, [cache] * 3))
    assert set(jars) == {cached(cache)}
    assert (tmp_path / "runs").read_text() == "ran\n"
    assert not list(cache.glob("making-*"))
