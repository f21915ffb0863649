"""The own puppetserver: put up by the Puppet module, awaited, and its classifier tried."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

from enc.programs import whole_file
from enc.programs.accounts import by_name
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from enc.terms.names import Certname
from enc.terms.program_words import why
from puppetmaster_self.instance.machine import Machine, ProgramFailed
from puppetmaster_self.transaction.steps.step import Step, StepWithoutUndo

SERVICE = "puppetserver.service"
_OURS = (SERVICE, "puppetmaster-*", "branch-manager*")
"""Units that the module may start."""
_OURSELVES = "puppetmaster-self-*"
"""Units that `puppetmaster-self` runs in, and that are none of the module's."""
_CHANGED = frozenset({0, 2})
_TIMEOUT = 300.0
_ASK = (
    "import ssl, sys, urllib.request\n"
    "context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
    "context.load_verify_locations(sys.argv[2])\n"
    "context.verify_flags |= 0x200000\n"
    "ask = urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})\n"
    "print(urllib.request.build_opener(*ask).open(sys.argv[1], timeout=5).status)\n"
)
"""Asks for readiness: the own puppetserver, by the own authority's certificate, for whoever runs here could hold its
port while it is dead. In a process of its own, which can be ended when its time is over.

The flag is X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h): a clock that is wrong does not make a living server dead.
"""


@dataclass(frozen=True)
class Apply(Step):
    """Applies the manifest that makes this machine a master."""

    manifest: str
    modulepath: tuple[str, ...]
    timeout: float
    name: ClassVar[str] = "apply"

    def summary(self) -> str:
        return "apply the Puppet code that makes this machine a master"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        return {"active": sorted(_active(machine))}

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        file = machine.places.base / "master.pp"
        whole_file.write(file, self.manifest.encode(), mode=0o600, survives=Strength.POWER_CUT)
        path = ("--modulepath", ":".join(self.modulepath)) if self.modulepath else ()
        command = ("puppet", "apply", "--detailed-exitcodes", "--color", "false", *path, str(file))
        done = machine.run(*command, timeout=self.timeout, good=_CHANGED)
        return counted(sum(line.startswith("Notice: /") for line in done.output.splitlines()), "change")

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Stop what is running that was not; its files go when the snapshot is brought back."""
        for unit in sorted(_active(machine) - set(remembered["active"])):
            machine.run("systemctl", "stop", unit, timeout=_TIMEOUT)
            machine.ask("systemctl", "disable", unit, timeout=_TIMEOUT)
        return []


@dataclass(frozen=True)
class Answering(StepWithoutUndo):
    """Waits until the own puppetserver answers."""

    port: int
    timeout: float
    name: ClassVar[str] = "answering"

    def summary(self) -> str:
        return f"wait until this instance's puppetserver answers on port {self.port}"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        began = time.monotonic()
        while not answers(machine, self.port):
            if time.monotonic() - began > self.timeout:
                raise ProgramFailed(f"did not answer within {self.timeout:.0f} s", where=SERVICE)
            state = machine.ask("systemctl", "is-failed", SERVICE, timeout=_TIMEOUT).output.strip()
            if state == "failed":
                words = machine.ask("journalctl", "-q", "-n", "200", "-o", "cat", "-u", SERVICE, timeout=_TIMEOUT)
                raise ProgramFailed(f"failed: {why(words.output)}", where=SERVICE)
            time.sleep(0.3)
        return f"after {time.monotonic() - began:.0f} s"


@dataclass(frozen=True)
class Classifier(StepWithoutUndo):
    """Asks the own classifier about this instance, as puppetserver does."""

    certname: Certname
    program: tuple[str, ...]
    """`enc` with its configuration."""
    user: str
    """puppetserver's account."""
    timeout: float = 60.0
    name: ClassVar[str] = "classifier"

    def summary(self) -> str:
        return f"ask this instance's classifier about {self.certname}, as {self.user}"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        who, began = by_name(self.user), time.monotonic()
        while True:
            done = machine.ask(*self.program, self.certname, timeout=_TIMEOUT, account=who)
            if done.status == 0 and done.output.strip():
                return "it answers"
            if time.monotonic() - began > self.timeout:
                raise ProgramFailed(f"has no answer about {self.certname}: {why(done.output)}", where=self.program[0])
            time.sleep(0.5)


def answers(machine: Machine, port: int) -> bool:
    """Tell whether the own puppetserver says that it serves; nobody else can say so, for it has to show who it is."""
    url = f"https://localhost:{port}/status/v1/simple"
    authority = str(machine.places.ssl / "certs/ca.pem")
    try:
        done = machine.ask(sys.executable, "-I", "-c", _ASK, url, authority, timeout=15)
    except ProgramFailed:
        return False
    return done.output.strip() == "200"


def _active(machine: Machine) -> set[str]:
    """Return the module's units that run, or are about to: at boot, systemd may have queued them."""
    told = ("--no-legend", "--plain", "--full")
    running = machine.run("systemctl", "list-units", *told, "--state=active,activating,reloading", timeout=_TIMEOUT)
    queued = machine.run("systemctl", "list-jobs", *told, timeout=_TIMEOUT)
    names = {line.split()[0] for line in running.output.splitlines() if line.split()}
    names |= {line.split()[1] for line in queued.output.splitlines() if line.split()[2:3] in (["start"], ["restart"])}
    ours = {name for name in names if any(fnmatchcase(name, pattern) for pattern in _OURS)}
    return {name for name in ours if not fnmatchcase(name, _OURSELVES)}


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs a program of this installation."""
    return (str(Path(sys.executable)), "-I", "-m", module)
