"""docs/self-master.md names every command and option of the program."""

from __future__ import annotations

from pathlib import Path

from puppetmaster_self import reference
from puppetmaster_self.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / reference.PAGE


def test_the_reference_is_what_the_program_says() -> None:
    text = PAGE.read_text()
    assert text == reference.renewed(text), f"run: {reference.MAKER}"
    for command in COMMANDS:
        assert f"### puppetmaster-self {command}" in text
