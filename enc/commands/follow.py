"""`enc-admin follow`: run the follower, in the foreground, for systemd or a terminal."""

from __future__ import annotations

import argparse
import signal
import threading

from enc.answers import follower, layout
from enc.commands.call import Call
from enc.programs import log
from enc.systemd.notify import Notifier

SUMMARY = "follow LDAP and write the answers, until stopped"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--once", action="store_true", help="bring the answers up to date, then end")


def run(call: Call, beat: float = layout.BEAT) -> int:
    """Follow until SIGTERM or SIGINT (exit status 0), or once. `beat`: seconds between two signs of life."""
    settings = call.settings
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _link(call)
    place = layout.Layout(settings.answers.directory)
    with Notifier(place, beat):
        follower.follow(settings, once=call.arguments.once, stop=stop, beat=beat)
    return 0


def _link(call: Call) -> None:
    """Let `enc` find the answers of this configuration; where that cannot be written, an operator did it before."""
    directory = call.settings.answers.directory
    if not layout.needs_link(call.config_path, directory):
        return
    try:
        layout.link(call.config_path, directory)
    except OSError as error:
        place = layout.link_of(call.config_path)
        if not place.is_symlink() or place.readlink() != directory:
            log.get("follower").warning(
                "%s: cannot be made (%s); run `enc-admin config link` as root, or enc asks LDAP each time",
                place,
                error.strerror,
            )
