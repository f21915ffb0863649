"""What puppetserver is configured to do: runs `puppet config print` once (about a second).

puppetserver has a few directories from a file of its own, which wins over
puppet.conf (Debian's vardir there is not the one that puppet knows); and puppet
takes another account than root for a person, with code and files below its
home. So puppet is told all of them.

Not here: judging it (doctor/puppet.py).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from enc.programs.machine_trouble import said
from enc.terms.errors import ToolkitError
from enc.terms.program_words import why

_PROGRAMS = ("puppet", "/opt/puppetlabs/bin/puppet")
_TIMEOUT = 60.0
_OWN = tuple(Path(f"/etc/{place}/puppetserver/conf.d") for place in ("puppetlabs", "puppet"))
_DIRECTORY = re.compile(r"""^\s*"?(?:server|master)-(code|conf|var)-dir"?\s*[:=]\s*"?(/[^"\s,}#]+)""", re.MULTILINE)
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
    own = {} if confdir else puppetserver_directories()
    where = ["--confdir", str(confdir)] if confdir else [word for it in own.items() for word in (f"--{it[0]}", it[1])]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    try:
        with tempfile.TemporaryDirectory() as home:
            if own and os.geteuid() != 0:
                environment["HOME"] = home  # puppet makes directories there before it prints anything
            done = subprocess.run(
                [program, "config", "print", *where, "--section", "server", *names],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
                timeout=_TIMEOUT,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPuppet(f"{program} does not work: {said(error)}") from error
    if done.returncode != 0:
        raise NoPuppet(f"{program} config print failed: {why(done.stderr)}")
    if len(names) == 1:
        return {names[0]: done.stdout.strip()}  # puppet prints a single value without its name
    return parse_printed(done.stdout)


def puppetserver_directories(places: Sequence[Path] = _OWN) -> dict[str, str]:
    """Return the directories that puppetserver's own files name, by puppet's names; empty if they name none.

    Raise `NoPuppet` for a file that cannot be read.
    """
    for place in places:
        try:
            texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(place.glob("*.conf"))]
        except OSError as error:
            raise NoPuppet(f"{error.filename} cannot be read: {error.strerror}") from error
        if found := own_directories("\n".join(texts)):
            return found
    return {}


def own_directories(text: str) -> dict[str, str]:
    """Read codedir, confdir and vardir out of puppetserver.conf's text."""
    return {f"{kind}dir": path for kind, path in _DIRECTORY.findall(text)}


def parse_printed(text: str) -> dict[str, str]:
    """Read `NAME = VALUE` lines."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
