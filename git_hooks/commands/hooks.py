"""`branch-manager hooks`: the warm process that hooks hand their work to."""

from __future__ import annotations

import argparse
import signal

from enc.commands.call import Call
from git_hooks.service import Service

SUMMARY = "do the hooks' work in a process that stays, which makes pushes faster; hooks work without it, too"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: everything stands in the configuration."""


def run(call: Call) -> int:
    """Serve hooks until SIGTERM or SIGINT (exit status 0), after the pushes that are being served."""
    _ = call.settings  # sets up the log
    service = Service(call.config_path.absolute())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()
    return 0
