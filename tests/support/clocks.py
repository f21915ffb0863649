"""Clocks for tests: machines whose time of day is set, and a time of day that never was."""

from __future__ import annotations

import json
from pathlib import Path

from enc.programs.elapsed import Count, Look, Stretch, look


class Machine:
    """A machine's two clocks. `machine.look` is what the product looks at."""

    def __init__(self, day: float) -> None:
        """It has just been started, at this time of day."""
        self.day, self.up, self.boot = day, 0.0, 0

    def look(self) -> Look:
        """Show the clocks."""
        return Look(self.day, self.up, str(self.boot))

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.day += seconds
        self.up += seconds

    def is_set(self, seconds: float) -> None:
        """Set the time of day forward, or with a negative number back."""
        self.day += seconds

    def restarts(self, *, off: float = 0.0, shows: float | None = None) -> None:
        """Be off for a while, and show this time of day afterwards; None: the right one."""
        self.day = self.day + off if shows is None else shows
        self.up, self.boot = 0.0, self.boot + 1


def even(now: float) -> Count:
    """Return the count of a machine whose time of day ran evenly from 1970 until `now`."""
    return Count(Look(now, now, ""), now, (Stretch(0.0, now, 0.0),))


def counted_since_1970(file: Path) -> None:
    """Let this machine have counted time since 1970, so that what a test dates back is as old as it says."""
    shown = look()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(Count(shown, shown.day, (Stretch(0.0, shown.day, 0.0),))))
