"""The states of a promotion, and which follows which. Pure.

Each change of state is one whole file that is replaced (kept.py), so a kill leaves the one before or the one after.
What a state owes to the repository is done after it is written down and before the next one is (moving.py); whoever
comes next, a command or the service's upkeep, does it again, which changes nothing if it was done.
"""

from __future__ import annotations

from typing import Literal

State = Literal[
    "proposed",
    "queued",
    "moving",
    "moved",
    "watching",
    "done",
    "refused",
    "rejected",
    "withdrawn",
    "stopping",
    "stopped",
]

FOLLOWS: dict[State, tuple[State, ...]] = {
    "proposed": ("proposed", "queued", "moving", "refused", "rejected", "withdrawn"),
    "queued": ("queued", "proposed", "moving", "refused", "rejected", "withdrawn"),
    "moving": ("moved", "queued"),
    "moved": ("watching", "done"),
    "watching": ("watching", "done", "moving", "stopping"),
    "stopping": ("stopped",),
    "done": (),
    "refused": (),
    "rejected": (),
    "withdrawn": (),
    "stopped": (),
}
"""State to those that may follow."""

OPEN: tuple[State, ...] = ("proposed", "queued", "moving", "moved", "watching", "stopping")
"""Not over yet."""
UNDER_WAY: tuple[State, ...] = ("moving", "moved", "watching", "stopping")
"""The rung is theirs alone: nothing else is promoted to it."""
OWED: tuple[State, ...] = ("moving", "moved", "stopping")
"""Something is to be done at once: it was left undone only if somebody was killed."""
LANDED: tuple[State, ...] = ("moved", "watching", "done", "stopping", "stopped")
"""The rung's branch has, or had, it."""


def may_follow(old: State, new: State) -> bool:
    """Tell whether `new` may come after `old`."""
    return new in FOLLOWS[old]
