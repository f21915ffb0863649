"""`puppetmaster-self`: finds the command module of the first word and calls it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from enc.cli import Program
from puppetmaster_self.commands import AS_ROOT, COMMANDS, GROUPS
from puppetmaster_self.commands.examples import EXAMPLES

PUPPETMASTER_SELF = Program(
    "puppetmaster-self",
    "Make this instance its own Puppet master, or go back: for a project's admins.",
    COMMANDS,
    AS_ROOT,
    GROUPS,
    EXAMPLES,
    "enable",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `puppetmaster-self` and return its exit status (docs/commands.md)."""
    os.umask(0o022)  # puppetserver reads what is made; what is not for others is given its mode by whoever makes it
    return PUPPETMASTER_SELF.main(argv)


if __name__ == "__main__":
    sys.exit(main())
