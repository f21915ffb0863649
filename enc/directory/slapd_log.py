"""Between slapd's stderr and its log: leaves out what each operation says of itself, and bounds the file.

slapd has no level that tells faults alone: what it calls `none` has a line for
every write with a Post-Read control, for each look of the constraint overlay
and for a client that binds and asks at once. So its messages go through this
program, which slapd_process.py starts beside it and which ends when slapd does.

A program of its own, started as a file (`python -I -S slapd_log.py LOG LIMIT`):
slapd outlives who started it. Nothing but the standard library.

Owns LOG and LOG.1, the generation before. A disk that is full loses lines; they are not kept for later. Not here: what
slapd logs at all (StartOptions.log_level).
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

_FRONT = rb"^[0-9a-f]{8}(?:\.[0-9a-f]{8} 0x[0-9a-f]+)? "
"""Time and thread, as slapd 2.4 and 2.5 write them."""
ROUTINE = re.compile(
    _FRONT + rb"(?:conn=\d+ op=\d+ )?(?:slap_read_controls: |constraint_update\(\)$|"
    rb"connection_input: conn=\d+ deferring operation: binding$)"
)
_LONGEST = 1 << 20
"""Octets after which a line is written though it has no end."""


def follow(stream: int, place: str, limit: int) -> None:
    """Copy what is to be kept from a descriptor to `place`, until its end; beyond `limit` octets that goes aside."""
    left = b""
    while octets := os.read(stream, 65_536):
        *whole, left = (left + octets).split(b"\n")
        if len(left) > _LONGEST:
            whole, left = [*whole, left], b""
        kept = b"".join(line + b"\n" for line in whole if not ROUTINE.match(line))
        if kept:
            _append(kept, place, limit)
    if left:
        _append(left + b"\n", place, limit)


def _append(octets: bytes, place: str, limit: int) -> None:
    with suppress(OSError):  # nobody is there to be told, and slapd goes on
        if os.path.getsize(place) > limit:
            os.rename(place, f"{place}.1")
    with suppress(OSError):
        log = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            while octets:
                octets = octets[os.write(log, octets) :]
        finally:
            os.close(log)


if __name__ == "__main__":
    follow(0, sys.argv[1], int(sys.argv[2]))
