"""A recorded process is ended; a stranger that got its pid is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from puppetmaster_quickstart.owned_process import OwnedProcess, ProcessFailed, start_time
from tests.support.following import eventually


def start(process: OwnedProcess, *command: str) -> int:
    directory = process.pid_file.parent
    return process.start(command, output=directory / "out", directory=directory, environment={"PATH": "/bin:/usr/bin"})


def test_start_once_and_stop_from_another_run(tmp_path: Path) -> None:
    first = OwnedProcess(tmp_path / "pid", "sleeper")
    pid = start(first, "sleep", "60")
    later = OwnedProcess(tmp_path / "pid", "sleeper")
    assert later.pid == pid
    with pytest.raises(ProcessFailed, match="runs already"):
        start(later, "sleep", "60")
    assert later.stop() is True
    assert start_time(pid) is None
    first.stop()


def test_a_stranger_with_the_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()} 12345\n")
    process = OwnedProcess(tmp_path / "pid", "sleeper")
    assert process.pid is None
    with pytest.raises(ProcessFailed, match="does not run"):
        process.signal(signal.SIGTERM)
    assert process.stop() is False


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = OwnedProcess(tmp_path / "pid", "stubborn")
    pid = start(process, "bash", "-c", "trap '' TERM; echo ready; while :; do read -rt 1 <> <(:); done")
    while (tmp_path / "out").read_text() != "ready\n":
        pass
    assert process.stop(timeout=0.3) is True
    assert start_time(pid) is None


def test_it_takes_signals_also_where_who_starts_it_ignores_them(tmp_path: Path) -> None:
    """As what runs under nohup does, or in a script's background: puppetserver reloads at a SIGHUP."""
    process = OwnedProcess(tmp_path / "pid", "sleeper")
    former = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        pid = start(process, "sleep", "60")
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "it is the program")
    process.signal(signal.SIGHUP)
    eventually(lambda: start_time(pid) is None, "it ends")
    assert process.stop() is False


def test_a_missing_program_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"no-such-program: sleeper cannot be started: .*No such file"):
        start(OwnedProcess(tmp_path / "pid", "sleeper"), "no-such-program")
