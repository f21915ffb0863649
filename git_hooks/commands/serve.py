"""`branch-manager serve`: git over HTTPS, in the foreground, for systemd or a terminal."""

from __future__ import annotations

import argparse

from enc.commands.call import Call

SUMMARY = "serve the repository over HTTPS, until stopped"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: everything stands in the configuration."""


def run(call: Call) -> int:
    """Serve until SIGTERM or SIGINT (exit status 0)."""
    settings = call.settings
    from git_hooks.web.site import serve  # here: Flask and gunicorn take a while to import

    serve(settings)
    return 0
