"""The branch manager's systemd units, with the paths of this installation. Pure, but for reading the shipped files."""

from __future__ import annotations

from pathlib import Path

from enc.settings import BranchSettings
from enc.systemd.units import command, filled, words

UNITS = ("puppetmaster-hooks.service", "puppetmaster-serve.service")
ACCOUNTS = "puppetmaster-git.sysusers"
_PROGRAM = "/usr/local/bin/branch-manager"


def files(program: Path, config: Path | None, settings: BranchSettings) -> dict[str, str]:
    """Return file name → text: the units running `program` with `config` (None: the default), and their account.

    Raise `UsageError` for a path that cannot stand in a unit.
    """
    shipped, installed = written(BranchSettings()), written(settings)
    return filled(Path(__file__).parent, UNITS, ACCOUNTS, {_PROGRAM: command(program, config), shipped: installed})


def written(settings: BranchSettings) -> str:
    """Return the directories that the units may write to, as words of a line."""
    places = (settings.repository, settings.store, settings.environments, settings.transport.tokens)
    return words(map(str, places))
