"""What a step of `enable` is, and what its way back owes to whoever is interrupted.

A step remembers (reads what its undo needs, changes nothing), then acts. Its
undo is a function of what it remembered alone, because it runs in another
process, perhaps after a crash, perhaps with another version of this program:
so it is a static method and has no step at hand. It must do the right thing
whether the step acted wholly, in part or not at all, and when it is repeated.
No undo needs the network, LDAP or git.

Names and what is remembered are written in journals, and a later version
undoes them: a name never changes its meaning, and an undo goes on reading what
earlier versions remembered.

Not here: the order of journal and acts (transaction.py), which steps there are
(`STEPS`, in this package), which of them are taken (plan.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from puppetmaster_self.instance.machine import Machine


class Step(ABC):
    """One step."""

    name: ClassVar[str]
    """What it is called in the journal."""
    vital: ClassVar[bool] = False
    """Undone even if the undo of a later step has failed: without it, no master would serve the instance."""

    @abstractmethod
    def summary(self) -> str:
        """Return what it is going to do, in one line."""

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        """Return all that undo needs, as JSON has it: nothing, unless a step says otherwise. Changes nothing."""
        del machine
        return {}

    @abstractmethod
    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        """Do it, given what was remembered; return what was found or done, in words."""

    @staticmethod
    @abstractmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Take the step back, given what was remembered; return what people should know, in words."""


class StepWithoutUndo(Step):
    """A step that only looks, or whose changes the undo of an earlier step takes back."""

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Do nothing."""
        del machine, remembered
        return []
