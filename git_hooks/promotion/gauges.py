"""How promotions are, for Prometheus: what waits and for how long, what was stopped, what is held off.

Written by the upkeep after each look, whole, for the node exporter's textfile collector (docs/promotion.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from enc.programs import prometheus
from enc.programs.prometheus import Metric, single
from git_hooks.promotion.kept import Promotion
from git_hooks.promotion.states import LANDED
from git_hooks.push.patch_holds import PatchHold

_PREFIX = "puppetmaster_promotion_"


def text(found: Sequence[Promotion], holds: Sequence[PatchHold], now: float) -> str:
    """Return the numbers in Prometheus's text format 0.0.4."""
    open_ones = [one for one in found if one.open]
    states = Counter((one.rung, one.state) for one in open_ones)
    oldest: dict[str, float] = {}
    for one in open_ones:
        if one.queued is not None:
            oldest[one.rung] = min(oldest.get(one.rung, one.queued), one.queued)
    done = Counter((one.rung, one.way) for one in found if one.state in LANDED)
    stopped = Counter(one.rung for one in found if one.state == "stopped")
    held = Counter(str(one.branch) for one in holds if one.holds)
    return prometheus.text(
        _PREFIX,
        (
            Metric("open", "Promotions that are not over", tuple(
                ({"rung": rung, "state": state}, number) for (rung, state), number in sorted(states.items()))),
            Metric("queued_since_timestamp_seconds", "Since when the oldest one waits in its queue", tuple(
                ({"rung": rung}, at) for rung, at in sorted(oldest.items()))),
            Metric("landed", "Promotions that got to their rung", tuple(
                ({"rung": rung, "way": way}, number) for (rung, way), number in sorted(done.items()))),
            Metric("stopped", "Promotions that were stopped because runs failed", tuple(
                ({"rung": rung}, number) for rung, number in sorted(stopped.items()))),
            Metric("holds", "Reverted changes that are held off", tuple(
                ({"branch": branch}, number) for branch, number in sorted(held.items()))),
            single("holds_past_end", "Holds whose end has passed", sum(one.holds and one.until < now for one in holds)),
        ),
    )


def write(file: Path, found: Sequence[Promotion], holds: Sequence[PatchHold], now: float) -> None:
    """Replace `file`; raise OSError."""
    prometheus.write_file(file, text(found, holds, now))
