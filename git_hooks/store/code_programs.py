"""The programs that puppetserver asks which version a catalog is of, and for its files.

They are shell programs (puppetmaster-code-id, puppetmaster-code-content,
puppetmaster-config-version): the first runs for every catalog. What they need
of the configuration stands beside it as two links, since they read no YAML.
docs/static-catalogs.md tells how puppetserver gets to know them.

Failure modes: `NotWritten` if the links cannot be made.
"""

from __future__ import annotations

from pathlib import Path

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.settings import BranchSettings


def link(configuration: Path, settings: BranchSettings) -> bool:
    """Let the programs find the store and the environments; return whether anything had to change.

    To be called whenever a repository is taken under management or served.
    """
    changed = False
    for place, target in links(configuration, settings).items():
        changed |= whole_file.link(place, target, survives=Strength.POWER_CUT)
    return changed


def missing(configuration: Path, settings: BranchSettings) -> dict[Path, Path]:
    """Return the links without which the programs would look elsewhere; where they look anyway, none is needed."""
    usual = links(configuration, BranchSettings())
    return {
        place: target
        for place, target in links(configuration, settings).items()
        if (place.readlink() if place.is_symlink() else usual[place]) != target
    }


def links(configuration: Path, settings: BranchSettings) -> dict[Path, Path]:
    """Return where the links stand, and where each leads."""
    targets = {"store": settings.store, "environments": settings.environments}
    return {configuration.with_name(f"{configuration.name}.{name}"): target for name, target in targets.items()}
