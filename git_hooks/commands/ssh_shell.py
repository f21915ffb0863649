"""`branch-manager ssh-shell`: what sshd starts for somebody whose key it knows."""

from __future__ import annotations

import argparse
import os

from enc.commands.call import Call
from enc.terms.names import PersonName
from git_hooks.ssh_keys.known_keys import KnownKeys
from git_hooks.transport.ssh import shell

SUMMARY = "let a person use git over ssh, and nothing else; started by sshd"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--key", default="", metavar="DIGEST", help="which key it was, as authorized-keys wrote it")
    parser.add_argument("person", metavar="UID", help="whose key it was, as authorized-keys wrote it")


def run(call: Call) -> int:
    """Become git, or tell why not."""
    person = PersonName(call.arguments.person)
    KnownKeys(call.settings).used(person, call.arguments.key)
    shell(person, call.settings, os.environ)
