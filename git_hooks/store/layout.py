"""The paths in the store. No effects.

    units/AB/TREE        one git tree as real files, named after the tree ("leaf")
    units/AB/TREE.s      one git tree as a directory of links to the units of its directories ("split")
    units/AB/TREE.s-MORE the same, where links below lead out of it; MORE says what they lead to
    units/AB/TREE.p/     a directory whose links leave it, at its path, and what they lead to ("part")
    links/AB/UNIT        the one symbolic link to a leaf or split unit; wherever it is needed it is hard-linked
    versions/ENV/COMMIT  an environment at one commit: files, and links to units
    surveys/ENV/COMMIT   what of that commit is otherwise than in a checkout: see surveys.py
    puppetfiles/SET/     the modules of one Puppetfile, as files; SET: see puppetfile/sets.py
    index/               what manifests define, by the names of their directories: see index/kept.py
    puppetfile-cache/    what r10k and g10k keep between runs
    work/                what is being built or removed; nothing here outlives its process
    locks/               one file for each environment, one for the store, one for gc
    elapsed              how long versions and branches have been as they are: see enc/programs/elapsed.py
    .mark                says that this is a store, and there; see mounted.py
    effects/ENV.json     what the last push does to nodes, and the key that hides secrets: see git_hooks/effects/kept.py
    records/ENV.jsonl    what was deployed; holds/ENV, pending/ENV: see records.py

Everything but records and holds can be thrown away and comes back from git.
"""

from __future__ import annotations

from typing import NamedTuple

from enc.terms.names import EnvironmentName
from git_hooks.repository.refs import ObjectId

SPLIT = ".s"
"""What follows the tree in a split unit's name; no tree's name has a dot."""
PART = ".p"
"""What follows the tree in a part's name."""


def is_split(unit: str) -> bool:
    """Tell whether a unit is a directory of links."""
    return unit.partition(".")[2].partition("-")[0] == SPLIT[1:]


def is_part(unit: str) -> bool:
    """Tell whether a unit is a part of a tree."""
    return unit.endswith(PART)


def tree_of(unit: str) -> str:
    """Return the tree that a unit shows."""
    return unit.partition(".")[0]


class Layout(NamedTuple):
    """The paths of one store, and the directory of the environments' links."""

    root: str
    environments: str

    @property
    def mark(self) -> str:
        """There as long as the store is; see mounted.py."""
        return f"{self.root}/.mark"

    @property
    def elapsed(self) -> str:
        """Time as we counted it."""
        return f"{self.root}/elapsed"

    @property
    def work(self) -> str:
        """Where things are built."""
        return f"{self.root}/work"

    @property
    def units(self) -> str:
        """Where units are."""
        return f"{self.root}/units"

    @property
    def links(self) -> str:
        """Where the units' links are."""
        return f"{self.root}/links"

    @property
    def puppetfiles(self) -> str:
        """Where the modules of Puppetfiles are; not there before the first."""
        return f"{self.root}/puppetfiles"

    @property
    def puppetfile_cache(self) -> str:
        """Where r10k and g10k keep what they fetched; may be missing."""
        return f"{self.root}/puppetfile-cache"

    @property
    def puppetfile_lock(self) -> str:
        """Held while r10k or g10k runs: they do not lock their caches."""
        return f"{self.root}/locks/puppetfile"

    @property
    def versions(self) -> str:
        """Where versions are."""
        return f"{self.root}/versions"

    @property
    def directories(self) -> tuple[str, ...]:
        """Everything that must exist before the first deploy."""
        names = ("work", "units", "links", "versions", "locks", "records", "holds", "pending")
        return (*(f"{self.root}/{name}" for name in names), self.environments)

    def unit(self, name: str) -> str:
        """The directory of a unit."""
        return f"{self.root}/units/{name[:2]}/{name}"

    def unit_of(self, target: str) -> str | None:
        """Return the unit that a link leads to, or into; None: it leads to none."""
        if not target.startswith(f"{self.units}/"):
            return None
        name = target[len(self.units) + 4 :].partition("/")[0]
        return name if f"{target}/".startswith(f"{self.unit(name)}/") and name else None

    def link(self, name: str) -> str:
        """The link to a unit."""
        return f"{self.root}/links/{name[:2]}/{name}"

    def version(self, environment: EnvironmentName, commit: ObjectId) -> str:
        """The directory of a version."""
        return f"{self.root}/versions/{environment}/{commit}"

    def survey(self, version: str) -> str:
        """What was found about a version (its directory) when it was built."""
        return f"{self.root}/surveys/{version.removeprefix(self.versions + '/')}"

    def live(self, environment: EnvironmentName) -> str:
        """The link that Puppet reads."""
        return f"{self.environments}/{environment}"

    def next_live(self, environment: EnvironmentName) -> str:
        """That link before it is renamed into place. Puppet takes no environment with a dot in its name."""
        return f"{self.environments}/.{environment}.next"

    def lock(self, environment: EnvironmentName) -> str:
        """The lock of one environment. Environments have no '.' in their names, so it meets no other."""
        return f"{self.root}/locks/env.{environment}"

    @property
    def store_lock(self) -> str:
        """Shared by deploys, exclusive for the moment in which units are taken away."""
        return f"{self.root}/locks/store"

    @property
    def collector_lock(self) -> str:
        """Held by the one gc."""
        return f"{self.root}/locks/gc"
