"""One event is one line, whatever is in it."""

from __future__ import annotations

import json
import logging

import pytest

from enc.programs import log
from enc.settings import LogSettings

HOSTILE = "a\nerror: forged\r\x1b[31m\u2028\x85 b"


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_text_cannot_be_split_or_forged(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(LogSettings())
    log.get("follower").warning("node %s", HOSTILE)
    try:
        int(HOSTILE)
    except ValueError:
        log.get("follower").exception("bad")
    lines = _lines(capsys)
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "puppetmaster.follower warning: node a\\nerror" in lines[0]
    assert "ValueError" in lines[1]


def test_under_systemd_the_journal_gives_the_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.setup(LogSettings())
    log.get("x").error("it")
    assert _lines(capsys) == ["error: it"]


def test_json_is_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(LogSettings(format="json"))
    log.get("x").error("%s", HOSTILE)
    (line,) = _lines(capsys)
    document = json.loads(line)
    assert (document["message"], document["level"], document["logger"]) == (HOSTILE, "error", "puppetmaster.x")


def test_the_level_is_a_setting_and_setting_up_again_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    log.setup(LogSettings(level="debug"))
    log.setup(LogSettings(level="error"))
    log.get("x").warning("quiet")
    log.get("x").error("loud")
    assert len(_lines(capsys)) == 1
    assert logging.getLogger("puppetmaster").propagate is False
