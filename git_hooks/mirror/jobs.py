"""The one thread that looks at the forge: when a webhook says so, and every so often by itself.

Jobs for one branch that wait are one job. Nothing is kept on disk: at its
start, and after a look that failed, it looks at everything, which makes up for
any job that was lost.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import NamedTuple

from enc import log
from enc.errors import ToolkitError
from enc.names import BranchName
from enc.settings import Settings
from git_hooks.deploy import Deployer
from git_hooks.mirror.catch_up import CatchUp
from git_hooks.repository.reading import use_library

_RETRY = 15.0
"""Seconds after a failed look, at least, until the next."""


class _Waiting(NamedTuple):
    number: str
    branch: BranchName | None


class Jobs:
    """Takes jobs from any thread; `start` and `stop` once."""

    def __init__(self, settings: Settings) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._waiting: dict[BranchName | None, _Waiting] = {}
        self._wake = threading.Condition()
        self._ended = False
        self._log = log.get("mirror")
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Look at everything once, then serve jobs."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look under way."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join()

    def add(self, branch: BranchName | None) -> str:
        """Ask for a look at `branch` (None: at all); return the number of the job that will."""
        with self._wake:
            job = self._waiting.setdefault(branch, _Waiting(secrets.token_hex(8), branch))
            self._wake.notify()
            return job.number

    def _run(self) -> None:
        poll = self._settings.branches.mirror.poll
        due = time.monotonic()
        use_library()
        with Deployer(self._settings.branches) as deployer:
            catch_up = CatchUp(self._settings, deployer)
            while (taken := self._take(due)) is not None:
                everything = time.monotonic() >= due or None in taken
                numbers = " ".join(job.number for job in taken.values())
                failed = False
                try:
                    catch_up.look(None if everything else [branch for branch in taken if branch is not None])
                    if everything:
                        due = time.monotonic() + poll
                except ToolkitError as error:
                    failed = True
                    self._log.warning(
                        "looking at the forge failed%s: %s", f" (job {numbers})" if numbers else "", error
                    )
                except Exception:  # one iteration of the loop
                    failed = True
                    self._log.exception("a bug stopped a look at the forge")
                if failed:
                    due = time.monotonic() + min(_RETRY, poll)

    def _take(self, due: float) -> dict[BranchName | None, _Waiting] | None:
        """Wait for jobs or the time; return the jobs, None at the end."""
        with self._wake:
            while not self._ended and not self._waiting:
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._wake.wait(left)
            if self._ended:
                return None
            taken, self._waiting = self._waiting, {}
            return taken
