"""Records of deploys stay bounded, whatever happens, and keep what a rollback needs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks.deploy.records import Hold, Outcome, Record, Records
from git_hooks.repository.refs import ObjectId
from tests.support.disks import files_end_at

TEST = EnvironmentName("test")
A, B = ObjectId("a" * 40), ObjectId("b" * 40)
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    (tmp_path / "records").mkdir()
    return Records(str(tmp_path))


def record(at: int, old: ObjectId = B, new: ObjectId = B, outcome: Outcome = "live") -> Record:
    return Record(TEST, outcome, old, new, "me", "push", float(at), {"build": 1.0}, "x" * 200)


def test_what_is_old_goes_and_the_last_switches_stay(records: Records, tmp_path: Path) -> None:
    records.add(record(0, A, B))
    for at in range(1, 1000):
        records.add(record(at, outcome="begun"))
        records.add(record(at))
    path = tmp_path / "records/test.jsonl"
    assert path.stat().st_size < 200_000
    kept = records.of(TEST, limit=None)
    assert [one.at for one in kept[:50]] == list(range(999, 949, -1))
    assert {one.outcome for one in kept} == {"live"} and len(kept) < 500
    assert kept[-1] == record(0, A, B), "without it nobody knows what was before"
    assert list(path.parent.iterdir()) == [path]


def test_a_deploy_on_a_full_disk_costs_only_its_own_record(records: Records, tmp_path: Path) -> None:
    records.add(record(1))
    with files_end_at((tmp_path / "records/test.jsonl").stat().st_size + 30):
        for _ in range(2):
            with pytest.raises(ToolkitError, match=r"test.jsonl: cannot be written"):
                records.add(record(2))
    records.add(record(3))
    assert [one.at for one in records.of(TEST)] == [3, 1]
    assert (tmp_path / "records/test.jsonl").read_bytes().count(b"\n") == 2


def test_a_hold_is_old_or_new(records: Records, tmp_path: Path) -> None:
    (tmp_path / "holds").mkdir()
    records.hold(TEST, Hold("mia", "because", 1.0))
    with files_end_at(5), pytest.raises(ToolkitError, match="cannot be written"):
        records.hold(TEST, Hold("mia", "for another reason", 2.0))
    assert records.held(TEST) == Hold("mia", "because", 1.0)
    assert [path.name for path in (tmp_path / "holds").iterdir()] == ["test"]


def test_many_switches_are_bounded_too(records: Records, tmp_path: Path) -> None:
    for at in range(1500):
        records.add(record(at, A, B))
    assert (tmp_path / "records/test.jsonl").stat().st_size < 200_000


def test_words_are_kept_whole_for_some_time_and_stay_bounded(records: Records, tmp_path: Path) -> None:
    words = "a reason " * 3_000
    records.add(record(0)._replace(outcome="failed", detail=words + "and what to do"))
    assert records.of(TEST)[0].detail.endswith("and what to do")
    for at in range(1, 300):
        records.add(record(at, A, B, "failed")._replace(detail=words))
    kept = records.of(TEST, limit=None)
    assert kept[0].detail == words and "cut here" in kept[-1].detail
    assert (tmp_path / "records/test.jsonl").stat().st_size < 800_000
    records.add(record(300, outcome="failed")._replace(detail="x" * 1_000_000))
    assert len(records.of(TEST)[0].detail) < 70_000


def test_tries_that_fail_for_weeks_do_not_push_out_what_was_live(records: Records) -> None:
    records.add(record(0, A, B))
    for at in range(1, 2_000):
        records.add(record(at, B, A, "failed"))
    assert records.of(TEST, limit=None)[-1] == record(0, A, B), "a rollback goes back to it"


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_cut_that_is_killed_loses_nothing_and_the_next_one_succeeds(
    records: Records, tmp_path: Path, call: str
) -> None:
    def work() -> None:
        # Killed as the kernel is asked for this, the first time that records are cut.
        setattr(os, call, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        for at in range(1000):
            records.add(record(at))

    process = FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    written = records.of(TEST, limit=None)
    assert [one.at for one in written] == list(range(len(written) - 1, -1, -1)) and len(written) > 100
    records.add(record(5000))
    assert [one.at for one in records.of(TEST, limit=2)] == [5000, len(written) - 1]
    assert len(records.of(TEST, limit=None)) < len(written)
    assert list((tmp_path / "records").iterdir()) == [tmp_path / "records/test.jsonl"]
