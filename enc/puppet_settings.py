"""What puppetserver is configured to do: runs `puppet config print` once (about a second).

Not here: judging it (doctor/puppet.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from enc.errors import ToolkitError

_PROGRAMS = ("puppet", "/opt/puppetlabs/bin/puppet")
_TIMEOUT = 60.0
_FOREIGN = ("RUBY", "GEM_", "BUNDLE_")
"""Beginnings of environment variables that would make puppet load other code than it does as a service."""


class NoPuppet(ToolkitError):
    """Puppet could not be asked."""


class NotInstalled(NoPuppet):
    """Puppet is not installed here."""


def ask(names: Sequence[str], confdir: Path | None = None) -> dict[str, str]:
    """Return the values of settings as puppetserver sees them (section `server`); raise `NoPuppet`."""
    program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        raise NotInstalled("puppet is not installed here")
    where = ["--confdir", str(confdir)] if confdir else []
    try:
        done = subprocess.run(
            [program, "config", "print", *where, "--section", "server", *names],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)},
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPuppet(f"{program} cannot be asked: {error}") from error
    if done.returncode != 0:
        raise NoPuppet(f"{program} config print failed: {done.stderr.strip()[-300:]}")
    if len(names) == 1:
        return {names[0]: done.stdout.strip()}  # puppet prints a single value without its name
    return parse_printed(done.stdout)


def parse_printed(text: str) -> dict[str, str]:
    """Read `NAME = VALUE` lines."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
