"""The branch manager's systemd units, with the paths of this installation. Pure, but for reading the shipped files."""

from __future__ import annotations

from pathlib import Path

from enc.settings import BranchSettings, PushSettings
from enc.systemd.units import command, filled, words

UNITS = ("puppetmaster-hooks.service", "puppetmaster-serve.service")
ACCOUNTS = "puppetmaster-git.sysusers"
_PROGRAM = "/usr/local/bin/branch-manager"
_SANDBOX = {
    "RestrictNamespaces=yes": "# bubblewrap makes a sandbox for branches' own checks, and for branches.types_program.\n"
    "RestrictNamespaces=cgroup ipc mnt net pid user uts",
    # For the sandbox's own loopback.
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6": "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "MemoryDenyWriteExecute=yes": "MemoryDenyWriteExecute=no",
    "SystemCallErrorNumber=EPERM": "SystemCallFilter=@mount capset\nSystemCallErrorNumber=EPERM",
}
"""What the units must allow so that a sandbox can be made in them (enc/programs/sandbox.py)."""


def files(
    program: Path, config: Path | None, settings: BranchSettings, published: Path | None = None, *, sandboxes: bool
) -> dict[str, str]:
    """Return file name → text: the units running `program` with `config` (None: the default), and their account.

    `sandboxes`: see `wanted`. `published`: the directory in which public keys are noted, if they are.
    Raise `UsageError` for a path that cannot stand in a unit.
    """
    instead = {_PROGRAM: command(program, config), written(BranchSettings()): written(settings, published)}
    if sandboxes:
        instead |= _SANDBOX
    return filled(Path(__file__).parent, UNITS, ACCOUNTS, instead)


def wanted(branches: BranchSettings, pushes: PushSettings) -> bool:
    """Tell whether something of these settings makes sandboxes, which the units must allow."""
    return branches.types_program is not None or pushes.own_checks == "run"


def written(settings: BranchSettings, published: Path | None = None) -> str:
    """Return the directories that the units may write to, as words of a line."""
    places = (settings.repository, settings.store, settings.environments, settings.transport.tokens)
    # With a minus: a unit starts without it, too.
    return words((*map(str, places), *((f"-{published}",) if published is not None else ())))
