"""`branch-manager units`: the systemd units of this installation."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enc.commands.call import Call, json_option, write_units
from enc.settings.config import DEFAULT_PATH
from enc.terms.errors import ExitStatus
from git_hooks import systemd

SUMMARY = "write the systemd units of `hooks` and `serve` and their account for this installation"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="directory to write to; docs/operation.md says what to do next"
    )
    json_option(parser)


def run(call: Call) -> int:
    """Write them, and print where."""
    config = call.config_path.absolute()
    program = Path(sys.argv[0]).absolute()
    settings, written = call.settings, None if config == DEFAULT_PATH else config
    sandboxes = systemd.wanted(settings.branches, settings.pushes)
    published = settings.signing.published_keys
    texts = systemd.files(program, written, settings.branches, published, sandboxes=sandboxes)
    write_units(call, texts)
    return ExitStatus.DONE
