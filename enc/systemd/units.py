"""The shipped units with the paths of this installation. Pure, but for reading the shipped files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from enc.terms.errors import UsageError

_SHIPPED_PROGRAM = "/usr/local/bin/enc-admin"
_SHIPPED_CRL_PLACES = "-/var/lib/puppet/ssl -/etc/puppet/ssl -/etc/puppetlabs/puppet/ssl"
UNITS = (
    "puppetmaster-follow.service",
    "puppetmaster-directory.service",
    "puppetmaster-vendordata.service",
    "puppetmaster-collect.service",
    "puppetmaster-instances.service",
    "puppetmaster-crl.service",
)
TIMERS = ("puppetmaster-instances.timer", "puppetmaster-crl.timer")
ACCOUNTS = "puppetmaster.sysusers"


def files(program: Path, config: Path | None, crl_files: Iterable[Path] = ()) -> dict[str, str]:
    """Return file name → text: the units running `program` with `config` (None: the default), and their accounts.

    `crl_files` are what the unit for the revocation list has to write. Raise
    `UsageError` for a path that cannot be used in a unit.
    """
    instead = {_SHIPPED_PROGRAM: command(program, config)}
    places = words(sorted({str(file.parent) for file in crl_files}))
    if places:
        instead[_SHIPPED_CRL_PLACES] = places
    return filled(Path(__file__).parent, (*UNITS, *TIMERS), ACCOUNTS, instead)


def command(program: Path, config: Path | None) -> str:
    """Return how a unit calls `program`; raise `UsageError` for a path that cannot stand in one."""
    return words([str(program), *(["--config", str(config)] if config else [])])


def words(paths: Iterable[str]) -> str:
    """Return `paths` as words of a unit's line; raise `UsageError` for one that cannot be."""
    paths = list(paths)
    for word in paths:
        if not word.isprintable() or any(character in word for character in ' "\'%\\$;'):
            raise UsageError(f"{word!r} cannot be used in a unit; use a path without spaces and quotes")
    return " ".join(paths)


def filled(place: Path, units: Iterable[str], accounts: str, instead: dict[str, str]) -> dict[str, str]:
    """Return file name → text of what is shipped in `place`; `instead`: shipped words → those of the installation."""
    texts = {name: place.joinpath(name).read_text(encoding="utf-8") for name in units}
    for shipped, installed in instead.items():
        texts = {name: text.replace(shipped, installed) for name, text in texts.items()}
    return {**texts, accounts.replace(".sysusers", ".conf"): place.joinpath(accounts).read_text(encoding="utf-8")}
