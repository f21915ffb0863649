"""A server process that we started: its pid file, and ending it by that pid alone.

A pid is reused sooner or later, so the file holds the process's start time
beside it, and a pid whose start time differs counts as gone: a foreign process
is never signalled. Owns nothing of what the process does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enc.terms.errors import ToolkitError

_WITH_ITS_SIGNALS = ("/usr/bin/env", "--default-signal=HUP,INT,QUIT")
"""Ignored signals are inherited (signal(7)); env(1) of coreutils 8.31 and later gives them back."""


class ProcessFailed(ToolkitError):
    """A program that we run did not do what it was started for; notes hold its last words."""


@dataclass(frozen=True)
class _Recorded:
    pid: int
    start_time: int


def start_time(pid: int) -> int | None:
    """Return when process `pid` began, in clock ticks since boot; None if it has ended.

    A zombie has ended. The source is field 22 of /proc/PID/stat (proc(5)).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The program's name stands in parentheses and may hold anything, so split behind the last one.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


class OwnedProcess:
    """One background process, known by its pid file across our own runs."""

    def __init__(self, pid_file: Path, name: str) -> None:
        self.pid_file = pid_file
        self.name = name
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process while it runs and is the one that was started, else None."""
        recorded = self._recorded()
        if recorded is None or start_time(recorded.pid) != recorded.start_time:
            return None
        return recorded.pid

    def start(
        self,
        command: Sequence[str],
        *,
        output: Path,
        directory: Path,
        environment: Mapping[str, str],
        umask: int = 0o027,
    ) -> int:
        """Start `command` in a session of its own and return its pid.

        stdout and stderr go to `output`, which is begun anew. It takes the
        signals that we ignore (nohup(1), a script's background). Raises
        `ProcessFailed` if the process runs already or the program is missing.
        """
        running = self.pid
        if running is not None:
            raise ProcessFailed(
                f"{self.name} runs already (pid {running}); stop it first", where=str(self.pid_file)
            )
        if shutil.which(command[0], path=environment.get("PATH")) is None:
            raise ProcessFailed(f"{self.name} cannot be started: No such file, or not executable", where=command[0])
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as stream:
            try:
                self._child = subprocess.Popen(
                    [*_WITH_ITS_SIGNALS, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    cwd=directory,
                    env=dict(environment),
                    umask=umask,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessFailed(f"{self.name} cannot be started: {error}", where=command[0]) from error
        pid = self._child.pid
        # Between fork and here a kill -9 of ours would leave the child unrecorded; it is recorded at once.
        self.pid_file.write_text(f"{pid} {start_time(pid) or 0}\n", encoding="ascii")
        return pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; raise `ProcessFailed` if the process does not run."""
        pid = self.pid
        if pid is None:
            raise ProcessFailed(f"{self.name} does not run", where=str(self.pid_file))
        _send(pid, number)

    def stop(self, *, timeout: float = 30.0) -> bool:
        """End the process (SIGTERM, SIGKILL after `timeout` seconds); tell whether it ran."""
        pid = self.pid
        ran = pid is not None
        if pid is not None:
            _send(pid, signal.SIGTERM)
            if not self._ended(timeout):
                _send(pid, signal.SIGKILL)
                if not self._ended(timeout):
                    raise ProcessFailed(f"{self.name} cannot be ended", where=str(self.pid_file))
        if self._child is not None:
            self._child.wait()
            self._child = None
        self.pid_file.unlink(missing_ok=True)
        return ran

    def _ended(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.pid is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _recorded(self) -> _Recorded | None:
        try:
            pid, began = self.pid_file.read_text(encoding="ascii").split()
            return _Recorded(int(pid), int(began))
        except (FileNotFoundError, ValueError):
            return None


def _send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended in this moment."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
