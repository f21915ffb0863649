"""`branch-manager hooks`: the process that stays: hooks hand their work to it, and it looks after the branches."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Mapping

from enc.commands.call import Call
from enc.systemd import notify
from enc.terms.errors import ExitStatus
from git_hooks.push.service import Service
from git_hooks.upkeep.chores import EVERY
from git_hooks.upkeep.loop import Upkeep

SUMMARY = (
    "do the hooks' work in a process that keeps running, and the upkeep: new projects' branches, expire, gc, reconcile"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: everything stands in the configuration."""


def run(call: Call, every: Mapping[str, float] = EVERY) -> int:
    """Serve hooks until SIGTERM or SIGINT (exit status 0), after the pushes that are being served.

    `every`: seconds between two turns of each chore.
    """
    _ = call.settings  # sets up the log
    service = Service(call.config_path.absolute())
    upkeep = Upkeep(service, every)

    def end(*_: object) -> None:
        if not service.stop():
            raise SystemExit(ExitStatus.DONE)  # it waits for another one's end

    def ready() -> None:
        upkeep.start()
        notify.send("READY=1")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        service.run(ready)
    finally:
        upkeep.stop()
    return ExitStatus.DONE
