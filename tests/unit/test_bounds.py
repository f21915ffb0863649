"""What a git of ours may take of the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from enc.settings.config import parse
from enc.terms.errors import ConfigurationError
from git_hooks.repository.bounds import OPTIONS, Bounds
from git_hooks.repository.git_program import configuration, git_environment

BOUNDS = Bounds(memory=64 << 20, seconds=77, file_bytes=1 << 20)
TELL = "import resource as r; print([r.getrlimit(k) for k in (r.RLIMIT_DATA, r.RLIMIT_CPU, r.RLIMIT_FSIZE)])"
IMPOSE = f"from git_hooks.repository.bounds import Bounds; Bounds{tuple(BOUNDS)}.impose(); {TELL}"
SET = str([(64 << 20, 64 << 20), (77, 77), (1 << 20, 1 << 20)])


def _said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_bounds_hold_for_a_child_and_for_what_we_become() -> None:
    assert _said(*BOUNDS.command([sys.executable, "-c", TELL])) == SET
    assert _said(sys.executable, "-c", IMPOSE) == SET


def test_a_bound_that_is_lower_already_stays() -> None:
    lower = Bounds(32 << 20, 66, 1 << 19)
    assert _said(*lower.command(BOUNDS.command(["sh", "-c", "ulimit -d; ulimit -t; ulimit -f"]))) == "32768\n66\n1024"


def test_git_reads_the_settings_and_the_bound_of_its_environment() -> None:
    environment = {**os.environ, **configuration({**OPTIONS, "a.b": "c"}), **BOUNDS.environment()}
    for name, value in {"a.b": "c", "receive.unpackLimit": "1", "pack.threads": "2"}.items():
        done = subprocess.run(["git", "config", name], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == value
    assert git_environment(environment)["GIT_ALLOC_LIMIT"] == str(32 << 20), "hooks have that of their transport"
    assert git_environment({})["GIT_ALLOC_LIMIT"] == str(512 << 20)


@pytest.mark.parametrize(
    ("text", "where"),
    [("git_memory: 1000", "git_memory"), ("git_seconds: 0", "git_seconds"), ("transport: {silence: 0}", "silence")],
)
def test_bounds_that_nobody_could_keep_are_refused(text: str, where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        parse(f"branches: {{{text}}}")
