"""How the instance's files were: kept before anything is changed, brought back at the end of the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from enc.programs import whole_file
from enc.programs.whole_file import Strength
from enc.terms.counted import counted
from puppetmaster_self.instance import tree
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.transaction.steps import accounts
from puppetmaster_self.transaction.steps.step import Step, StepWithoutUndo

_TIMEOUT = 120.0


@dataclass(frozen=True)
class Snapshot(Step):
    """Keeps all files below `roots`, but not those below `without`."""

    roots: tuple[Path, ...]
    without: tuple[Path, ...]
    name: ClassVar[str] = "snapshot"

    def summary(self) -> str:
        return f"back up the present state: {', '.join(map(str, self.roots))}"

    def remember(self, machine: Machine) -> Mapping[str, Any]:
        return {
            "roots": [str(root) for root in self.roots],
            "without": [str(path) for path in self.without],
            "kept": str(machine.places.kept_from(machine.now())),
        }

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        place = machine.places.snapshot
        found = tree.look(self.roots, self.without)
        tree.keep(found, place / "copies")
        whole_file.write(place / "before.json", tree.as_json(found).encode(), mode=0o600, survives=Strength.POWER_CUT)
        return counted(len(found), "path")

    @staticmethod
    def undo(machine: Machine, remembered: Mapping[str, Any]) -> list[str]:
        """Bring the files back. Without a whole snapshot, no later step has begun, and nothing was changed."""
        place = machine.places.snapshot
        before = _read(place / "before.json")
        if before is None:
            return []
        now = tree.look(map(Path, remembered["roots"]), map(Path, remembered["without"]))
        tasks = tree.restoration(before, _read(place / "left.json"), now)
        told = tree.restore(tasks, before, place / "copies", Path(remembered["kept"]))
        machine.run("systemctl", "daemon-reload", timeout=_TIMEOUT)
        return told


@dataclass(frozen=True)
class Mark(StepWithoutUndo):
    """Notes how we left everything, so that later changes of others can be told from ours."""

    roots: tuple[Path, ...]
    without: tuple[Path, ...]
    tool: str
    name: ClassVar[str] = "mark"

    def summary(self) -> str:
        return "record what was changed"

    def act(self, machine: Machine, remembered: Mapping[str, Any]) -> str:
        del remembered
        place = machine.places.snapshot
        owned = accounts.look(machine, self.tool)
        whole_file.write(place / "left-owned.json", json.dumps(owned).encode(), mode=0o600, survives=Strength.POWER_CUT)
        found = tree.look(self.roots, self.without)
        whole_file.write(place / "left.json", tree.as_json(found).encode(), mode=0o600, survives=Strength.POWER_CUT)
        before = _read(place / "before.json") or {}
        return counted(len(tree.restoration(before, None, found)), "path was changed", "paths were changed")


def _read(path: Path) -> dict[str, tree.Entry] | None:
    try:
        return tree.from_json(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
