"""The directory of the self-master: its certificates, repository, environments and configuration."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from enc.answers import layout
from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError
from enc.terms.names import EnvironmentName
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.steps.step import Step

PUPPETS = EnvironmentName("production")
"""puppetserver does not start without an environment of this name, and may not make one here."""


@dataclass(frozen=True)
class Base(Step):
    """Makes the directories, and the configuration that its branch manager and signing policy read."""

    configuration: str
    module: Path
    """The Puppet module `puppetmaster`."""
    made: tuple[Path, ...]
    """Directories that later steps may make elsewhere; undo removes those that were not there before."""
    autosign: str | None = None
    """The program that judges requests of other instances; None: there are to be none."""
    answers: Path | None = None
    """Where that finds which instances there are: the answers of this instance's follower."""
    name: ClassVar[str] = "base"

    def summary(self) -> str:
        return "create the self-master's directory and configuration"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        made = [str(path) for path in self.made if not path.exists()]
        return {"base": str(machine.places.base), "made": made}

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        places = machine.places
        # puppetserver's account must pass through to what is its own below.
        places.base.chmod(0o755)
        for directory in (places.environments, places.store, places.modules):
            directory.mkdir(exist_ok=True)
        # A branch takes the place of an empty directory; where no branch becomes this environment, it is enough.
        (places.environments / PUPPETS).mkdir(exist_ok=True)
        link = places.modules / "puppetmaster"
        if not link.is_symlink():
            link.symlink_to(self.module)
        whole_file.write(places.configuration, self.configuration.encode(), mode=0o644, survives=Strength.POWER_CUT)
        if self.autosign is not None:
            whole_file.write(places.autosign, self.autosign.encode(), mode=0o755, survives=Strength.POWER_CUT)
        if self.autosign is not None and self.answers is not None:
            layout.link(places.configuration, self.answers)
        return str(places.base)

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Remove everything there but the transaction and what must never be lost, and what was made elsewhere."""
        places = machine.places
        if remembered["base"] != str(places.base):
            was = remembered["base"]
            raise ToolkitError(
                f"was {was} when this began; set it back to that until this is undone", where="self_master.base"
            )
        ours = (places.transaction, places.kept)
        for path in (*places.base.iterdir(), *map(Path, remembered["made"])):
            if path in ours:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return []
