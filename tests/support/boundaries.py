"""The table in docs/boundaries.md, made from tests/cases/boundaries.yaml: who can do what, each cell with its test.

`python -m tests.support.boundaries docs` writes it, tests/unit/test_boundaries.py
holds the page to it and every named test to be there. The words around the
table are written by hand.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from enc.reference import with_part

ROOT = Path(__file__).parents[2]
MAKER = "python -m tests.support.boundaries docs"
PAGE = "boundaries.md"
_CASES = ROOT / "tests/cases/boundaries.yaml"
_ANSWERS = {"yes": "**yes**", "no": "no"}


class Cell(NamedTuple):
    """What holds for one act under one set-up."""

    answer: str
    """`yes`, `no`, or words that begin with one of them."""
    tests: tuple[str, ...]
    """FILE::FUNCTION below tests/; none of them needs to be the only one."""


class Act(NamedTuple):
    """One thing that somebody tries."""

    words: str
    cells: tuple[Cell, ...]
    """In the order of the set-ups; one cell if they do not differ."""


class Role(NamedTuple):
    """Somebody who may be hostile."""

    name: str
    setups: tuple[str, ...]
    """Titles of the columns; one if no set-up makes a difference."""
    acts: tuple[Act, ...]


def roles() -> list[Role]:
    """Return the table as it is written."""
    document = yaml.safe_load(_CASES.read_text(encoding="utf-8"))
    titles: dict[str, str] = document["setups"]
    return [
        Role(
            role["role"],
            tuple(titles[key] for key in role.get("setups", ())) or ("",),
            tuple(_act(act, role.get("setups", ["all"])) for act in role["acts"]),
        )
        for role in document["roles"]
    ]


def _act(act: dict[str, object], setups: list[str]) -> Act:
    cells = []
    for key in setups:
        cell = act[key]
        assert isinstance(cell, dict), act
        cells.append(Cell(cell["can"], tuple(cell["tests"])))
    return Act(str(act["act"]), tuple(cells))


def named() -> Iterator[tuple[str, str]]:
    """Yield each test that the table names: file below the repository, function."""
    for role in roles():
        for act in role.acts:
            for cell in act.cells:
                for name in cell.tests:
                    file, _, function = name.partition("::")
                    yield f"tests/{file}", function


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of the test functions of a file below the repository; none if there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def made() -> str:
    """Return the made part of the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for number, role in enumerate(roles()):
        if number:
            yield ""
        yield f"### {role.name}"
        yield ""
        titles = [title or "can" for title in role.setups]
        yield f"| tries to | {' | '.join(titles)} |"
        yield "|---" * (len(titles) + 1) + "|"
        for act in role.acts:
            yield f"| {act.words} | {' | '.join(map(_shown, act.cells))} |"


def _shown(cell: Cell) -> str:
    """Return a cell's words with links to the files of its tests."""
    first, comma, rest = cell.answer.partition(", ")
    files = dict.fromkeys(name.partition("::")[0] for name in cell.tests)
    proofs = ", ".join(f"[{number}](../tests/{file})" for number, file in enumerate(files, 1))
    return f"{_ANSWERS[first]}{comma}{rest} ({proofs})"


def renewed(text: str) -> str:
    """Return the text of the page with its made part as it should be."""
    return with_part(text, MAKER, made())


def main() -> None:
    """Renew the page below the directory that the command line names."""
    path = Path(sys.argv[1]) / PAGE
    path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
