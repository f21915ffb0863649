"""Moments and lengths of time as people and programs read them: one form each, in UTC. Pure.

Moments are held in seconds since 1970. Not here: reading what people write
(`Duration`, service/history.py) and the forms of other programs (CSNs, sshd).
"""

from __future__ import annotations

import time

_LAST = 253_402_300_799.0
"""9999-12-31T23:59:59Z: the last moment with four digits for the year; later ones (damaged files) are told as it."""


def iso(seconds: float) -> str:
    """Return a moment as in RFC 3339: `2026-11-01T14:30:05Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", _parts(seconds))


def day(seconds: float) -> str:
    """Return the day of a moment: `2026-11-01`."""
    return time.strftime("%Y-%m-%d", _parts(seconds))


def compact(seconds: float) -> str:
    """Return a moment for names of files and branches: `20261101T143005`."""
    return time.strftime("%Y%m%dT%H%M%S", _parts(seconds))


def age(seconds: float) -> str:
    """Return about how long something is, in its largest unit: `3d`, `14h`, `5m`, `9s`; the rest is left out."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds / size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def _parts(seconds: float) -> time.struct_time:
    return time.gmtime(min(_LAST, max(0.0, seconds)))
