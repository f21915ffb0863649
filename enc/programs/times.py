"""Moments and lengths of time as people and programs read them: one form each, in UTC. Pure.

Moments are held in seconds since 1970. Not here: reading what people write
(`Duration`, service/history.py) and the forms of other programs (CSNs, sshd).
"""

from __future__ import annotations

import calendar
import re
import time

_LAST = 253_402_300_799.0
"""9999-12-31T23:59:59Z: the last moment with four digits for the year; later ones (damaged files) are told as it."""

_COMPACT = re.compile(r"[0-9]{8}T[0-9]{6}", re.ASCII)
_SECONDS = re.compile(r"(?:^|(?<=since )|(?<=until ))[0-9]{10,11}(?![^ ])", re.ASCII)
"""Seconds since 1970 where values of ours have them; ten digits since 2001. Elsewhere it may be somebody's number."""


def iso(seconds: float) -> str:
    """Return a moment as in RFC 3339: `2026-11-01T14:30:05Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", _parts(seconds))


def day(seconds: float) -> str:
    """Return the day of a moment: `2026-11-01`."""
    return time.strftime("%Y-%m-%d", _parts(seconds))


def compact(seconds: float) -> str:
    """Return a moment for names of files and branches: `20261101T143005`."""
    return time.strftime("%Y%m%dT%H%M%S", _parts(seconds))


def of_compact(text: str) -> int | None:
    """Return the moment that `compact` wrote; None if it is none."""
    try:
        return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%S")) if _COMPACT.fullmatch(text) else None
    except ValueError:
        return None


def legible(text: str) -> str:
    """Return a value of ours with its moments, which it holds in seconds since 1970, as people read them."""
    return _SECONDS.sub(lambda found: iso(int(found[0])), text)


def age(seconds: float) -> str:
    """Return about how long something is, in its largest unit: `3d`, `14h`, `5m`, `9s`; the rest is left out."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds / size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def _parts(seconds: float) -> time.struct_time:
    return time.gmtime(min(_LAST, max(0.0, seconds)))
