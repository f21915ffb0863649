"""`branch-manager authorized-keys`: what sshd's AuthorizedKeysCommand asks."""

from __future__ import annotations

import argparse
import sys
import syslog
import time

from enc.commands.call import Call
from enc.terms.errors import ToolkitError
from git_hooks.transport.keys import authorized_lines
from git_hooks.transport.ssh import note

SUMMARY = "print the authorized_keys lines of a key or a person; for sshd's AuthorizedKeysCommand"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "question",
        metavar="UID-OR-KEY",
        nargs="+",
        help="a person's uid; or the type and base64 of a key, which sshd writes as %%t %%k",
    )


def run(call: Call) -> int:
    """Print the lines; none for a key that nobody has."""
    # The interpreter and not our own path: sys.argv[0] is whatever the caller said.
    command = [sys.executable, "-I", "-m", "git_hooks.cli", "--config", str(call.config_path.absolute())]
    try:
        lines = authorized_lines(" ".join(call.arguments.question), call.settings, command, time.time())
    except ToolkitError as error:
        # sshd throws our stderr away, and says of this only "failed, status 2".
        note(f"no ssh key can be looked up: {error}", syslog.LOG_ERR)
        raise
    for line in lines:
        print(line)
    return 0
