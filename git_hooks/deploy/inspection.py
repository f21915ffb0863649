"""What is there of the versions that environments show, and how they differ from a checkout. Changes nothing.

Owns what belongs to a version that is whole: all that its commit has, and the
description of its types, where those are made. What is in the store may be
lost, by whatever hand; so it is looked at, each time that it is to stay live.

Failure modes: `ForeignEnvironment`; OSError where the disk cannot be looked at.

Not here: laying out again what is missing (building.py), the contents of files
(verify.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enc.terms.names import EnvironmentName
from git_hooks.puppetfile import JOINED
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from git_hooks.store.splitting import MODULES
from git_hooks.store.survey import Remark
from git_hooks.store.surveys import Surveys
from git_hooks.store.versions import Versions

if TYPE_CHECKING:
    from enc.settings import BranchSettings
    from git_hooks.store.resource_types import ResourceTypes


class Inspection:
    """What is asked about the versions of one store."""

    def __init__(self, layout: Layout, repository: Repository, versions: Versions, types: ResourceTypes | None) -> None:
        """`types`: see `resource_types`."""
        self._layout = layout
        self._repository = repository
        self._versions = versions
        self._types = types

    def look(self) -> Presence:
        """Begin a look at what is there."""
        return Presence(self._layout, Sound(self._repository))

    def missing(self, environment: EnvironmentName, look: Presence | None = None) -> str:
        """Return what is missing of the version that `environment` shows; empty if it is whole, or shows none.

        Raise `ForeignEnvironment`; OSError if it cannot be looked at. With `look`, what that saw is not looked at anew.
        """
        live = self._versions.live(environment)
        if live is None:
            return ""
        found = (look or self.look()).version(environment, live)
        if found or self._types is None:
            return found
        return self._types.missing(self._layout.version(environment, live))

    def remarks(self, environment: EnvironmentName, commit: ObjectId) -> tuple[Remark, ...]:
        """Return what a version has otherwise than a checkout of `commit`; nothing if that is not known."""
        return Surveys(self._layout).remarks(self._layout.version(environment, commit))


def resource_types(layout: Layout, settings: BranchSettings) -> ResourceTypes | None:
    """Return what describes types in versions; None: nobody does (branches.types_program)."""
    if settings.types_program is None:
        return None
    from git_hooks.store.resource_types import ResourceTypes  # most sites pay nothing for it

    directories = (*MODULES, JOINED)  # there, in whatever directory they are shown
    return ResourceTypes(layout, directories, settings.types_program)
