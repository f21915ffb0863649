"""`enc-admin answer`: what the shell programs `enc` and `enc-trusted` call when the disk does not settle it."""

from __future__ import annotations

import argparse

from enc.answers import direct
from enc.commands.call import Call

SUMMARY = "print a node's ENC answer (or trusted data) as enc does, asking LDAP if necessary"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("certname", metavar="CERTNAME", help="the node's certname")
    parser.add_argument("--trusted", action="store_true", help="print the trusted external data (JSON) instead")


def run(call: Call) -> int:
    """Print the answer, or exactly one line that says why there is none, on stdout: Puppet shows nothing else."""
    words = ["--trusted"] if call.arguments.trusted else []
    return direct.main([*words, call.arguments.certname], call.config_path)
