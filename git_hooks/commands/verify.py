"""`branch-manager verify`: are the hooks as `init` left them?"""

from __future__ import annotations

import argparse

from enc.commands.call import Call, json_option
from enc.terms.errors import ExitStatus
from git_hooks.push import install

SUMMARY = "find what has changed since `init`: hooks, git's settings, the key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    json_option(parser)


def run(call: Call) -> int:
    """Compare; exit status 4 if anything differs."""
    found = install.verify(call.settings, call.config_path.absolute())
    document = {"differences": [{"where": one.where, "what": one.what} for one in found]}
    call.show(document, [f"{one.where}: {one.what}" for one in found] or ["all is well"])
    return ExitStatus.FOUND if found else ExitStatus.DONE
