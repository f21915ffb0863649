"""How the agents' runs went since a moment: read in the reports that puppetserver keeps on this machine.

A run counts for an environment if its report says so, was not a dry run, and came after the moment. Reports are read
as enc/instances/reports.py reads them; those of our processor, which believes the certificate only, if there are any.
The account must be able to read them (docs/promotion.md).

Not here: which nodes (looking.py), what follows (rules.py, moving.py). Failure mode: what cannot be read counts for
nothing, so a soak waits, and is told in `unread`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from enc.instances import reports, traces
from enc.instances.states import Run
from enc.programs.machine_trouble import reason
from enc.settings import Settings
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname, EnvironmentName

_MOST = 200
"""Reports of one node that are read; our processor keeps 100."""


class Runs(NamedTuple):
    """How the runs of some nodes went."""

    good: int
    """Successful runs."""
    failed: tuple[Certname, ...]
    """Nodes whose last run failed."""
    unread: str = ""
    """Why reports could not be read."""


def runs(settings: Settings, nodes: Iterable[Certname], environment: EnvironmentName, since: float) -> Runs:
    """Return how the runs of `nodes` in `environment` went since then."""
    try:
        places = traces.places(settings)
    except ToolkitError as error:
        return Runs(0, (), str(error))
    if places is None:
        return Runs(0, (), "no puppetserver keeps reports here (instances.vardir)")
    root = places.proven if places.proven.is_dir() else places.reports
    good, failed, unread = 0, list[Certname](), ""
    for node in nodes:
        try:
            found = _of(root, node, environment, since)
        except FileNotFoundError:
            continue  # it has not reported yet
        except OSError as error:
            unread = f"{root}: {reason(error)}"
            continue
        good += sum(run.builds for run in found)
        if found and found[-1].status == "failed":
            failed.append(node)
    return Runs(good, tuple(failed), unread)


def _of(root: Path, node: Certname, environment: EnvironmentName, since: float) -> list[Run]:
    handle = os.open(root / node, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(handle) as entries:
            files = sorted(
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                for entry in entries
                if entry.name.endswith((".json", ".yaml")) and not entry.name.startswith(".")
            )
        found = []
        for _, name in [file for file in files if file[0] >= since * 1e9][-_MOST:]:
            with suppress(OSError, ValueError):  # the collector says which cannot be read
                found.append(reports.run_of(name, handle))
    finally:
        os.close(handle)
    return [run for run in found if not run.noop and run.environment.lower() == environment.lower()]
