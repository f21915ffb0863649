"""docs/branch-manager.md names every command and option of the program."""

from __future__ import annotations

import ast
from pathlib import Path

from git_hooks import reference
from git_hooks.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / reference.PAGE


def test_the_reference_is_what_the_program_says() -> None:
    text = PAGE.read_text()
    assert text == reference.renewed(text), f"run: {reference.MAKER}"
    for command in COMMANDS:
        assert f"### branch-manager {command}" in text


def test_every_check_of_doctor_is_explained() -> None:
    checks = set()
    for path in (PAGE.parents[1] / "git_hooks/doctor").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in {"ok", "note", "warning", "fault"} and isinstance(first, ast.Constant):
                    checks.add(str(first.value))
    rows = PAGE.read_text().partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(checks) > 15
    assert {row.split("`")[1] for row in rows} == checks
