"""The result of one check, and how results are shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from enc.terms.errors import ExitStatus, one_line

Level = Literal["ok", "note", "warning", "fault"]
"""fault: something does not work now; warning: it will, or somebody may be surprised; note: could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    id: str
    """Stays the same from release to release (docs/operation.md lists them)."""
    level: Level
    found: str
    do: str = ""
    """What mends it."""


def ok(check: str, found: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, "ok", found)


def note(check: str, found: str, do: str = "") -> Finding:
    """Return a finding about what could not be looked at, or is odd and harmless."""
    return Finding(check, "note", found, do)


def warning(check: str, found: str, do: str) -> Finding:
    """Return a finding that should be seen to."""
    return Finding(check, "warning", found, do)


def fault(check: str, found: str, do: str) -> Finding:
    """Return a finding that has to be mended."""
    return Finding(check, "fault", found, do)


def verdict(findings: Iterable[Finding]) -> ExitStatus:
    """Return the exit status of a command that found all this."""
    return ExitStatus.FOUND if any(finding.level == "fault" for finding in findings) else ExitStatus.DONE


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings for programs."""
    return {
        "sound": verdict(findings) == ExitStatus.DONE,
        "findings": [
            {"id": one.id, "level": one.level, "found": one.found, "cure": one.do or None} for one in findings
        ],
    }


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return the findings for people: one line each, and below it what to do."""
    shown: list[str] = []
    width = max((len(finding.id) for finding in findings), default=0)
    for finding in findings:
        shown.append(f"{finding.level:<8} {finding.id:<{width}}  {one_line(finding.found)}")
        if finding.do:
            shown.append(f"{'':<8} {'':<{width}}  -> {one_line(finding.do)}")
    counts = {level: sum(finding.level == level for finding in findings) for level in ("fault", "warning")}
    shown.append(
        "nothing to do"
        if not any(counts.values())
        else ", ".join(f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items() if count)
    )
    return shown
