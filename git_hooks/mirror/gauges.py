"""How the mirror is, for Prometheus: when the forge last answered, what fails and since when (docs/mirror.md).

Written after each look, whole, for the node exporter's textfile collector. Not
here: what is counted (tries.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from enc.answers.metrics import write_file
from git_hooks.mirror.tries import FORGE, Try

_PREFIX = "puppetmaster_mirror_"


def text(answered: float | None, tries: Sequence[Try]) -> str:
    """Return the numbers in Prometheus's text format 0.0.4."""
    branches = [one for one in tries if one.subject != FORGE]
    away = next((one.failures for one in tries if one.subject == FORGE), 0)
    lines = [
        *_gauge("answered_timestamp_seconds", "When the forge last said what branches there are, 0: never"),
        f"{_PREFIX}answered_timestamp_seconds {answered or 0:.3f}",
        *_gauge("forge_failures", "Looks at the forge in a row that failed"),
        f"{_PREFIX}forge_failures {away}",
        *_gauge("failing_branches", "Branches that the forge has and that do not go live as it has them"),
        f"{_PREFIX}failing_branches {len(branches)}",
        *_each("branch_failures", "How often it was tried", {one.subject: one.failures for one in branches}),
        *_each("branch_failing_since_timestamp_seconds", "First try", {one.subject: one.since for one in branches}),
        *_each("branch_next_try_timestamp_seconds", "Next try", {one.subject: one.next for one in branches}),
    ]
    return "\n".join(lines) + "\n"


def write(file: Path, answered: float | None, tries: Sequence[Try]) -> None:
    """Replace `file`; raise OSError."""
    write_file(file, text(answered, tries))


def _gauge(name: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {_PREFIX}{name} {meaning}", f"# TYPE {_PREFIX}{name} gauge"


def _each(name: str, meaning: str, numbers: Mapping[str, float]) -> list[str]:
    # A branch's name needs no escaping (enc/names.py).
    samples = [f'{_PREFIX}{name}{{branch="{branch}"}} {number:.15g}' for branch, number in numbers.items()]
    return [*_gauge(name, meaning), *samples]
