"""How the last sync ended: a document for programs, a Prometheus text file, and whether syncing by timer is paused.

Below DIRECTORY (BASE/sync): `last.json`, `paused` (there: the timer's syncs do
nothing), `under-way.json` (working_copy.py's). All can be thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enc.programs import prometheus, whole_file
from enc.programs.times import iso
from enc.programs.whole_file import Strength
from puppetmaster_self.sync.sync import Result
from puppetmaster_self.sync.upstream import GOOD, Commit, Fate

_PREFIX = "puppetmaster_self_sync_"


def document(result: Result, at: float) -> dict[str, Any]:
    """Return a result for programs."""
    queue, replayed = result.queue, result.replayed
    return {
        "outcome": result.outcome,
        "message": result.message,
        "at": iso(at),
        "upstream": queue and queue.upstream,
        "local": replayed.tip if replayed and result.outcome in GOOD else queue and queue.local,
        "behind": 0 if result.outcome in GOOD else queue and queue.behind,
        "patches": [fate_document(fate) for fate in replayed.fates] if replayed else [],
        "parked": [_commit(one) for one in result.parked],
        "snapshot": result.snapshot,
    }


def fate_document(fate: Fate) -> dict[str, Any]:
    """Return what became of one patch, for programs."""
    clash = fate.clash
    return {
        "number": fate.number,
        "commit": fate.patch.commit,
        "author": fate.patch.author,
        "subject": fate.patch.subject,
        "fortune": fate.fortune,
        "now": fate.commit,
        "taken_as": _commit(fate.taken_as),
        "conflict": None
        if clash is None
        else {
            "kind": clash.kind,
            "files": list(clash.paths),
            "upstream_commit": _commit(clash.cause),
            "builds_on": _commit(clash.builds_on),
        },
    }


def write(directory: Path, document: Mapping[str, Any], at: float, metrics_file: Path | None) -> None:
    """Write the document, and the metrics if there is a place for them."""
    directory.mkdir(parents=True, exist_ok=True)
    whole_file.write(
        directory / "last.json",
        (json.dumps(document, indent=2) + "\n").encode(),
        mode=0o644,
        survives=Strength.POWER_CUT,
    )
    if metrics_file is not None:
        prometheus.write_file(metrics_file, metrics(document, at))


def read(directory: Path) -> dict[str, Any] | None:
    """Return the document of the last sync; None: there was none, or it cannot be read."""
    try:
        found = json.loads((directory / "last.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def metrics(document: Mapping[str, Any], at: float) -> str:
    """Return the numbers in Prometheus's text format. Pure."""
    standing = sum(one["fortune"] in ("kept", "moved") for one in document["patches"])
    values = (
        ("success", "1 if the last sync succeeded, else 0", int(document["outcome"] in GOOD)),
        ("time_seconds", "When the last sync ended, in seconds since 1970", int(at)),
        ("patches", "Local patches on top of the central branch", standing),
        ("parked", "Patches that are set aside (parked)", len(document["parked"])),
        ("behind", "Commits of the central branch that are not here", document["behind"]),
    )
    return prometheus.text(_PREFIX, (prometheus.single(*said) for said in values if said[2] is not None))


def paused(directory: Path) -> bool:
    """Tell whether the timer's syncs do nothing."""
    return (directory / "paused").exists()


def pause(directory: Path) -> None:
    """Let the timer's syncs do nothing until `go_on`."""
    directory.mkdir(parents=True, exist_ok=True)
    whole_file.write(directory / "paused", b"by sync --back\n", mode=0o644, survives=Strength.POWER_CUT)


def go_on(directory: Path) -> None:
    """End the pause."""
    (directory / "paused").unlink(missing_ok=True)


def _commit(commit: Commit | None) -> dict[str, str] | None:
    if commit is None:
        return None
    return {"commit": commit.commit, "author": commit.author, "subject": commit.subject}
