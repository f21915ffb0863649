"""Modules that a Puppetfile names: read, fetched by r10k or g10k, shown by versions (docs/puppetfile.md).

Here is what every push needs of it; the rest is imported where there is a Puppetfile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from enc.settings import PuppetfileSettings

NAME = "Puppetfile"
LONGEST = 65_536
"""Bytes of a Puppetfile."""
JOINED = ".puppetfile-modules"
"""In a version whose Puppetfile is followed: its modules, and the tree's own ones beside them, as links."""


class Sources(NamedTuple):
    """Where modules may come from."""

    git: tuple[str, ...]
    """What the address of a repository must begin with."""
    forge: str | None
    """The Forge's API; None: nothing comes from there."""


def sources(settings: PuppetfileSettings) -> Sources | None:
    """Return where modules may come from; None: Puppetfiles are not followed."""
    return Sources(settings.sources, settings.forge) if settings.program is not None else None
