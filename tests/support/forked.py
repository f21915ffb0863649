"""`enc-admin`, forked from a process that has loaded it: a start then costs what the program does, not its imports.

For tests that start it hundreds of times. It is the same `main` with the same
words in a process of its own, which has its own pid and may be killed; what a
real start does before `main` writes nothing. That the real program starts and
ends is shown elsewhere, with `Following.start`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from functools import partial
from pathlib import Path

from enc.programs.entrypoint import run
from tests.support.quick import main

_FORKING = multiprocessing.get_context("forkserver")
# `pytest`, because multiprocessing looks in each process for the module that this one was started as.
_FORKING.set_forkserver_preload(["pytest", "enc.commands.follow", __name__])


class Forked:
    """One run of a program of quick.py with `words`; what it logs is added to `log`."""

    def __init__(self, words: tuple[str, str, str], log: Path) -> None:
        self._process = _FORKING.Process(target=_run, args=(words, log))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Return its exit status, or minus the signal that ended it."""
        self._process.join(timeout)
        status = self._process.exitcode
        assert status is not None, f"{self.pid} does not end"
        return status


def _run(words: tuple[str, str, str], log: Path) -> None:
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 2)
    os.chdir("/")
    sys.exit(run(words[0], partial(main, *words)))
