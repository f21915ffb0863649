"""Modules that are called as Puppet's own loaders are: with one, no catalog of the environment compiles.

What a module is depends on the modulepath in environment.conf, so this looks at a
tree from its top and not at one directory. One that a known tree has already is
not looked at: who mends it must be able to push.
"""

from __future__ import annotations

from collections.abc import Iterator

from enc.terms.puppet_names import RESERVED_MODULES
from git_hooks.checks import environment_conf
from git_hooks.checks.look import Problem, Tree
from git_hooks.index import conf as conf_file
from git_hooks.repository.trees import DIRECTORY, LINK, SUBMODULE, join


def check(tree: Tree) -> Iterator[Problem]:
    """Yield them."""
    conf = b""
    for entry in tree.at(conf_file.NAME):
        conf = tree.content(entry, conf_file.LONGEST) or b""  # if not, one of before there was this check
    for directory in sorted(environment_conf.modulepath(conf) or {"modules"}):
        for name in RESERVED_MODULES:
            path = join("" if directory == "." else directory.removeprefix("./"), name)
            for entry in tree.at(path):
                if entry.mode in (DIRECTORY, LINK, SUBMODULE) and not any(list(at(path)) for at in tree.known):
                    what = "Puppet reserves this name: no catalog compiles with a module called this; rename it"
                    yield Problem(path, what)
