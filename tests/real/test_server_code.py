"""What of a tree puppetserver would run, or read outside of it, is seen; harmless code is not.

The tables are data, so that a way that somebody finds is one more line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from enc.settings import BranchSettings
from git_hooks.checks import environment_conf
from git_hooks.index import conf as conf_file
from git_hooks.puppet_code.worker import Worker
from git_hooks.server_code import faults

CASES = Path(__file__).parent.parent / "cases/server_code"
LIMITED = BranchSettings().limited_functions


def refused() -> Iterator[tuple[str, dict[str, str]]]:
    for path, cases in yaml.safe_load((CASES / "refused.yaml").read_text()).items():
        yield from ((path, case) for case in cases)


def taken() -> Iterator[tuple[str, str]]:
    for path, cases in yaml.safe_load((CASES / "taken.yaml").read_text()).items():
        yield from ((path, case) for case in cases)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


def said(worker: Worker, path: str, code: str) -> list[str]:
    content = code.encode()
    name = hashlib.sha256(content).hexdigest()
    found = [*faults.of_file(path, name, lambda: content, worker.read, LIMITED)]
    if path == conf_file.NAME:
        found += [*environment_conf.problems(content), *environment_conf.server_code(content)]
    return found


def test_the_tables_are_as_long_as_they_should_be() -> None:
    assert len([*refused()]) >= 100 <= len([*taken()])


@pytest.mark.parametrize(("path", "case"), refused(), ids=str)
def test_what_would_run_is_seen(worker: Worker, path: str, case: dict[str, str]) -> None:
    found = [*faults.of_link(path, case["link"])] if "link" in case else said(worker, path, case["code"])
    assert found and any(one.startswith(case["wanted"]) for one in found), found


@pytest.mark.parametrize(("path", "code"), taken(), ids=str)
def test_harmless_code_is_taken(worker: Worker, path: str, code: str) -> None:
    assert said(worker, path, code) == []
