"""How old something is, by time that we counted ourselves; for whatever is removed or ended by its age.

The time of day may be wrong and be set: at boot before NTP has an answer, by a
hypervisor, by somebody's hand. What is removed is gone, so the difference of
two times of day never decides about it. What does:

- Time is counted by the kernel's clock that nobody sets (/proc/uptime, with the
  time a machine slept). Each look adds what passed since the last one. Over a
  restart the time of day is believed, but for a day at most (`MOST_OFF`): a
  machine that was off for longer, or whose clock was wrong, counts a day.
- Each stretch in which the time of day ran evenly is remembered (`Stretch`), so
  a time that was written in it is the counted time at which it was written.
  A time that fits several stretches is the youngest of them; one that is before
  the first counts from the first look on; one that no stretch explains counts
  from the beginning of the present one.

So a clock that jumps a year and back makes nothing older, and what was written
while it was wrong ages like everything else. With another machine's times
(`of_another`) less is known: what no stretch explains is as good as new.

Owns one small JSON file for each use; looks at the same moment may overwrite
each other, which loses nothing, as each only adds to the last. One that is
lost or damaged is begun anew: things stay longer. One that cannot be written
(the disk is full, and removing would make room) stops nobody.

Not here: whether something counts at this moment (a certificate, a token, a
trial). That is a question for the time of day, and is answered anew each time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import ToolkitError

TOLERANCE = 60.0
"""Seconds by which the time of day may differ from the counted one before we say that it was set."""
MOST_OFF = 86400.0
"""Seconds that are counted over a restart at most."""
_STRETCHES = 64
"""So many are remembered; what was written before them counts from the first of them on."""
_PROC = Path("/proc")


class Look(NamedTuple):
    """What the clocks show at one moment."""

    day: float
    """The time of day, in seconds since 1970."""
    up: float
    """Seconds since the machine started."""
    boot: str
    """Which start that was."""


class Stretch(NamedTuple):
    """A time in which the time of day ran evenly."""

    first: float
    """The time of day at its beginning, in seconds since 1970."""
    last: float
    """The time of day up to which it may have lasted."""
    counted: float
    """Seconds that were counted at its beginning."""


class Count(NamedTuple):
    """What was counted up to a look. `of` and `of_another` restate times as the present time of day has them."""

    look: Look
    counted: float
    stretches: tuple[Stretch, ...]

    @property
    def now(self) -> float:
        """The time of day, in seconds since 1970."""
        return self.look.day

    def of(self, stamp: float) -> float:
        """Return when something happened to which this machine gave the time `stamp`; never later than `now`."""
        known = self._counted_at(stamp)
        if known is None:
            known = self.stretches[0 if stamp < self.stretches[0].first else -1].counted
        return self.now - max(self.counted - known, 0.0)

    def of_another(self, stamp: float) -> float:
        """Return the same of a time that another machine may have given, which ran on when ours was set."""
        known, first = self._counted_at(stamp), self.stretches[0]
        if known is None:
            known = first.counted - (first.first - stamp) if stamp < first.first else self.counted
        return self.now - max(self.counted - known, 0.0)

    def after(self, look: Look) -> Count:
        """Return what is counted at a further look. Pure."""
        if look.boot == self.look.boot:
            passed = max(look.up - self.look.up, 0.0)
        else:
            passed = min(max(look.day - self.look.day, 0.0), MOST_OFF)
        counted, present = self.counted + passed, self.stretches[-1]
        if abs(present.first + counted - present.counted - look.day) <= TOLERANCE:
            here = present._replace(last=max(present.last, look.day))
            return Count(look, counted, (*self.stretches[:-1], here))
        # Set at some moment since: until then the old stretch may have gone on, from then on the new one has.
        old = present._replace(last=present.last + passed)
        new = Stretch(look.day - passed, look.day, self.counted)
        return Count(look, counted, (*self.stretches[:-1], old, new)[-_STRETCHES:])

    def differs(self, before: Count) -> bool:
        """Tell whether more is known than an even course of some minutes."""
        same = self.look.boot == before.look.boot and len(self.stretches) == len(before.stretches)
        return not same or self.stretches[-1].first != before.stretches[-1].first or self.counted - before.counted > 300

    def _counted_at(self, stamp: float) -> float | None:
        return max(
            (
                one.counted + stamp - one.first
                for one in self.stretches
                if one.first - TOLERANCE <= stamp <= one.last + TOLERANCE
            ),
            default=None,
        )


def begun(look: Look) -> Count:
    """Return what is known at the first look. Pure."""
    return Count(look, 0.0, (Stretch(look.day, look.day, 0.0),))


def look(clock: Callable[[], float] = time.time) -> Look:
    """Look at the clocks; raise `ToolkitError` if the kernel's cannot be read (systemd's `ProcSubset=pid` hides it)."""
    try:
        up = float((_PROC / "uptime").read_text("ascii").split()[0])
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError as error:
        raise ToolkitError(f"how long it has run cannot be read: {reason(error)}", where=str(_PROC)) from error
    return Look(clock(), up, boot)


class Elapsed:
    """The count that is kept in one file. Making the object does nothing."""

    def __init__(self, file: str | Path, look: Callable[[], Look] = look) -> None:
        """`look` shows the clocks."""
        self._file = Path(file)
        self._look = look

    def count(self, *, remember: bool = True) -> Count:
        """Look at the clocks, and return what is counted now; raise `ToolkitError`.

        What they show is remembered if it says anything new; not by who only looks (`remember`).
        """
        before, shown = self._read(), self._look()
        count = begun(shown) if before is None else before.after(shown)
        if remember and (before is None or count.differs(before)):
            with suppress(NotWritten):
                whole_file.write(self._file, json.dumps(count), mode=0o644, survives=Strength.KILL)
        return count

    def _read(self) -> Count | None:
        try:
            shown, counted, stretches = json.loads(self._file.read_bytes())
            day, up, boot = shown
            found = tuple(Stretch(*map(float, one)) for one in stretches)
            return Count(Look(float(day), float(up), str(boot)), float(counted), found) if found else None
        except (OSError, ValueError, TypeError):
            return None
