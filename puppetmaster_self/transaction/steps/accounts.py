"""What a package program changes beside files: packages, accounts, dpkg's overrides of owners. Looking only."""

from __future__ import annotations

from collections.abc import Mapping

from enc.terms.errors import ToolkitError
from puppetmaster_self.instance.machine import Machine

_TIMEOUT = 120.0

LISTS: Mapping[str, tuple[str, ...]] = {
    "apt": ("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\\n"),
    "dnf": ("rpm", "--query", "--all", "--queryformat=ii %{NAME}\\n"),
}
"""Package program to the command that lists packages: `ii NAME` for each that is installed."""

Owned = dict[str, list[str]]


def look(machine: Machine, tool: str) -> Owned:
    """Return packages (whole or in parts on the machine), users, groups and overrides, by name."""
    listed = machine.run(*LISTS[tool], timeout=_TIMEOUT).output.splitlines()
    pairs = [line.split() for line in listed if len(line.split()) == 2]
    found = {"packages": sorted({name for status, name in pairs if status[1:2] != "n"})}
    for kind, database in (("users", "passwd"), ("groups", "group")):
        lines = machine.run("getent", database, timeout=_TIMEOUT).output.splitlines()
        found[kind] = sorted({line.partition(":")[0] for line in lines if line})
    found["overrides"] = []
    if tool == "apt":
        overrides = machine.ask("dpkg-statoverride", "--list", timeout=_TIMEOUT)
        found["overrides"] = sorted(line.split(maxsplit=3)[3] for line in overrides.output.splitlines() if line)
    return found


def half_there(machine: Machine) -> set[str]:
    """Return the packages that dpkg was killed at while it unpacked them: it removes them only if it is forced to."""
    lines = machine.run(*LISTS["apt"], timeout=_TIMEOUT).output.splitlines()
    return {line[3:].strip() for line in lines if line[2:3] == "R"}


def tool_of(machine: Machine) -> str:
    """Return which package program the machine has; raise `ToolkitError` for none that we know."""
    for tool, program in (("apt", "apt-get"), ("dnf", "dnf")):
        if machine.has(program):
            return tool
    raise ToolkitError(
        "neither apt-get nor dnf is installed; install puppetserver and git by hand, with packages set to []"
    )
