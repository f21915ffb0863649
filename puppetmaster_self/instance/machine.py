"""The instance as `puppetmaster-self` touches it: where things are, and programs that are run on it.

The only edge towards other programs for the steps. A program that is killed
with us is not left behind unseen: every child holds the instance's lock, so
nobody begins to undo what a child still does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enc.programs.accounts import Account
from enc.programs.log import all_said, get
from enc.terms.errors import ToolkitError
from enc.terms.program_words import why

_FOREIGN = ("RUBY", "GEM_", "BUNDLE_", "FACTER_", "GIT_", "PYTHON")
"""Beginnings of environment variables that would make programs behave otherwise than at boot."""


class ProgramFailed(ToolkitError):
    """A program did not do what it was started for; what it said about that is in the message."""

    status: int | None = None
    """Its exit status; None: it did not start, or did not end in its time."""


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    status: int
    output: str
    """stdout and stderr together."""


@dataclass(frozen=True)
class Places:
    """Where things of the self-master are. Everything else is asked for."""

    base: Path
    units: Path = Path("/etc/systemd/system")
    lock: Path = Path("/run/puppetmaster-self.lock")

    @property
    def dead(self) -> Path:
        """For how long the own puppetserver has not answered: beside the lock, where no full disk reaches."""
        return self.lock.with_suffix(".dead")

    @property
    def transaction(self) -> Path:
        """Journal, history, what went to LDAP last."""
        return self.base / "transaction"

    @property
    def snapshot(self) -> Path:
        """How things were."""
        return self.transaction / "snapshot"

    @property
    def kept(self) -> Path:
        """What must never be lost: local commits, files that others had changed."""
        return self.base / "kept"

    def kept_from(self, now: float) -> Path:
        """Return a place below `kept` that nothing has, named after the time, or a later one if the clock went back."""
        second = int(now)
        while (self.kept / str(second)).exists():
            second += 1
        return self.kept / str(second)

    @property
    def ssl(self) -> Path:
        """The one ssldir of the own puppetserver and its agent. What it stands in belongs to puppetserver's account."""
        return self.base / "master/ssl"

    @property
    def authority(self) -> Path:
        """The own certificate authority."""
        return self.base / "master/ca"

    @property
    def repository(self) -> Path:
        """The instance's own bare repository."""
        return self.base / "repository.git"

    @property
    def environments(self) -> Path:
        """The own puppetserver's environmentpath."""
        return self.base / "environments"

    @property
    def store(self) -> Path:
        """Versions of environments."""
        return self.base / "store"

    @property
    def modules(self) -> Path:
        """A modulepath in which the toolkit's own module is."""
        return self.base / "modules"

    @property
    def sync(self) -> Path:
        """What the last sync said, and what is under way."""
        return self.base / "sync"

    @property
    def configuration(self) -> Path:
        """What the branch manager and the signing policy of the self-master read."""
        return self.base / "config.yaml"

    @property
    def autosign(self) -> Path:
        """The program that the own puppetserver asks about requests of other instances."""
        return self.base / "autosign"


@dataclass
class Machine:
    """Runs programs; holds nothing else."""

    places: Places
    lock_handle: int | None = None
    path: str = field(default_factory=lambda: f"{os.environ.get('PATH', os.defpath)}:/opt/puppetlabs/bin")
    """Puppet's and OpenVox's packages put `puppet` where neither systemd nor sudo look."""

    def now(self) -> float:
        """Return the time, in seconds since 1970."""
        return time.time()

    def has(self, program: str) -> bool:
        """Tell whether a program is there."""
        return shutil.which(program, path=self.path) is not None

    def ask(
        self,
        *command: str,
        timeout: float,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
    ) -> Done:
        """Run a program and return how it ended; raise `ProgramFailed` if it is missing or takes too long.

        With `account`, it runs as that one and gets none of root's variables.
        An interrupt lets the program end in order before it goes on.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        kept = {} if account is not None else kept
        kept |= {"PATH": self.path, "LC_ALL": "C.UTF-8", **(environment or {})}
        identity: dict[str, Any] = {}
        if account is not None and os.geteuid() != account.uid:
            groups = os.getgrouplist(account.name, account.gid)
            identity = {"user": account.uid, "group": account.gid, "extra_groups": groups}
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=directory or "/",
                env=kept,
                pass_fds=() if self.lock_handle is None else (self.lock_handle,),
                start_new_session=True,
                **identity,
            )
        except OSError as error:
            raise ProgramFailed(f"cannot be started: {error.strerror}", where=command[0]) from error
        try:
            output, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _end(child)
            raise ProgramFailed(f"did not end within {timeout:.0f} s", where=" ".join(command)) from error
        except BaseException:
            _end(child)
            raise
        return Done(child.returncode, output.decode("utf-8", errors="replace"))

    def run(
        self,
        *command: str,
        timeout: float,
        good: frozenset[int] = frozenset({0}),
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a program that must end with one of the `good` statuses, else raise `ProgramFailed`."""
        done = self.ask(*command, timeout=timeout, directory=directory, environment=environment)
        if done.status not in good:
            reason, where = why(done.output), " ".join(command[:6])
            all_said(get("self"), command[0], done.output, reason)
            failure = ProgramFailed(f"ended with {done.status}: {reason}", where=where)
            failure.status = done.status
            raise failure
        return done


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    try:
        child.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        # Whoever left the group may still hold the pipe.
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=5)
