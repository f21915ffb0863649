"""What came of an import: counted, with the place of everything that could not be used. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from enc.errors import one_line


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was not imported, and why."""

    where: str
    """File and line, or file."""
    message: str

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.message}")


@dataclass(slots=True)
class Outcome:
    """The result of one import."""

    dry_run: bool
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: list[Problem] = field(default_factory=list)
    """Left out on purpose, such as entries outside the configured bases."""
    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """The writes, for people."""

    def summary(self) -> str:
        """Return one line for people."""
        words = f"{self.added} added, {self.changed} changed, {self.unchanged} as they were"
        words += f", {len(self.skipped)} skipped" if self.skipped else ""
        words += f", {len(self.problems)} with problems" if self.problems else ""
        return f"dry run, nothing was written: {words}" if self.dry_run else words

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        return {
            "dry_run": self.dry_run,
            "added": self.added,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "skipped": [asdict(problem) for problem in self.skipped],
            "problems": [asdict(problem) for problem in self.problems],
            "writes": self.lines,
        }
