"""Makes a version of an environment, complete and not yet live: its tree, its Puppetfile's modules, its types.

Owns the order of these three and which older version the new one is made from.
While it builds, units may not be taken away: gc waits for the store's lock,
which builders share. A version that never goes live is collected one day; one
that was begun and not finished is made complete by the next build.

Failure modes: `ToolkitError` for a tree that is not sound, or a program that
fails; OSError of a full disk. What is live is never touched.

Not here: when to build, and for whom (deployer.py); how a version is laid out
(git_hooks/store); the switch (switching.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from git_hooks import puppetfile
from git_hooks.deploy.news import news
from git_hooks.deploy.stopwatch import Stopwatch
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.build import Order
from git_hooks.store.layout import Layout
from git_hooks.store.locks import locked
from git_hooks.store.steps import DiskStep
from git_hooks.store.store import Store
from git_hooks.store.surveys import Surveys
from git_hooks.store.versions import ForeignEnvironment, Versions

if TYPE_CHECKING:
    from enc.settings import BranchSettings
    from git_hooks.store.resource_types import ResourceTypes

_AT_ONCE = 50
"""So many versions are built with one sync."""


class Building:
    """Builds in one store."""

    def __init__(
        self,
        settings: BranchSettings,
        store: Store,
        repository: Repository,
        versions: Versions,
        types: ResourceTypes | None,
        at: DiskStep,
        clock: Callable[[], float],
    ) -> None:
        """`types`: see inspection.py."""
        self._settings = settings
        self._rules = Rules(settings.rules)
        self._layout: Layout = store.layout
        self._store = store
        self._repository = repository
        self._versions = versions
        self._types = types
        self._at = at
        self._clock = clock

    def complete(self, environment: EnvironmentName, commit: ObjectId, watch: Stopwatch) -> str:
        """Make the version, complete; return what people should know about its modules. Has the environment's lock."""
        version = self._layout.version(environment, commit)
        with locked(self._layout.store_lock, shared=True):
            with watch.step("build"):
                self._store.build(self._repository, environment, commit, self._base(environment))
            note = ""
            if os.path.lexists(f"{version}/{puppetfile.NAME}"):
                with watch.step("modules"):
                    note = self._add_modules(environment, commit)
            with watch.step("build"):
                if self._types is not None:
                    self._at("types")
                    self._types.prepare(environment, version)
        return note

    def ahead(self, wanted: Iterable[tuple[EnvironmentName, ObjectId]]) -> None:
        """Lay out many versions with one sync; what cannot be built is left out.

        Without the environments' locks: a version gets its name only once, and nobody reads it before its switch.
        """
        waiting: list[Order] = []
        for environment, commit in wanted:
            waiting.append(Order(environment, commit, self._base(environment)))
            if len(waiting) >= _AT_ONCE:
                self._lay_out(waiting)
                waiting = []
        self._lay_out(waiting)

    def news(self, environment: EnvironmentName, old: ObjectId | None, new: ObjectId) -> Iterator[str]:
        """Yield what people should know about the version at `new` that the one at `old` did not say already."""
        before = self._layout.version(environment, old) if old is not None else None
        after = self._layout.version(environment, new)
        follows = self._settings.puppetfile.program is not None
        yield from news(Surveys(self._layout), self._repository, before, after, follows=follows)

    def _lay_out(self, orders: list[Order]) -> None:
        with locked(self._layout.store_lock, shared=True):
            try:
                self._store.build_all(self._repository, orders)
            except ToolkitError:
                for order in orders:
                    with suppress(ToolkitError, OSError):
                        self._store.build_all(self._repository, [order])
            except OSError:  # a full disk: each deploy finds that too, and has a record for it
                pass

    def _add_modules(self, environment: EnvironmentName, commit: ObjectId) -> str:
        settings = self._settings.puppetfile
        if settings.program is None:
            return ""
        from git_hooks.deploy.module_sets import Sets  # most trees have no Puppetfile

        sets = Sets(self._layout, settings, self._repository, self._at, self._clock)
        return sets.show(environment, commit)

    def _base(self, environment: EnvironmentName) -> str | None:
        """Return the version that the new one most likely shares most with."""
        for candidate in (environment, *(place.environment for place in self._rules.site)):
            with suppress(ForeignEnvironment):  # somebody's own test or production is no reason to fail here
                live = self._versions.live(candidate)
                if live is not None and os.path.isdir(version := self._layout.version(candidate, live)):
                    return version  # one that is lost shares nothing
        return None
