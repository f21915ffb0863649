"""The docs name everything that there is, and nothing that there is not."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from enc import reference
from enc.answers.metrics import Metrics
from enc.settings import Settings, config
from enc.settings import reference as config_reference
from enc.terms.errors import ExitStatus

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPERATION = (DOCS / "operation.md").read_text()


@pytest.mark.parametrize("page", reference.PAGES)
def test_the_reference_is_what_the_program_says(page: str) -> None:
    text = (DOCS / page).read_text()
    assert text == reference.renewed(page, text), "run: python -m enc.reference docs"


def test_every_setting_has_a_meaning() -> None:
    assert [setting.key for setting in config_reference.settings() if not setting.meaning] == []


def test_the_example_is_valid_as_it_is_and_with_everything_taken_in() -> None:
    example = config_reference.example()
    taken_in = re.sub(r"^( *)#(\w+:)", r"\1\2", example, flags=re.MULTILINE)
    assert taken_in.count("\n") == example.count("\n") and taken_in != example
    assert config.parse(example) == config.parse(taken_in) == Settings()


def test_what_config_show_prints_can_be_read_again() -> None:
    given = config.parse("directory: {suffix: 'o=x', timeout: 90s}\nanswers: {max_age: 36h, variable: null}")
    shown = config.parse(config_reference.as_yaml(config_reference.effective(given)))
    assert (shown.directory, shown.answers) == (given.directory, given.answers)
    assert shown.nodes_base == "ou=hosts,o=x"


def _table(text: str, head: str) -> set[str]:
    """The backquoted words in the first column of the table whose head begins so."""
    rows = text.partition(f"| {head}")[2].partition("\n\n")[0].splitlines()[2:]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_every_check_of_doctor_is_explained() -> None:
    checks = set()
    for path in (ROOT / "enc/doctor").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                first = node.args[0] if node.args else None
                if node.func.id in {"ok", "note", "warning", "fault"} and isinstance(first, ast.Constant):
                    checks.add(str(first.value))
    assert len(checks) > 20
    assert _table(OPERATION, "check |") == checks


def test_every_metric_is_explained() -> None:
    assert _table(OPERATION, "metric, after") == {field.name for field in dataclasses.fields(Metrics)}


def test_every_exit_status_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \|", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == [int(status) for status in ExitStatus]


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_map_of_the_source_names_files_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text()
    places = re.findall(r"`((?:enc|puppetmaster_(?:self|quickstart)|git_hooks|tests|\.ci|docs)/[\w./]*)`", text)
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place).exists()] == []
