"""What came of an import: counted, with the place of everything that could not be used. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from enc.edits.change import Step
from enc.terms.counted import counted
from enc.terms.errors import one_line


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was not imported, and why."""

    where: str
    """File and line, or file."""
    message: str

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {"where": self.where, "message": self.message}

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.message}")


@dataclass(slots=True)
class Outcome:
    """The result of one import."""

    dry_run: bool
    added: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0
    taken: int = 0
    """Classes and keys of hiera data that go; a mirroring import only."""
    skipped: list[Problem] = field(default_factory=list)
    """Left out on purpose, such as entries outside the configured bases."""
    notes: list[Problem] = field(default_factory=list)
    """What was taken, but perhaps not as somebody meant it."""
    problems: list[Problem] = field(default_factory=list)
    """What could not be taken or written."""
    lines: list[str] = field(default_factory=list)
    """The writes, for people."""

    def count(self, steps: Sequence[Step]) -> None:
        """Count an entry that these steps were about; several steps make one project."""
        do = steps[0].do if steps else ""
        self.added += do == "add"
        self.changed += do == "modify"
        self.deleted += do == "delete"
        self.unchanged += not steps

    def summary(self) -> str:
        """Return one line for people."""
        words = f"{self.added} added, {self.changed} changed, {self.unchanged} unchanged"
        words += f", {self.deleted} deleted" if self.deleted else ""
        words += f", {counted(self.taken, 'class or key', 'classes and keys')} removed" if self.taken else ""
        words += f", {len(self.skipped)} skipped" if self.skipped else ""
        words += f", {len(self.problems)} with problems" if self.problems else ""
        return f"dry run, nothing was written: {words}" if self.dry_run else words

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {
            "dry_run": self.dry_run,
            "added": self.added,
            "changed": self.changed,
            "deleted": self.deleted,
            "unchanged": self.unchanged,
            "taken_away": self.taken,
            "skipped": [problem.document() for problem in self.skipped],
            "notes": [problem.document() for problem in self.notes],
            "problems": [problem.document() for problem in self.problems],
            "writes": self.lines,
        }
