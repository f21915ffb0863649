"""The versions of environments: which one is live, the switch, the old ones.

Owns: the link of each environment, and when a version stopped being live (its
directory's modification time, set just before the switch, so that a version
which is not live was always live until then or later, whoever was killed
when). The caller holds the environment's lock for everything that changes.

Failure modes: an environment that is not our link (somebody's own directory):
`ForeignEnvironment`, and nothing is touched. A directory with nothing in it is
nobody's: Puppet makes itself an empty production where it finds none.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks.repository.refs import ObjectId
from git_hooks.store.layout import Layout
from git_hooks.store.steps import DiskStep, nothing


class ForeignEnvironment(ToolkitError):
    """Something that we did not make stands where an environment's link should be."""


class Version(NamedTuple):
    """One version of an environment that is on disk."""

    environment: EnvironmentName
    commit: ObjectId
    live: bool
    since: float
    """When it was made, or stopped being live, whichever is later; seconds since 1970."""


class Versions:
    """The versions of all environments of one store."""

    def __init__(self, layout: Layout, at: DiskStep = nothing) -> None:
        self._layout = layout
        self._at = at

    def live(self, environment: EnvironmentName) -> ObjectId | None:
        """Return the commit that `environment` shows, None if there is no such environment.

        Raise `ForeignEnvironment` if it is none of ours.
        """
        path = self._layout.live(environment)
        try:
            target = os.readlink(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if _is_empty(path):
                return None
            raise ForeignEnvironment("is not one of the branch manager's links; move it away", where=path) from error
        directory, commit = os.path.split(target)
        if directory != f"{self._layout.versions}/{environment}" or not ObjectId.accepts(commit):
            raise ForeignEnvironment(f"points to {target}, not into the store; move it away", where=path)
        return ObjectId(commit)

    def environments(self) -> tuple[EnvironmentName, ...]:
        """Return the environments that are live and ours, sorted."""
        found = []
        for name in os.listdir(self._layout.environments):
            if EnvironmentName.accepts(name):
                environment = EnvironmentName(name)
                with suppress(ForeignEnvironment):
                    if self.live(environment) is not None:
                        found.append(environment)
        return tuple(sorted(found))

    def of(self, environment: EnvironmentName) -> tuple[Version, ...]:
        """Return the versions of `environment` on disk, the newest first."""
        directory = f"{self._layout.versions}/{environment}"
        live = self.live(environment)
        found = []
        with suppress(FileNotFoundError):
            for name in os.listdir(directory):
                commit = ObjectId(name)
                since = os.stat(f"{directory}/{name}").st_mtime
                found.append(Version(environment, commit, commit == live, since))
        return tuple(sorted(found, key=lambda version: (version.live, version.since), reverse=True))

    def switch(self, environment: EnvironmentName, commit: ObjectId) -> None:
        """Let `environment` show the version at `commit`, which exists, from one moment to the next."""
        self._retire(environment)
        following = self._layout.next_live(environment)
        with suppress(FileNotFoundError):
            os.unlink(following)
        self._at("make the environment's link")
        # Absolute: puppetserver's versioned_environment_dirs resolves only such a link once for a compile.
        os.symlink(self._layout.version(environment, commit), following)
        self._at("switch")
        path = self._layout.live(environment)
        try:
            os.rename(following, path)
        except IsADirectoryError:
            os.rmdir(path)  # goes only if it is still empty
            os.rename(following, path)

    def remove(self, environment: EnvironmentName) -> None:
        """Take the environment away; its versions stay until gc."""
        if self._retire(environment):
            self._at("remove the environment's link")
            os.unlink(self._layout.live(environment))

    def _retire(self, environment: EnvironmentName) -> bool:
        """Say that the live version is needed from now on no longer than compiles last; False if there is none."""
        live = self.live(environment)
        if live is None:
            return False
        with suppress(FileNotFoundError):
            os.utime(self._layout.version(environment, live))
        return True


def _is_empty(path: str) -> bool:
    with suppress(OSError), os.scandir(path) as entries:
        return next(entries, None) is None
    return False
