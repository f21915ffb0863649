"""Checks of a tree that comes, one module each; the table of all of them.

A new check is a new module, a line here, and cases in tests/cases/pushes/. What a line may say is in look.py:
what a check looks at, and of which files it reads the content, up to which size. Whatever brings a tree (a push,
a forge, Gerrit) is held to this table; nothing else knows a single check.
"""

from __future__ import annotations

from git_hooks.checks import (
    assigned,
    environment_conf,
    known_keys,
    links,
    modules,
    names,
    own_checks,
    puppetfile,
    secrets,
    server_code,
    sizes,
    submodules,
    syntax,
)
from git_hooks.checks.look import Check

CHECKS: tuple[Check, ...] = (
    Check(directory=names.check),
    Check(directory=submodules.check),
    Check(directory=sizes.check),
    Check(file=links.check, reads=links.reads),
    Check(file=environment_conf.check, reads=environment_conf.reads),
    Check(file=puppetfile.check, reads=puppetfile.reads, also=puppetfile.ALSO),
    server_code.LINE,
    Check(file=syntax.check, reads=syntax.reads),
    Check(file=own_checks.check, reads=own_checks.reads),
    Check(history=secrets.check),
    Check(history=known_keys.check),
    Check(tree=puppetfile.beside),
    Check(tree=modules.check),
    Check(tree=assigned.check),
)
"""All checks. What is wrong with a directory is told first, then what is wrong with files in it, in this order."""
