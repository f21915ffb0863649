"""The last run of each instance that reported to this master: one small file each, which only this module reads.

It can be thrown away; the next reports make it anew. `collect` (collector.py)
writes it, `instance list` reads it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from enc.instances.states import Run
from enc.programs import whole_file
from enc.programs.machine_trouble import reason
from enc.programs.whole_file import Strength
from enc.terms.errors import ToolkitError
from enc.terms.names import Certname


class RunRecord(NamedTuple):
    """What is known of one instance's reports."""

    run: Run | None
    seen: int
    """When the newest report that was read was written (st_mtime_ns)."""
    directory: int
    """When the directory of its reports last changed (st_mtime_ns), as it was read."""


class RunRecords:
    """The records below one directory. Making the object does nothing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, certname: Certname) -> RunRecord | None:
        """Return what is known; None: nothing, or nothing that can be read."""
        try:
            document = json.loads(self._place(certname).read_text(encoding="utf-8"))
            run = document["run"]
            return RunRecord(None if run is None else Run(**run), int(document["seen"]), int(document["directory"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, certname: Certname, record: RunRecord) -> None:
        """Keep what is known; raise `ToolkitError`. Not synced: what a crash takes away is read again."""
        document = {**record._asdict(), "run": None if record.run is None else record.run._asdict()}
        place = self._place(certname)
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            whole_file.write(place, json.dumps(document), mode=0o644, survives=Strength.KILL)
        except OSError as error:
            raise ToolkitError(f"cannot be written: {reason(error)}", where=str(place)) from error

    def forget(self, certname: Certname) -> None:
        """Remove what is known."""
        try:
            self._place(certname).unlink(missing_ok=True)
        except OSError as error:
            raise ToolkitError(f"cannot be removed: {error.strerror}", where=str(self._place(certname))) from error

    def _place(self, certname: Certname) -> Path:
        return self._directory / f"{certname}.json"
