"""What an edit of several steps says that could be made in part only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from enc.edits.audit import Trail
from enc.edits.change import deleting
from enc.service import people
from enc.service.desk import Desk, PlannedEdit
from enc.settings import Settings
from enc.signing.request import BadRequest
from enc.terms.errors import Conflict, ToolkitError
from enc.terms.record import Record
from tests.support.memory import record

S = "dc=example,dc=org"
ENTRIES = [record(f"cn={name},ou=red,ou=hosts,{S}", objectClass="puppetClient", cn=name) for name in ("a", "b")]


class Directory:
    """Has the entries, and refuses to delete the last one with `error`."""

    def __init__(self, error: ToolkitError) -> None:
        self._error = error

    def read(self, place: str) -> Record | None:
        return next((entry for entry in ENTRIES if entry.dn == place), None)

    def delete(self, place: str, csn: str | None) -> None:
        if place == ENTRIES[-1].dn:
            raise self._error


@pytest.mark.parametrize("error", [BadRequest("form", "is none"), Conflict("changed", where=ENTRIES[-1].dn)])
def test_the_error_stays_what_it_is_and_says_how_far_the_edit_came(error: ToolkitError, tmp_path: Path) -> None:
    directory: Any = Directory(error)
    before = str(error)
    desk = Desk(Settings(), people.local(), directory, directory, Trail(tmp_path / "trail.jsonl"))
    with pytest.raises(type(error)) as caught:
        desk.submit(PlannedEdit("project delete", "project red", None, tuple(map(deleting, ENTRIES))), reason="test")
    assert caught.value is error
    (edit,) = desk.trail.read()[0]
    assert str(error) == (
        f"{before} (1 of 2 steps were done; run the same command again for the rest, and enc-admin node undo {edit.id} "
        "undoes what was made)"
    )
