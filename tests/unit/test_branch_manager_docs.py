"""docs/branch-manager.md names every command and option of the program."""

from __future__ import annotations

import ast
from pathlib import Path

from git_hooks import reference
from git_hooks.checks import CHECKS
from git_hooks.commands import COMMANDS

PAGE = Path(__file__).parents[2] / "docs" / reference.PAGE


def test_the_reference_is_what_the_program_says() -> None:
    text = PAGE.read_text()
    assert text == reference.renewed(text), f"run: {reference.MAKER}"
    for command in COMMANDS:
        assert f"### branch-manager {command}" in text


def test_every_check_of_doctor_is_explained() -> None:
    checks = set()
    shared = PAGE.parents[1] / "enc/doctor/services.py"
    for path in (*(PAGE.parents[1] / "git_hooks/doctor").glob("*.py"), shared):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in {"ok", "note", "warning", "fault"} and isinstance(first, ast.Constant):
                    checks.add(str(first.value))
    rows = PAGE.read_text().partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(checks) > 15
    assert {row.split("`")[1] for row in rows} == checks


def test_every_check_of_a_tree_is_explained_and_in_the_table() -> None:
    modules = {path.name for path in (PAGE.parents[1] / "git_hooks/checks").glob("*.py")} - {"__init__.py", "look.py"}
    rows = (PAGE.parent / "pushing.md").read_text().partition("| check |")[2].partition("\n\n")[0].splitlines()[2:]
    assert {row.split("`")[1].removeprefix("checks/") for row in rows} - {"incoming.py"} == modules
    functions = [one for check in CHECKS for one in (check.directory, check.file, check.tree, check.history) if one]
    assert {f"{one.__module__.rpartition('.')[2]}.py" for one in functions} == modules
    assert all((check.file is None) == (check.reads is None) for check in CHECKS)
