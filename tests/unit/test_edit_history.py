"""Which edits of the trail are shown: by age and by number, however long the trail is."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from enc.edits.audit import Trail
from enc.service import history
from enc.terms.errors import UsageError
from enc.terms.names import Certname, ProjectName

NOW = 1_793_541_600.0
"""2026-11-01T14:00:00Z"""


def written(file: Path, *times: str) -> Trail:
    lines = []
    for number, at in enumerate(times):
        subject, project = ("node web1.example.org", "red") if number % 2 else ("project blue", "blue")
        change = {"attribute": "puppetVar", "before": ["a=1"], "after": [f"a={number}"]}
        step = {"do": "modify", "dn": "cn=x", "changes": [change]}
        intent = {"event": "intent", "id": str(number), "time": at, "who": "root", "why": "w", "action": "node set"}
        lines.append({**intent, "bind_dn": "", "subject": subject, "project": project, "steps": [step]})
        lines.append({"event": "outcome", "id": str(number), "time": at, "outcome": "done"})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Trail(file)


def shown(trail: Trail, **wanted: object) -> list[str]:
    return [edit.id for edit in history.of(trail, **wanted).edits]  # type: ignore[arg-type]


def test_the_last_ones_of_what_is_asked_for(tmp_path: Path) -> None:
    trail = written(tmp_path / "trail", *(f"2026-11-0{day}T12:00:00Z" for day in range(1, 10)))
    assert shown(trail, last=2) == ["7", "8"]
    assert shown(trail, last=99) == shown(trail) == [str(number) for number in range(9)]
    assert shown(trail, node=Certname("web1.example.org"), last=1) == ["7"]
    assert shown(trail, project=ProjectName("blue"), since=history.moment("2026-11-07", NOW)) == ["6", "8"]
    assert shown(trail, since=history.moment("2026-11-03T12:00", NOW), last=1) == ["8"]


def test_a_clock_that_was_set_back_and_a_time_that_is_none_hide_nothing(tmp_path: Path) -> None:
    trail = written(tmp_path / "trail", "2026-11-05T12:00:00Z", "2026-11-01T12:00:00Z", "", "2026-11-06T12:00:00Z")
    assert shown(trail, since=history.moment("2026-11-05", NOW)) == ["0", "2", "3"]


@pytest.mark.parametrize(
    ("text", "before_now"),
    [
        *(("2h", 7200), ("3d", 259200), (" 90s", 90), ("1.5h", 5400), ("2026-11-01", 50400), ("9999d", 9999 * 86400)),
        *(("2026-11-01T13:30", 1800), ("2026-11-01 13:30:30", 1770), ("2026-11-01T13:30Z", 1800), ("1999-01-01", None)),
        *(("2026-11-01T13:30:00+01:00", 5400), ("2026-11-02", -36000), ("0001-01-01", NOW)),
    ],
)
def test_moments(text: str, before_now: float | None) -> None:
    found = history.moment(text, NOW)
    assert before_now is None or found == NOW - before_now


@pytest.mark.parametrize("text", ["", "yesterday", "2026", "5", "-2h", "2026-13-01", "01.11.2026", "2h ago", "x" * 999])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="write a date") as failure:
        history.moment(text, NOW)
    assert len(str(failure.value)) < 300


def test_a_long_trail_is_read_in_a_moment(tmp_path: Path) -> None:
    trail = written(tmp_path / "trail", *("2026-11-01T12:00:00Z",) * 20_000)
    began = time.process_time()
    assert len(shown(trail, last=10)) == 10
    assert time.process_time() - began < 20, "half a second, on an idle machine"
