"""The one thread that looks at the forge: when a webhook says so, when a try is due, and every so often by itself.

Jobs for one branch that wait are one job, and what comes too often waits
(pace.py). Nothing of jobs is kept on disk: at its start, and after a look that
failed, it looks at everything, which makes up for any job that was lost. What
somebody asked for and the forge could not be asked about is tried with that
look, whatever its pause.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from typing import NamedTuple

from enc.programs import log
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName
from git_hooks.deploy.deployer import Deployer
from git_hooks.mirror.catch_up import CatchUp
from git_hooks.mirror.pace import BURST, BURST_OF_ALL, GAP, GAP_OF_ALL, Pace
from git_hooks.repository.reading import use_library

_AT_LEAST = 0.5
"""Seconds between two looks that nobody asked for."""
_AFTER_A_BUG = 15.0
"""Seconds after a look that a bug stopped until the next."""


class _Waiting(NamedTuple):
    number: str
    branch: BranchName | None


class Jobs:
    """Takes jobs from any thread; `start` and `stop` once."""

    def __init__(self, settings: Settings) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._waiting: dict[BranchName | None, _Waiting] = {}
        self._each = Pace(BURST, GAP)
        self._together = Pace(BURST_OF_ALL, GAP_OF_ALL)
        self._wake = threading.Condition()
        self._ended = False
        self._log = log.get("mirror")
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Look at everything once, then serve jobs."""
        # Where earlier versions noted webhooks, so as to take each only once.
        shutil.rmtree(self._settings.branches.store / "mirror/deliveries", ignore_errors=True)
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
        poll = float(self._settings.branches.mirror.poll)
        everything_at = due = time.monotonic()
        owed: set[BranchName] = set()
        use_library()
        with Deployer(self._settings.branches, domains=self._settings.domains) as deployer:
            catch_up = CatchUp(self._settings, deployer)
            while (taken := self._take(due)) is not None:
                everything = time.monotonic() >= due or None in taken
                asked = owed | {branch for branch in taken if branch is not None}
                numbers = " ".join(job.number for job in taken.values())
                wait: float | None = None
                try:
                    catch_up.look(None if everything else asked, urgent=asked)
                    owed = set()
                    now = time.monotonic()
                    everything_at = now + poll if everything else everything_at
                    left = catch_up.tries.seconds_left()
                    due = everything_at if left is None else min(everything_at, now + max(left, _AT_LEAST))
                except (ToolkitError, OSError) as error:
                    owed, wait = asked, catch_up.tries.seconds_left()
                    self._log.warning(
                        "looking at the forge failed%s: %s", f" (job {numbers})" if numbers else "", error
                    )
                except Exception:  # one iteration of the loop
                    owed, wait = asked, _AFTER_A_BUG
                    self._log.exception("a bug stopped a look at the forge")
                if wait is not None:
                    everything_at = due = time.monotonic() + wait

    def _take(self, due: float) -> dict[BranchName | None, _Waiting] | None:
        """Wait for jobs or the time; return the jobs, None at the end."""
        with self._wake:
            while not self._ended:
                now = time.monotonic()
                at = due
                if self._waiting:
                    ready_at = min(self._each.ready_at(branch) for branch in self._waiting)
                    at = min(due, max(ready_at, self._together.ready_at(None)))
                if at <= now:
                    break
                self._wake.wait(at - now)
            if self._ended:
                return None
            ready = {branch: job for branch, job in self._waiting.items() if self._each.ready_at(branch) <= now}
            if now >= due:
                ready = dict(self._waiting)
            for branch in ready:
                del self._waiting[branch]
            if ready:
                self._each.spend(ready, now)
                self._together.spend([None], now)
            return ready
