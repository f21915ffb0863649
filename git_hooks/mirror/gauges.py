"""How the mirror is, for Prometheus: when the forge last answered, what fails and since when (docs/mirror.md).

Written after each look, whole, for the node exporter's textfile collector. Not
here: what is counted (tries.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from enc.programs import prometheus
from enc.programs.prometheus import Metric, single
from git_hooks.mirror.tries import FORGE, Try

_PREFIX = "puppetmaster_mirror_"


def text(answered: float | None, tries: Sequence[Try]) -> str:
    """Return the numbers in Prometheus's text format 0.0.4."""
    branches = [one for one in tries if one.subject != FORGE]
    away = next((one.failures for one in tries if one.subject == FORGE), 0)
    said = "When the forge last listed its branches, in seconds since 1970; 0: never"
    metrics = (
        single("answered_timestamp_seconds", said, answered or 0),
        single("forge_failures", "Consecutive failed looks at the forge", away),
        single("failing_branches", "Branches that are not live as they are at the forge", len(branches)),
        _each("branch_failures", "How often it was tried", {one.subject: one.failures for one in branches}),
        _each("branch_failing_since_timestamp_seconds", "First try", {one.subject: one.since for one in branches}),
        _each("branch_next_try_timestamp_seconds", "Next try", {one.subject: one.next for one in branches}),
    )
    return prometheus.text(_PREFIX, metrics)


def write(file: Path, answered: float | None, tries: Sequence[Try]) -> None:
    """Replace `file`; raise OSError."""
    prometheus.write_file(file, text(answered, tries))


def _each(name: str, meaning: str, numbers: Mapping[str, float]) -> Metric:
    return Metric(name, meaning, tuple(({"branch": branch}, number) for branch, number in numbers.items()))
