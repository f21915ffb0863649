"""`branch-manager ssh-shell`: what sshd starts for somebody whose key it knows.

That is git, or one of the commands in `PEOPLES`, which then know who acts by the key. No shell reads what the client
sent: its words are taken apart as a shell would, and are the command's arguments.
"""

from __future__ import annotations

import argparse
import os
import shlex
from importlib import import_module

from enc.commands.call import Call
from enc.programs.command_line import Parser
from enc.terms.errors import NotAllowed, UsageError, bounded, one_line
from enc.terms.names import PersonName
from git_hooks.ssh_keys.known_keys import KnownKeys
from git_hooks.transport.ssh import admitted, shell

SUMMARY = "let a person use git over ssh, propose and promote, and nothing else; started by sshd"

_NOTED = 200
"""Characters of what somebody sent that are noted."""

PEOPLES = {
    "promote": "git_hooks.commands.promote",
    "promotion": "git_hooks.commands.promotion",
    "propose": "git_hooks.commands.propose",
    "revert": "git_hooks.commands.revert",
}
"""Commands that people may run over ssh, and their modules."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--key", default="", metavar="DIGEST", help="which key it was, as authorized-keys wrote it")
    parser.add_argument("person", metavar="UID", help="whose key it was, as authorized-keys wrote it")


def run(call: Call) -> int:
    """Become git, or do a command of people's, or tell why not."""
    person = PersonName(call.arguments.person)
    KnownKeys(call.settings).used(person, call.arguments.key)
    command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    first = command.strip().partition(" ")[0]
    if first not in PEOPLES:
        shell(person, call.settings, os.environ)
    admitted(person, call.settings, os.environ, bounded(one_line(command), _NOTED))
    module = import_module(PEOPLES[first])
    asked = Call(_arguments(command, person), call.config_path)
    status: int = module.run(asked)
    return status


def _arguments(command: str, person: PersonName) -> argparse.Namespace:
    """Return the arguments of a command that somebody sent; raise `UsageError`, or `NotAllowed` if it is `--as`."""
    try:
        first, *words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"cannot be read: {error}", where=bounded(one_line(command), _NOTED)) from error
    parser = Parser(prog=first)
    import_module(PEOPLES[first]).configure(parser)
    arguments = parser.parse_args(words)
    if getattr(arguments, "person", None) is not None:
        raise NotAllowed("over ssh the key says who you are; leave out --as")
    arguments.command, arguments.person, arguments.by_key = first, person, True
    return arguments
