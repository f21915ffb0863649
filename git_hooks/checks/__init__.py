"""Checks of a pushed tree, one module each; the table of all of them.

A new check is a new module with a function `check(look) -> problems`, a line
here, and cases in tests/cases/pushes/.
"""

from __future__ import annotations

from git_hooks.checks import environment_conf, links, names, puppetfile, sizes, submodules
from git_hooks.checks.look import Check

CHECKS: tuple[Check, ...] = (
    names.check,
    submodules.check,
    links.check,
    sizes.check,
    environment_conf.check,
    puppetfile.check,
)
"""All checks, in the order in which their findings are told."""
