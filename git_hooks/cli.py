"""`branch-manager`: finds the command module of the first word and calls it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from enc.cli import Program
from git_hooks.commands import AS_ROOT, COMMANDS, GROUPS
from git_hooks.commands.examples import EXAMPLES

BRANCH_MANAGER = Program(
    "branch-manager",
    "Branches of the Puppet repository become environments: the operators' command.",
    COMMANDS,
    AS_ROOT,
    GROUPS,
    EXAMPLES,
    "status",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `branch-manager` and return its exit status (docs/commands.md)."""
    os.umask(0o022)  # puppetserver reads what is made; what is not for others is given its mode by whoever makes it
    return BRANCH_MANAGER.main(argv)


if __name__ == "__main__":
    sys.exit(main())
