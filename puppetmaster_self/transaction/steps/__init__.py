"""The steps of `enable`, one module for each kind, and how each is undone.

A step remembers (reads what its undo needs, changes nothing), then acts. Its
undo is a function of what it remembered alone, because it runs in another
process, perhaps after a crash, perhaps with another version of this program. It
must do the right thing whether the step acted wholly, in part or not at all,
and when it is repeated. No undo needs the network, LDAP or git.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.steps import agent, base, master, packages, repository, snapshot, units

Undo = Callable[[Machine, Mapping[str, Any]], list[str]]
"""Takes a step back; returns what people should know, in words."""


class Step(Protocol):
    """One step. Its name stands in the journal, so it never changes its meaning."""

    name: ClassVar[str]

    def summary(self) -> str:
        """Return what it is going to do, in one line."""

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        """Return all that undo needs. Changes nothing."""

    def act(self, machine: Machine, undo: Mapping[str, Any]) -> str:
        """Do it; return what was found or done, in words."""


def _nothing(machine: Machine, undo: Mapping[str, Any]) -> list[str]:
    del machine, undo
    return []


UNDO: Mapping[str, Undo] = MappingProxyType(
    {
        units.Units.name: units.undo,
        snapshot.Snapshot.name: snapshot.undo,
        agent.Pause.name: agent.undo_pause,
        packages.Packages.name: packages.undo,
        base.Base.name: base.undo,
        repository.Repository.name: repository.undo,
        repository.Deploy.name: _nothing,
        master.Apply.name: master.undo,
        master.Answering.name: _nothing,
        master.Classifier.name: _nothing,
        snapshot.Mark.name: _nothing,
        agent.Rehearsal.name: _nothing,
        agent.Switch.name: agent.undo_switch,
        agent.RealRun.name: _nothing,
        agent.Resume.name: agent.undo_resume,
    }
)
"""Name of a step to its undo."""

VITAL = frozenset({agent.Switch.name, agent.Pause.name, agent.Resume.name})
"""Undone even if the undo of a later step has failed: without them, no master would serve the instance."""
