"""The quickstart's story, from nothing to the second run, in a directory with a space in its name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from puppetmaster_self.owned_process import start_time
from tests.support.puppetserver import CACHE


def quickstart(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "puppetmaster_self.quickstart", str(base), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    checkout = tmp_path / "a checkout"
    (checkout / ".cache").mkdir(parents=True)
    (checkout / ".cache/puppetserver").symlink_to(CACHE)
    base = checkout / ".quickstart"
    yield base
    quickstart(base, "stop")


def test_the_whole_story(base: Path) -> None:
    base.mkdir()
    (base / "left-over").write_text("of an earlier telling\n")
    told = quickstart(base)
    assert told.returncode == 0, told.stdout + told.stderr
    assert not (base / "left-over").exists()
    first, _, second = told.stdout.partition("6. An edit")
    assert "Hello from LDAP" in first
    assert "Hello again" not in first.split("5. ")[1]
    assert "ensure: defined content" in first
    assert "content changed" in second
    words = (base / "machines/web-1/hello").read_text()
    for word in ("Hello again", "bob@example.org", "green", "demo"):
        assert word in words
    # Of the other instance only what the project gives.
    words = (base / "machines/web-2/hello").read_text()
    for word in ("nothing", "alice@example.org", "green", "demo"):
        assert word in words

    assert quickstart(base, "status").stdout.count("runs, pid") == 3
    pids = [int(line.split("pid ")[1].split(",")[0]) for line in quickstart(base, "status").stdout.splitlines()]
    assert quickstart(base, "stop").returncode == 0
    assert [pid for pid in pids if start_time(pid) is not None] == []
    assert quickstart(base, "status").stdout.count("does not run") == 3


def test_a_wrong_word_is_usage(base: Path) -> None:
    wrong = quickstart(base, "sing")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert len(wrong.stderr.splitlines()) == 1
