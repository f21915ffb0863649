"""Exported files are whole, and exported entries are LDIF that anybody reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.service.export import entry, write
from enc.terms.errors import ToolkitError
from enc.terms.record import Record


def test_an_entry_folds_and_escapes() -> None:
    record = Record("cn=é,dc=x", {"l": (" lead", "a" * 100, ":x", "y "), "objectclass": ("device",)})
    text = entry(record)
    assert text.startswith("dn:: Y249w6ksZGM9eA==\nobjectclass: device\n")
    assert all(len(line) <= 76 and line.isascii() for line in text.splitlines())
    assert text.replace("\n ", "").splitlines()[2:] == ["l:: IGxlYWQ=", "l: " + "a" * 100, "l:: Ong=", "l:: eSA="]


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "new" / "dir"
    assert write(place, [("a.yaml", "1\n"), ("a.yaml", "2\n")]) == 2
    assert [file.name for file in place.iterdir()] == ["a.yaml"]
    assert (place / "a.yaml").read_text() == "2\n"
    with pytest.raises(ToolkitError, match="cannot be written"):
        write(place / "a.yaml", [("b", "")])
