"""The agent: paused while things change, rehearsed against the own master, switched to it, run, resumed."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from enc.terms.errors import ToolkitError
from puppetmaster_self.instance import puppet_conf
from puppetmaster_self.instance.machine import Machine, ProgramFailed
from puppetmaster_self.transaction.noop_run import differences
from puppetmaster_self.transaction.steps.step import Step, StepWithoutUndo

UNIT = "puppet.service"
SECTION = "agent"
_TIMEOUT = 300.0
_CHANGED = frozenset({0, 2})
_NOTHING_APPLIED = 1
"""`puppet agent --test`: no run took place, or it had no catalog; 4 and 6 say that resources failed."""
_RUN = re.compile(rb"puppet[ \0]agent")


@dataclass(frozen=True)
class Pause(Step):
    """Stops the agent's service, if it runs: it must not read a configuration that is being made."""

    name: ClassVar[str] = "pause"
    vital: ClassVar[bool] = True

    def summary(self) -> str:
        return "stop the agent's service for now"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        return {"active": is_active(machine)}

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        if remembered["active"]:
            machine.run("systemctl", "stop", UNIT, timeout=_TIMEOUT)
        return "stopped" if remembered["active"] else "it is not running"

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Start it, if it ran."""
        if remembered["active"]:
            _start(machine)
        return []


@dataclass(frozen=True)
class Rehearsal(StepWithoutUndo):
    """Runs the agent against the own master without changing anything, and shows what would differ."""

    settings: Mapping[str, str]
    timeout: float
    name: ClassVar[str] = "rehearsal"

    def summary(self) -> str:
        return "run the agent in noop mode against this instance's master and show the differences"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        words = [word for name, value in self.settings.items() for word in (f"--{name}", value)]
        output = run(machine, *words, "--noop", timeout=self.timeout)
        whole_file.write(
            machine.places.transaction / "rehearsal.log", output.encode(), mode=0o600, survives=Strength.POWER_CUT
        )
        return "\n".join(would_change(output))


@dataclass(frozen=True)
class Switch(Step):
    """Gives the agent its new master, in one rename of puppet.conf."""

    config: Path
    settings: Mapping[str, str]
    name: ClassVar[str] = "switch"
    vital: ClassVar[bool] = True

    def summary(self) -> str:
        lines = "; ".join(f"{name} = {value}" for name, value in self.settings.items())
        return f"switch the agent, [{SECTION}] in {self.config}: {lines}"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        del machine
        text = _read(self.config)
        wanted = {name: puppet_conf.setting_line(name, value) for name, value in self.settings.items()}
        return {
            "config": str(self.config),
            "settings": dict(self.settings),
            "lines": puppet_conf.lines_of(SECTION, text, frozenset(wanted)),
            "before": text,
            "after": puppet_conf.changed(SECTION, text, wanted),
        }

    @classmethod
    def from_remembered(cls, remembered: Mapping[str, Any]) -> Switch:
        """Return the step of which this was remembered."""
        return cls(Path(remembered["config"]), remembered["settings"])

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        _write(self.config, remembered["after"])
        machine.run("systemctl", "try-restart", UNIT, timeout=_TIMEOUT)
        return self.settings["server"]

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Give the agent its old master back; what others changed in puppet.conf since stays."""
        config = Path(remembered["config"])
        text = _read(config)
        if text == remembered["after"]:
            back = remembered["before"]
        else:
            back = puppet_conf.changed(SECTION, text, remembered["lines"])
        if back != text:
            _write(config, back)
        machine.run("systemctl", "try-restart", UNIT, timeout=_TIMEOUT)
        return []


@dataclass(frozen=True)
class RealRun(StepWithoutUndo):
    """Runs the agent as it is configured now."""

    timeout: float
    name: ClassVar[str] = "run"

    def summary(self) -> str:
        return "run the agent"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        output = run(machine, timeout=self.timeout)
        return counted(sum(line.startswith("Notice: /") for line in output.splitlines()), "change")


@dataclass(frozen=True)
class Resume(Step):
    """Starts the agent's service again, if it ran."""

    active: bool
    name: ClassVar[str] = "resume"
    vital: ClassVar[bool] = True

    def summary(self) -> str:
        return "start the agent's service again"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        del machine
        return {"active": self.active}

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        if remembered["active"]:
            _start(machine)
        return "started" if remembered["active"] else "it was not running"

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Stop it: the files change again. The undo of `Pause` starts it."""
        if remembered["active"]:
            machine.run("systemctl", "stop", UNIT, timeout=_TIMEOUT)
        return []


def run(machine: Machine, *words: str, timeout: float) -> str:
    """Run the agent once and return its output; raise `ProgramFailed` if it has no catalog or a resource fails.

    If it ends with the status that says that nothing was applied, it is run once more: Puppet gives up, instead of
    going on, when the run whose lock it finds ends while it asks ps about it (util/pidlock.rb).
    """
    command = ("puppet", "agent", "--test", "--color", "false", "--waitforcert", "0", *words)
    command = (*command, "--waitforlock", "5", "--maxwaitforlock", "600")
    try:
        return machine.run(*command, timeout=timeout, good=_CHANGED).output
    except ProgramFailed as error:
        if error.status != _NOTHING_APPLIED:
            raise
    return machine.run(*command, timeout=timeout, good=_CHANGED).output


def await_end(machine: Machine, limit: float = 7200.0) -> None:
    """Return when no run of the agent is under way; raise `ToolkitError` if that takes longer than `limit` seconds.

    A run holds the lock, with its process id in it, until it has sent its
    report. A lock that a crash left names a process that is gone, or that is
    another program by now; so Puppet looks at the process's words, too.
    """
    words = ("puppet", "config", "print", "agent_catalog_run_lockfile", "--section", "agent")
    lock = Path(machine.run(*words, timeout=60).output.strip().rpartition("\n")[2])
    began = time.monotonic()
    while _under_way(lock):
        if time.monotonic() - began > limit:
            raise ToolkitError(f"a run of the agent is still under way after {limit:.0f} s", where=str(lock))
        time.sleep(0.5)


def _under_way(lock: Path) -> bool:
    try:
        process = int(lock.read_text(encoding="ascii"))
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return _RUN.search(command) is not None


def would_change(output: str) -> list[str]:
    """Return for people what a run in noop would have changed: how much, and what."""
    found = differences(output, _everybody_reads)
    told = [line for what, *how in found for line in (what, *(f"  {one}" for one in how))]
    return [counted(len(found), "difference"), *told]


def _everybody_reads(path: str) -> bool:
    """Tell whether every account of the machine may read a file, by its modes and those of the directories above."""
    place = Path(path)
    try:
        passed = all(above.stat().st_mode & stat.S_IXOTH for above in place.parents)
        return place.is_absolute() and passed and bool(place.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _start(machine: Machine) -> None:
    """Start the service. Nobody waits: at boot it may not start before the recovery has ended, which calls this."""
    machine.run("systemctl", "start", "--no-block", UNIT, timeout=_TIMEOUT)


def is_active(machine: Machine) -> bool:
    """Tell whether the agent's service runs."""
    return machine.ask("systemctl", "is-active", UNIT, timeout=_TIMEOUT).output.strip() in {"active", "activating"}


def _read(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _write(config: Path, text: str) -> None:
    mode, owner = 0o644, None
    if config.exists():
        status = config.stat()
        mode, owner = status.st_mode & 0o7777, (status.st_uid, status.st_gid)
    whole_file.write(config.resolve(), text.encode(), mode=mode, owner=owner, survives=Strength.POWER_CUT)
