"""The states of an instance, and what may lead from one to another. Pure.

    client ── enable ──▶ enabling ── finished ──▶ serving ── disable ──▶ disabling ── verified ─┐
      ▲                     │                      ▲   │                    │                   │
      │                     │ failed, recover      │   │ dead               │ refused, recover  │
      │                     ▼                      └───┼────────────────────┘                   │
      └──── finished ── returning ◀───────────────────┴─────────────────────────────────────────┘

In `client` the central master serves; in `serving` the instance does. Between
them one of the two does: until the agent is switched the central one, and from
then on the own one, until it is switched back. `returning` leads nowhere but
to `client`, however often it is interrupted.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, get_args

from enc.terms.errors import ToolkitError

SelfMasterState = Literal["client", "enabling", "serving", "disabling", "returning"]
Event = Literal["enable", "disable", "finished", "failed", "verified", "refused", "dead", "recover"]
STATES: tuple[SelfMasterState, ...] = get_args(SelfMasterState)
EVENTS: tuple[Event, ...] = get_args(Event)

TRANSITIONS: MappingProxyType[tuple[SelfMasterState, Event], SelfMasterState] = MappingProxyType(
    {
        ("client", "enable"): "enabling",
        ("enabling", "finished"): "serving",
        ("enabling", "failed"): "returning",
        ("enabling", "recover"): "returning",
        ("serving", "disable"): "disabling",
        ("serving", "dead"): "returning",
        ("disabling", "verified"): "returning",
        ("disabling", "refused"): "serving",
        ("disabling", "recover"): "serving",
        ("returning", "recover"): "returning",
        ("returning", "finished"): "client",
    }
)
"""Whatever is not here is not allowed. A test holds docs/self-master.md to it."""

SETTLED: frozenset[SelfMasterState] = frozenset({"client", "serving"})
"""States in which nothing is under way."""

_INSTEAD: MappingProxyType[tuple[SelfMasterState, Event], str] = MappingProxyType(
    {
        ("serving", "enable"): "this instance is already its own master",
        ("client", "disable"): "this instance is not its own master, so there is nothing to disable",
    }
)


class WrongState(ToolkitError):
    """What is asked for makes no sense now."""


def after(state: SelfMasterState, event: Event) -> SelfMasterState:
    """Return the state that `event` leads to; raise `WrongState` if it may not happen in `state`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        said = _INSTEAD.get((state, event), f"{event} is not possible while the instance is {state}")
        hint = "" if state in SETTLED else "; run `puppetmaster-self recover` first"
        raise WrongState(said + hint) from None
