"""The list of refused pushes is bounded and whole, whoever writes to it at once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from enc.terms.errors import ToolkitError
from git_hooks.push.refusals import Refusal, keep
from tests.support.disks import files_end_at


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "puppetmaster").mkdir()
    return tmp_path


def refusal(number: int, verdict: str = "no\ud800") -> Refusal:
    return Refusal(1.0, str(number), "mia", "http", "refs/x", "a" * 40, "b" * 40, verdict)


def test_what_is_old_goes(repository: Path) -> None:
    for number in range(30):
        keep(str(repository), [refusal(number, "x" * 100_000)])
    sizes = {path.name: path.stat().st_size for path in repository.glob("puppetmaster/*.jsonl*")}
    assert set(sizes) == {"refused.jsonl", "refused.jsonl.1"}
    assert sum(sizes.values()) < 2_500_000
    last = (repository / "puppetmaster/refused.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["push"] == "29"


def test_words_are_kept_whole_and_a_hostile_push_is_bounded(repository: Path) -> None:
    keep(str(repository), [refusal(1, "x" * 60_000 + "end")])
    file = repository / "puppetmaster/refused.jsonl"
    assert json.loads(file.read_text())["verdict"].endswith("xend")
    keep(str(repository), [refusal(2, "\U0001f600" * 60_000)] * 50)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert file.stat().st_size < 700_000
    assert lines[-1]["push"] == "2" and "more refs" in lines[-1]["verdict"]


def test_what_finds_no_room_takes_nothing_with_it(repository: Path) -> None:
    keep(str(repository), [refusal(1)])
    file = repository / "puppetmaster/refused.jsonl"
    with files_end_at(file.stat().st_size + 300), pytest.raises(ToolkitError, match="cannot be written"):
        keep(str(repository), [refusal(2), refusal(2)])
    keep(str(repository), [refusal(3)])
    assert [json.loads(line)["push"] for line in file.read_text().splitlines()] == ["1", "3"]


def test_many_at_once_lose_no_line(repository: Path) -> None:
    threads = [threading.Thread(target=keep, args=(str(repository), [refusal(n), refusal(n)])) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (repository / "puppetmaster/refused.jsonl").read_text().splitlines()
    pushes = [json.loads(line)["push"] for line in lines]
    assert pushes[::2] == pushes[1::2] and len(set(pushes)) == 40
