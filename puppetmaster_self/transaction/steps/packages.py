"""Packages: installed by their own program, and taken away again if they were not there before.

What was installed since by others, and needs one of ours, stays, and so does what it needs: before anything is
removed, the package program is asked what would go along.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from enc.puppet import packages as puppet_packages
from enc.terms.counted import counted
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.steps import accounts
from puppetmaster_self.transaction.steps.step import Step

_WITHOUT_QUESTIONS = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
_APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Options::=--force-confold")
INSTALL: Mapping[str, tuple[str, ...]] = {
    "apt": (*_APT, "--no-install-recommends", "install"),
    "dnf": ("dnf", "-y", "install"),
}
REMOVE: Mapping[str, tuple[str, ...]] = {
    "apt": (*_APT, "purge"),
    "dnf": ("dnf", "-y", "--noautoremove", "remove"),
}
_TAKES: Mapping[str, tuple[str, ...]] = {
    "apt": ("apt-get", "-q", "--simulate", "purge"),
    "dnf": (
        *("dnf", "--quiet", "--disablerepo=*", "repoquery", "--installed", "--recursive"),
        *("--queryformat", "Remv %{name}\n", "--whatrequires"),
    ),
}
"""Tells, a line each (`Purg NAME …`, `Remv NAME …`), what goes if the named packages do; needs no network."""
_FIRST_MEND: Mapping[str, tuple[str, ...]] = {"apt": ("dpkg", "--configure", "--pending", "--force-confold")}
"""After a crash in the middle of an installation."""
_IMPATIENT = tuple(f"-oAcquire::{name}" for name in ("Retries=0", "http::Timeout=20", "https::Timeout=20"))
_COMPLETE = (*INSTALL["apt"], *_IMPATIENT, "--fix-broken")
"""Unpacks again what dpkg was killed at: then dpkg knows all its files, and removes them. apt has fetched it before."""
_PURGE_HALF = ("dpkg", "--purge", "--force-remove-reinstreq", "--force-depends")
"""If that cannot be: dpkg forgets of it what it knows. What needs it goes in the next moment."""


@dataclass(frozen=True)
class Packages(Step):
    """Installs what is missing of `names`, and what that needs."""

    tool: str
    names: tuple[str, ...]
    timeout: float
    name: ClassVar[str] = "packages"

    def summary(self) -> str:
        return f"install {', '.join(self.names)}" if self.names else "install nothing"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        return {"tool": self.tool, "timeout": self.timeout, "before": accounts.look(machine, self.tool)}

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        if self.names:
            command = (*INSTALL[self.tool], *self.names)
            machine.run(*command, timeout=self.timeout, environment=_WITHOUT_QUESTIONS)
        now = accounts.look(machine, self.tool)["packages"]
        new = counted(len(set(now) - set(remembered["before"]["packages"])), "package is new", "packages are new")
        return "; security: ".join([new, *puppet_packages.warnings()])

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Remove what was not there before and is not from others: packages, overrides, then accounts."""
        tool, before = remembered["tool"], remembered["before"]
        timeout = float(remembered["timeout"])
        if tool in _FIRST_MEND:
            machine.ask(*_FIRST_MEND[tool], timeout=timeout, environment=_WITHOUT_QUESTIONS)
        told = _without_half(machine, before["packages"], timeout) if tool == "apt" else []
        now = accounts.look(machine, tool)
        left = now
        marked = machine.places.snapshot / "left-owned.json"
        if marked.exists():
            left = json.loads(marked.read_text(encoding="utf-8"))
        new = {kind: sorted((set(now[kind]) & set(left[kind])) - set(before[kind])) for kind in now}
        staying, needed_by = _needed(machine, tool, new["packages"], timeout)
        new["packages"] = [name for name in new["packages"] if name not in staying]
        if new["packages"]:
            machine.run(*REMOVE[tool], *new["packages"], timeout=timeout, environment=_WITHOUT_QUESTIONS)
        if staying:
            names, others = ", ".join(sorted(staying)), ", ".join(sorted(needed_by))
            told.append(f"{names} and all new accounts stay: removing them would also remove {others}, installed later")
            # Nobody knows which package an account is of.
            new |= {kind: [] for kind in ("overrides", "users", "groups")}
        # An override that names an account which is gone would stop dpkg for good, so it goes first.
        for path in new["overrides"]:
            machine.run("dpkg-statoverride", "--remove", path, timeout=timeout)
        for user in new["users"]:
            machine.run("userdel", user, timeout=timeout)
        # userdel takes the group of the same name along.
        gone = set(new["groups"]) - set(accounts.look(machine, tool)["groups"])
        for group in new["groups"]:
            if group not in gone:
                machine.run("groupdel", group, timeout=timeout)
        if new["packages"]:
            told.append(f"removed {counted(len(new['packages']), 'package')}")
        return told


def _needed(machine: Machine, tool: str, names: Sequence[str], timeout: float) -> tuple[set[str], set[str]]:
    """Return which of our packages have to stay, and the others, not ours, that would go along with them."""
    ours = set(names)
    others = removed_with(machine, tool, names, timeout) - ours
    if not others:
        return set(), others
    staying = {name for name in names if removed_with(machine, tool, [name], timeout) - ours}
    # Of two that can stand in for each other, neither is needed alone.
    if removed_with(machine, tool, sorted(ours - staying), timeout) - ours:
        staying = ours
    return staying, others


def removed_with(machine: Machine, tool: str, names: Sequence[str], timeout: float) -> set[str]:
    """Return all packages that go if `names` are removed."""
    if not names:
        return set()
    lines = machine.run(*_TAKES[tool], *names, timeout=timeout, environment=_WITHOUT_QUESTIONS).output.splitlines()
    pairs = [line.split()[:2] for line in lines if line.startswith(("Purg ", "Remv "))]
    return {name.partition(":")[0] for _, name in pairs}


def _without_half(machine: Machine, before: Sequence[str], timeout: float) -> list[str]:
    """Make an end of what dpkg was killed at while it unpacked it; return what to tell."""
    if not accounts.half_there(machine):
        return []
    machine.ask(*_COMPLETE, timeout=timeout, environment=_WITHOUT_QUESTIONS)
    # One that was there before cannot be purged; removing the others will fail then, and say why.
    doomed = sorted(accounts.half_there(machine) - set(before))
    if doomed:
        machine.run(*_PURGE_HALF, *doomed, timeout=timeout)
    return [f"new files of {name} may be left: it was being unpacked, and its archive is gone" for name in doomed]
