"""Puppetserver's account can read what it will be asked for: the last look before the long part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from puppetmaster_self.instance.machine import Machine, ProgramFailed
from puppetmaster_self.transaction import readable
from puppetmaster_self.transaction.readable import Needed
from puppetmaster_self.transaction.steps.step import StepWithoutUndo


@dataclass(frozen=True)
class Reading(StepWithoutUndo):
    """Asks as the account, which its package has brought, also for what the environment's hiera.yaml names."""

    needed: tuple[Needed, ...]
    environment: Path
    hidden: tuple[str, ...]
    """Places that its puppetserver does not see."""
    name: ClassVar[str] = "reading"

    def summary(self) -> str:
        return "check that puppetserver's account can read its configuration and hiera's data"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del machine, remembered
        for found in readable.in_the_way((*self.needed, *readable.of_environment(self.environment)), self.hidden):
            raise ProgramFailed(f"{found.words}; {found.cure}")
        return "it can"
