"""The store of one master: its directories, and which of the versions that are asked for have to be made.

Owns the directories below the store's root, the directory in work/ that each
build has for itself, and what is put together for a build: what git has, what
is in the store already, what an older version shares.

What is in the store may be lost, by whatever hand. So nothing is taken to be
there for its name: presence.py looks, and what is not whole is made anew.
mounted.py tells a store that was emptied from one that is not mounted.

Nothing orders two file systems: where the environments' links are on another
one than the store, the store's is synced before the switch (`settle`).

Failure modes: `StoreAway` where the store's file system is not mounted;
`UnsoundTree` for a damaged tree; OSError of a full disk. A build that fails
leaves nothing but complete units.

Not here: which units there should be (arrange.py), making them and their names
(build.py), the switch (versions.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from itertools import count

from enc.programs import file_systems
from enc.terms.names import EnvironmentName
from git_hooks.repository.objects import Repository
from git_hooks.repository.refs import ObjectId
from git_hooks.store.arrange import Arranger
from git_hooks.store.bases import Bases
from git_hooks.store.build import Build, Built, Order
from git_hooks.store.layout import Layout
from git_hooks.store.mounted import Mount
from git_hooks.store.parts import Surveyor
from git_hooks.store.presence import Presence
from git_hooks.store.sound import Sound
from git_hooks.store.splitting import Splitting, splitting
from git_hooks.store.steps import DiskStep, nothing
from git_hooks.store.surveys import Surveys

_numbers = count()


class Store:
    """The units and versions of one master; for one deploy at a time (locks are the deploy's business)."""

    def __init__(
        self, layout: Layout, repository: str, at: DiskStep = nothing, *, split_large: bool = True
    ) -> None:
        """Touch nothing yet. `split_large`: see splitting.py; what is remembered is in the `repository`."""
        self.layout = layout
        self._mount = Mount(layout, repository)
        self._split_large = split_large
        self._at = at
        self._surveyor = Surveyor()

    def ready(self) -> None:
        """Make what directories of the store there are not; raise `StoreAway` if its file system is not mounted."""
        if not os.path.exists(self.layout.mark):
            self._mount.check()
        for directory in self.layout.directories:
            if not os.path.isdir(directory):
                os.makedirs(directory, exist_ok=True)
        self._mount.remember()

    def settle(self) -> None:
        """Let all that was made be on disk before a link on another file system leads to it."""
        if os.stat(self.layout.versions).st_dev != os.stat(self.layout.environments).st_dev:
            self._at("sync names")
            file_systems.sync(self.layout.versions)

    def build(self, objects: Repository, environment: EnvironmentName, commit: ObjectId, base: str | None) -> Built:
        """Make the version of `environment` at `commit` unless it is there; share what `base` (a version) has too.

        What may not become a file is left out (survey.py). Raise `UnsoundTree` if a tree object is damaged.
        """
        return self.build_all(objects, [Order(environment, commit, base)])

    def build_all(self, objects: Repository, orders: Sequence[Order]) -> Built:
        """Make several versions with one sync; raise `UnsoundTree`, and make none, if one is damaged in git."""
        sound, surveys = Sound(objects), Surveys(self.layout)
        presence = Presence(self.layout, sound)
        missing = [order for order in orders if presence.version(order.environment, order.commit)]
        if not missing:
            return Built(0, 0)
        work = f"{self.layout.work}/{os.getpid()}-{next(_numbers)}"
        self._at("make work directory")
        os.mkdir(work)
        try:
            build = Build(self.layout, sound, work, self._at)

            def splits(tree: str) -> Splitting:
                return splitting(build.objects, tree, large=self._split_large)

            def known(unit: str, inside: str = "") -> bool:
                return build.has(unit) or not presence.unit(unit, inside)

            for order in missing:
                found = surveys.look(sound, order.commit, order.base, work)
                surveys.keep(self.layout.version(order.environment, order.commit), found, work)
                bases = Bases(sound, order.base)
                arranger = Arranger(build.objects, self._surveyor, splits, known, bases.tree)
                build.add(arranger.version(sound.show(found)), bases, order)
            return build.finish()
        finally:
            shutil.rmtree(work, ignore_errors=True)
