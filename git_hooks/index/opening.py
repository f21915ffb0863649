"""Environments of trees, with what this machine has beside them: its own modules, and those of Puppetfiles.

The modules of a Puppetfile are on disk once a version shows them (puppetfile.md). What another tree asks for in the
same words is the same, so it is looked at there; what it asks for otherwise has still to be fetched.

Failure modes: none. A Puppetfile that cannot be read asks for nothing; other checks say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from enc.terms.errors import ToolkitError
from git_hooks.index.environment import Environment, Fetched
from git_hooks.index.sight import Sight
from git_hooks.puppetfile import LONGEST, NAME, sources

if TYPE_CHECKING:
    from enc.settings import Settings
    from git_hooks.puppet_code.calls import Read
    from git_hooks.puppetfile.language import ForgeModule, GitModule, Puppetfile


def environment(settings: Settings, sight: Sight, read: Read, shown: Path) -> Environment:
    """Return the environment of a tree that the directory `shown` shows, if it is there."""
    return _environment(settings, sight, read, _asked(settings, sight), lambda _, place: _there(shown / place))


def environments(
    settings: Settings, before: Sight, now: Sight, read: Read, shown: Path
) -> tuple[Environment, Environment]:
    """Return the environments of the tree that `shown` shows, and of the one that it is to show."""
    old, new = _asked(settings, before), _asked(settings, now)
    known: Collection[ForgeModule | GitModule] = old.modules if old is not None else ()

    def fetched(module: ForgeModule | GitModule, place: str) -> Path | None:
        return _there(shown / place) if module in known else None

    return (
        _environment(settings, before, read, old, lambda _, place: _there(shown / place)),
        _environment(settings, now, read, new, fetched),
    )


def _environment(
    settings: Settings,
    sight: Sight,
    read: Read,
    asked: Puppetfile | None,
    place: Callable[[ForgeModule | GitModule, str], Path | None],
) -> Environment:
    from enc.puppet.deployed import base_modules  # here: most hooks of a project's branch need none of it

    fetched = None
    if asked is not None:
        modules = {one.name: place(one, f"{asked.directory}/{one.name}") for one in asked.modules}
        fetched = Fetched(asked.directory, modules)
    return Environment(sight, read, base_modules(settings), fetched)


def _asked(settings: Settings, sight: Sight) -> Puppetfile | None:
    allowed = sources(settings.branches.puppetfile)
    found = sight.inside(sight.tree).get(NAME)
    if allowed is None or found is None:
        return None
    from git_hooks.puppetfile.language import read

    with suppress(ToolkitError):
        return read(sight.content(found, LONGEST) or b"", allowed)
    return None


def _there(place: Path) -> Path | None:
    with suppress(OSError):
        return place if place.is_dir() else None
    return None
