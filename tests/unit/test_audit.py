"""The trail: nothing splits a line, a power cut costs one line at most, no trail no edit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.edits.audit import DONE, INTERRUPTED, Edit, Trail
from enc.edits.change import Change, Step
from enc.terms.errors import ToolkitError, UsageError
from enc.terms.names import ProjectName
from tests.support.disks import files_end_at

STEP = Step("modify", "cn=x,dc=example", (Change("puppetVar", ("a=1",), ("a=2",)),))


def begin(trail: Trail, why: str = "because", who: str = "root") -> Edit:
    return trail.begin(who=who, why=why, action="node set", subject="node x", project=ProjectName("red"), steps=(STEP,))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "deep" / "trail.jsonl")
    done = trail.end(begin(trail), DONE)
    open_one = begin(trail)
    assert trail.read() == ([done, open_one], [])
    assert open_one.outcome == INTERRUPTED
    assert stat.S_IMODE(trail.file.stat().st_mode) & 0o007 == 0


def test_a_torn_last_line_is_reported_and_does_not_harm_the_next(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "trail.jsonl")
    first = trail.end(begin(trail), DONE)
    begin(trail)
    os.truncate(trail.file, trail.file.stat().st_size - 20)
    second = begin(trail)
    edits, problems = trail.read()
    assert edits == [first, second]
    assert len(problems) == 1
    assert f"{trail.file}:3" in problems[0]


def test_an_edit_that_finds_no_room_leaves_no_trace_and_the_next_is_whole(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "trail.jsonl")
    first = trail.end(begin(trail), DONE)
    with files_end_at(trail.file.stat().st_size + 40):
        for _ in range(2):
            with pytest.raises(ToolkitError, match=r"audit trail cannot be written.*ulimit.*see audit.file"):
                begin(trail)
    second = begin(trail)
    assert trail.read() == ([first, second], [])


@given(text=st.text(min_size=1, max_size=50).filter(str.strip))
def test_no_text_splits_a_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    trail = Trail(tmp_path_factory.mktemp("t") / "trail.jsonl")
    begin(trail, why=text, who=text)
    assert trail.file.read_bytes().count(b"\n") == 1
    (edit,), problems = trail.read()
    assert (edit.why, edit.who, problems) == (text.strip(), text, [])


@pytest.mark.parametrize("why", ["", " \n", "x" * 1001])
def test_a_reason_is_needed(tmp_path: Path, why: str) -> None:
    with pytest.raises(UsageError):
        begin(Trail(tmp_path / "trail.jsonl"), why=why)
    assert not (tmp_path / "trail.jsonl").exists()


def test_a_trail_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "trail.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ToolkitError, match="cannot be written"):
        begin(Trail(tmp_path / "trail.jsonl"))
    with pytest.raises(ToolkitError, match="cannot be written"):
        begin(Trail(tmp_path / "elsewhere" / "trail.jsonl"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ToolkitError, match="not a regular file"):
        begin(Trail(tmp_path / "pipe"))


def test_an_outcome_whose_beginning_was_rotated_away_is_told_as_that(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "trail.jsonl")
    edit = begin(trail)
    trail.file.rename(tmp_path / "trail.1")
    trail.end(edit, DONE)
    assert [problem.count("rotated away") for problem in trail.read()[1]] == [1]
