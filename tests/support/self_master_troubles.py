"""Failures that are not kills, brought about where our programs meet the system, and tried at every step of an act.

A trouble begins at a step and lasts until `end`. Each is tried in a process of
its own, forked while the act is about to take the step; then the machine's
files are put back, and the act goes on to the next.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from enc.terms.errors import ToolkitError
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.transaction import disable, recover
from tests.support.scripted_machine import ScriptedMachine

Tell = Callable[[str], None]
Act = Callable[[Journal, Machine, Tell], None]
KEEPS_ITS_ROOM = shutil.ignore_patterns("reserve")


class Trouble:
    """One kind of failure."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(self) -> None:
        """Let it begin."""

    def end(self) -> None:
        """Let it be over."""


class Hangup(Trouble):
    """The terminal is closed: writing there is EIO, and signals come, one after the other."""

    def begin(self) -> None:
        ours, theirs = os.openpty()
        sys.stderr = os.fdopen(theirs, "w", buffering=1)
        os.close(ours)
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGCONT):
            with suppress(ProcessLookupError):
                os.kill(os.getpid(), number)


class Ended(Trouble):
    """SIGTERM while the next program runs, and again while it is ended."""

    def begin(self) -> None:
        whole = subprocess.Popen.communicate

        def communicate(child: subprocess.Popen[bytes], *words: object, **more: object) -> object:
            os.kill(os.getpid(), signal.SIGTERM)
            return whole(child, *words, **more)  # type: ignore[arg-type]

        self.whole = whole
        subprocess.Popen.communicate = communicate  # type: ignore[method-assign,assignment]

    def end(self) -> None:
        subprocess.Popen.communicate = self.whole  # type: ignore[method-assign]


class Eio(Trouble):
    """Whatever we write or sync is EIO."""

    number = errno.EIO

    def begin(self) -> None:
        self.write, self.sync = os.write, os.fsync
        os.write, os.fsync = self._write, self._sync

    def end(self) -> None:
        os.write, os.fsync = self.write, self.sync

    def _write(self, handle: int, data: bytes) -> int:  # type: ignore[override]
        return self._fail(handle) or self.write(handle, data)

    def _sync(self, handle: int) -> None:  # type: ignore[override]
        if not self._fail(handle):
            self.sync(handle)

    def _fail(self, handle: int) -> int:
        if self._ours(handle):
            raise OSError(self.number, os.strerror(self.number))
        return 0

    def _ours(self, handle: int) -> bool:
        return Path(f"/proc/self/fd/{handle}").readlink().is_relative_to(self.root)


class Short(Eio):
    """One write is short, and from then on there is no room for ours."""

    number = errno.ENOSPC
    room = 9

    def _write(self, handle: int, data: bytes) -> int:
        if self.room and self._ours(handle):
            room, self.room = self.room, 0
            return self.write(handle, data[:room])
        return super()._write(handle, data)


class Full(Trouble):
    """Not one byte more fits into any file, by us or by programs: the kernel says so."""

    def begin(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self.before[1]))

    def end(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


TROUBLES: dict[str, type[Trouble]] = {
    "hangup": Hangup,
    "ended": Ended,
    "eio": Eio,
    "short": Short,
    "full": Full,
}
UNHEARD = "unheard"
"""Nobody reads what is told, all the time; what goes on all the same, goes on to the next step."""


class Walk:
    """One act on one machine, with every trouble at every step of it."""

    def __init__(self, scripted: ScriptedMachine, say: Tell, before: dict[str, tuple[object, ...]]) -> None:
        self.scripted = scripted
        self.say = say
        self.before = before
        """How the machine has to look in the end."""
        self.results: dict[tuple[str, str], str] = {}
        """Step and trouble to what was wrong afterwards; empty: nothing."""
        self._seen: set[str] = set()
        self._within = False

    def go(self, act: Act) -> None:
        """Do it."""

        def tell(line: str) -> None:
            words = line.removeprefix("undo ").split()
            if not self._within and line[:1] != " " and words and self._try(words[0].rstrip(":"), act):
                self._within = True
            self.say(line)

        self._tell = tell
        try:
            act(self.scripted.journal, self.scripted.machine, tell)
        except BaseException as error:
            if not self._within:
                raise
            self._ended = f"{type(error).__name__}: {error}"
        else:
            self._ended = "done"
        if self._within:
            self._report()

    def _try(self, step: str, act: Act) -> bool:
        """Try all troubles at a step, each in a child; return True in the child."""
        del act
        if step in self._seen:
            return False
        self._seen.add(step)
        self.results[step, UNHEARD] = ""
        saved = self.scripted.root.with_name("saved")
        shutil.copytree(self.scripted.root, saved, symlinks=True, ignore=KEEPS_ITS_ROOM)
        for name, kind in TROUBLES.items():
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                self._pipe = writing
                self._trouble = kind(self.scripted.root)
                self._within = True
                self._trouble.begin()
                return True
            os.close(writing)
            with os.fdopen(reading, "rb") as stream:
                said = stream.read().decode()
            os.waitpid(child, 0)
            self.results[step, name] = said.removeprefix("fine") if said.startswith("fine") else said or "it died"
            shutil.rmtree(self.scripted.root)
            shutil.copytree(saved, self.scripted.root, symlinks=True)
        shutil.rmtree(saved)
        return False

    def _report(self) -> None:
        """In the child: look at what the trouble has left, end it, and end this process."""
        said = ""
        try:
            wrong = self._wrong()
            said = f"{wrong} (the act ended with: {self._ended})" if wrong else "fine"
        except BaseException:
            said = f"{self._ended}; then {traceback.format_exc()}"
        finally:
            with os.fdopen(self._pipe, "wb") as stream:
                stream.write(said.encode())
            os._exit(0)

    def _wrong(self) -> str:
        scripted = self.scripted
        if scripted.served_by == "nobody":
            return "nobody serves"
        with suppress(ToolkitError):
            recover(scripted.journal, scripted.machine, self.say)
        if scripted.served_by == "nobody":
            return "nobody serves after a recovery within the trouble"
        if not (scripted.root / "system/active/puppet.service").exists():
            return "the agent's service is left stopped"
        self._trouble.end()
        recover(scripted.journal, scripted.machine, self.say)
        state, by = scripted.journal.state, scripted.served_by
        if (state, by) not in (("client", "central"), ("serving", "own")):
            return f"{state}, served by {by}"
        if state == "serving":
            disable(scripted.journal, scripted.machine, lambda: None, lambda: None, self.say)
        if scripted.journal.state != "client":
            return f"there is no way back from {scripted.journal.state}"
        now = scripted.look()
        differing = {path for path in {*now, *self.before} if now.get(path) != self.before.get(path)}
        return f"left otherwise: {sorted(differing)}" if differing else ""
