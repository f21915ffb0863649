"""Which directories of a tree are laid out as links to units: decided from the tree itself. Pure, reads git.

A split directory costs a push only what changed below it; one that is not
split costs a link for each of its files. But a link instead of a directory is
not the same to every reader: Ruby's `**` does not walk through it, and the
fileserver hands it on as a link. So split is only what nobody walks through:

- the tree's top;
- directories of modules: `MODULES`, and what the tree's own
  environment.conf has in its modulepath. Puppet goes to modules/X by name;
- other directories at the top that hold `LARGE` names or more, and below these
  again: hiera goes to its data by name. Not where Puppet itself walks
  (`WALKED`, the manifest of environment.conf), and none of them if the tree's
  hiera.yaml has a `**`, or `branches.split_large` is false.

Inside of a module nothing is ever split: pluginsync, recursive file resources
and `**` all walk there.

This is a matter of cost only. Whatever is split, each path shows the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from git_hooks.repository.trees import FILE, PROGRAM

if TYPE_CHECKING:
    from git_hooks.store.arrange import Objects

LARGE = 1000
"""Names (files and directories, at any depth) from which a directory is split: linking them takes some 10 ms."""

MODULES = ("modules", "site", "site-modules")
"""Directories of modules at the top, by custom, whether or not a modulepath names them."""

WALKED = frozenset(
    ("facts.d", "files", "functions", "lib", "locales", "manifests", "plans", "scripts", "tasks", "templates", "types")
)
"""Directories at the top in which Puppet looks for what is there, because an environment is a module, too."""


class Splitting(NamedTuple):
    """What is split in one tree."""

    named: frozenset[str]
    """Paths of directories that are split whatever they hold."""
    never: frozenset[str]
    """Names at the top that are split for no size."""
    large: bool
    """Whether others are split for their size."""

    def always(self, path: str) -> bool:
        """Tell whether the directory at `path` is split whatever it holds."""
        return not path or path in self.named

    def by_size(self, path: str) -> bool:
        """Tell whether the directory at `path`, in a directory that is split by its size or at the top, may be."""
        return self.large and path.partition("/")[0] not in self.never and path not in self.named


def splitting(objects: Objects, tree: str, *, large: bool) -> Splitting:
    """Return what is split in the tree of an environment."""
    entries = {entry.name: entry for entry in objects.tree(tree)}
    texts = {}
    for name in ("environment.conf", "hiera.yaml"):
        entry = entries.get(name)
        if entry is not None and entry.mode in (FILE, PROGRAM):
            texts[name] = objects.blob(entry.id)
        elif entry is not None:  # whatever it is, what it says is not known
            large = False
    paths = tuple(_module_directories(texts.get("environment.conf", b"")))
    manifests = values(texts.get("environment.conf", b""), "manifest")
    tops = {path.removeprefix("./").partition("/")[0] for path in (*manifests, *MODULES, *paths)}
    if tops & {"", "."} or b"**" in texts.get("hiera.yaml", b""):
        large = False
    return Splitting(frozenset((*MODULES, *paths)), WALKED | tops, large)


def _module_directories(conf: bytes) -> Iterator[str]:
    """Yield the directories at the tree's top that an environment.conf has in its modulepath."""
    for value in values(conf, "modulepath"):
        for part in value.split(":"):
            path = part.strip().removeprefix("./").rstrip("/")
            if re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*", path, re.ASCII):
                yield path


def values(conf: bytes, key: str) -> Iterator[str]:
    """Yield what an environment.conf sets `key` to; where it does so twice, Puppet knows which one counts."""
    for line in conf.decode("utf-8", "replace").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.strip() == key:
            yield value.strip()
