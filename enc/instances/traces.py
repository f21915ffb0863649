"""What puppetserver keeps about a node on this master: facts, cached node and catalog, reports. Found and removed.

A certname is the only part of a path that comes from outside, and it is parsed.
No link is followed, neither for the node's own directory nor on the way below
the two roots: whoever may write there (puppetserver) must not make us remove
files elsewhere.

Failure modes: `ToolkitError` for what cannot be removed; what is not there is fine.
"""

from __future__ import annotations

import os
import shutil
import stat
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from enc.puppet import settings as puppet_settings
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname

_BELOW_VARDIR = (
    *(("yaml", kind, ".yaml") for kind in ("facts", "node", "catalog")),
    *(("server_data", kind, ".json") for kind in ("facts", "node", "catalogs")),
    *(("server_data", kind, ".yaml") for kind in ("facts", "node", "catalogs")),
)
"""Where puppetserver's terminuses (yaml, json, write_only_yaml) keep one file for each certname."""


class Places(NamedTuple):
    """The roots, of which any may not exist."""

    vardir: Path
    reports: Path
    """Of Puppet's `store`, where whose a report is hangs on auth.conf."""
    proven: Path
    """Of our processor (lib/puppet/reports/puppetmaster.rb), which believes the certificate only."""


def places(settings: Settings) -> Places | None:
    """Return where puppetserver keeps things, None if there is none here.

    What the configuration does not say is read in puppetserver's own; puppet is asked where there is none.
    """
    section = settings.instances
    vardir = section.vardir or _configured_vardir()
    if vardir is not None:
        return _below(vardir, section.reports or vardir / "reports")
    try:
        vardir, reports = _asked()
    except puppet_settings.NotInstalled:
        return _below(section.reports, section.reports) if section.reports else None
    return _below(vardir, section.reports or reports)


def _below(vardir: Path, reports: Path) -> Places:
    return Places(vardir, reports, vardir / "puppetmaster-reports")


@lru_cache(maxsize=1)
def _configured_vardir() -> Path | None:
    """Return the vardir that puppetserver's own files name; it wins over puppet.conf."""
    try:
        said = puppet_settings.puppetserver_directories().get("vardir")
    except puppet_settings.NoPuppet as error:
        raise ToolkitError(f"{error.message}; set instances.vardir (and instances.reports)") from error
    return None if said is None else Path(said)


@lru_cache(maxsize=1)
def _asked() -> tuple[Path, Path]:
    try:
        said = puppet_settings.ask(("vardir", "reportdir"))
    except puppet_settings.NotInstalled:
        raise
    except puppet_settings.NoPuppet as error:
        raise ToolkitError(f"{error.message}; set instances.vardir (and instances.reports)") from error
    found = [Path(said.get(name, "")) for name in ("vardir", "reportdir")]
    if not all(path.is_absolute() for path in found):
        raise ToolkitError(f"puppet says that vardir and reportdir are {said}; set instances.vardir")
    return found[0], found[1]


def remove(certname: Certname, where: Places) -> int:
    """Remove everything about a node; return how many files and directories there were."""
    removed = 0
    for first, second, ending in _BELOW_VARDIR:
        removed += _remove(where.vardir, (first, second), f"{certname}{ending}")
    return removed + _remove(where.reports, (), certname) + _remove(where.proven, (), certname)


def _remove(root: Path, steps: tuple[str, ...], name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    handles: list[int] = []
    try:
        handles.append(os.open(root, flags))  # the root itself is the operator's, and may be a link
        for step in steps:
            handles.append(os.open(step, flags | os.O_NOFOLLOW, dir_fd=handles[-1]))
        if stat.S_ISDIR(os.stat(name, dir_fd=handles[-1], follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=handles[-1])
        else:
            os.unlink(name, dir_fd=handles[-1])
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise ToolkitError(f"cannot be removed: {error.strerror}", where=str(root.joinpath(*steps, name))) from error
    else:
        return 1
    finally:
        for handle in handles:
            os.close(handle)
