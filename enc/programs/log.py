"""Logging for all commands: one line per event on stderr, whatever the message holds.

Control characters in a message are escaped, so that user input cannot split
or forge a line. Under systemd the time stamp is left to the journal.
"""

from __future__ import annotations

import json
import logging
import os
import sys

from enc.programs.times import iso
from enc.settings import LogSettings
from enc.terms.errors import bounded, one_line

_ROOT = "puppetmaster"


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        if record.exc_info:
            text += " | " + self.formatException(record.exc_info)
        if "JOURNAL_STREAM" not in os.environ:
            stamp = iso(record.created)
            text = f"{stamp} {record.name} {text}"
        return one_line(text)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document = {
            "time": iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document)


def setup(settings: LogSettings) -> None:
    """Send the toolkit's log to stderr in the configured form; may be called again."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.format == "json" else _Text())
    root = logging.getLogger(_ROOT)
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    root.propagate = False


def get(name: str) -> logging.Logger:
    """Return the logger of one part, such as `follower`."""
    return logging.getLogger(f"{_ROOT}.{name}")


def all_said(logger: logging.Logger, program: str, output: str, told: str) -> None:
    """Keep what a program said, in one line, if more of it was said than was `told`; without credentials."""
    from enc.terms.program_words import without_credentials

    words = " | ".join(line.strip() for line in output.replace("\r", "\n").split("\n") if line.strip())
    if words and words not in told:
        logger.info("%s said: %s", program, bounded(without_credentials(words)))
