"""A config_version of the tree that cannot run where the tree is deployed. Reads git; nothing is ever run.

Puppet runs what environment.conf names, below the environment's directory, for
each catalog (lib/puppet/settings/environment_conf.rb), and catalogs do without
a version where that fails. An environment is no checkout: there is no .git,
and no file of r10k's or g10k's. What a program does is not known here, only
what it speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from git_hooks.checks.environment_conf import OUR_PROGRAMS, config_version
from git_hooks.index.conf import NAME
from git_hooks.repository.trees import FILE, PROGRAM, Entry
from git_hooks.store.survey import Remark, Trees

_LARGEST = 65_536
_SPEAKS = re.compile(rb"\bgit\b|\.[rg]10k-deploy\.json")
_INSTEAD = f"use config_version = {OUR_PROGRAMS[0]} $environment to show the commit"


def remarks(objects: Trees, tree: str) -> Iterator[Remark]:
    """Yield what is wrong with the config_version of the root `tree`, at most one thing."""
    conf = next((entry for entry in objects.tree(tree) if entry.name == NAME), None)
    if conf is None or conf.mode not in (FILE, PROGRAM):
        return
    program = config_version(objects.blob(conf.id)[:_LARGEST])
    if not program or program.startswith(("/", "$", "~")) or ".." in program:
        return
    found, certain = _at(objects, tree, program)
    says = f"sets config_version to {program[:80]}, which"
    if found is None:
        if certain:
            yield Remark(NAME, conf.id, "program", f"{says} is not in this tree; {_INSTEAD}")
    elif found.mode == FILE:
        chmod = f"git update-index --chmod=+x {program[:80]}"
        yield Remark(NAME, found.id, "program", f"{says} is not executable: {chmod}")
    elif found.mode == PROGRAM:
        text = objects.blob(found.id)[:_LARGEST]
        lines = [line for line in text.split(b"\n") if not line.lstrip().startswith(b"#")]
        if spoken := next(filter(None, map(_SPEAKS.search, lines)), None):
            word = spoken[0].decode("ascii")
            where = "its .git is not" if word == "git" else "that file is not"
            yield Remark(NAME, found.id, "program", f"{says} needs {word}: {where} in an environment; {_INSTEAD}")
    else:
        yield Remark(NAME, found.id, "program", f"{says} is not a program; {_INSTEAD}")


def _at(objects: Trees, tree: str, path: str) -> tuple[Entry | None, bool]:
    """Return what stands at `path`, and whether that is certain: behind a link, it is not looked for."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    found: Entry | None = None
    for number, name in enumerate(parts, 1):
        found = next((entry for entry in objects.tree(tree) if entry.name == name), None)
        if found is None:
            return None, True
        if number < len(parts):
            if not found.is_directory:
                return None, found.mode in (FILE, PROGRAM)
            tree = found.id
    if found is not None and found.mode not in (FILE, PROGRAM) and not found.is_directory:
        return None, False
    return found, True
