"""Modules that are called as Puppet's own loaders are: with one, no catalog of the environment compiles.

What a module is depends on the modulepath in environment.conf, so this looks at a
tree from its top and not at one directory. One that a known tree has already is
not looked at: who mends it must be able to push.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from enc.terms.puppet_names import RESERVED_MODULES
from git_hooks.checks.environment_conf import modulepath
from git_hooks.checks.look import Problem
from git_hooks.repository.trees import DIRECTORY, LINK, SUBMODULE, Entry, join

At = Callable[[str], Iterable[Entry]]
"""Returns what stands at a path of a tree."""


def check(conf: bytes, at: At, known: Iterable[At]) -> Iterator[Problem]:
    """Yield them, given the tree's environment.conf."""
    known = tuple(known)
    for directory in sorted(modulepath(conf) or {"modules"}):
        for name in RESERVED_MODULES:
            path = join("" if directory == "." else directory.removeprefix("./"), name)
            for entry in at(path):
                if entry.mode in (DIRECTORY, LINK, SUBMODULE) and not any(list(other(path)) for other in known):
                    what = "Puppet keeps this name to itself: with a module of this name no catalog compiles; rename it"
                    yield Problem(path, what)
