"""Wikimedia's layout on disk: what is read, and what of hostile files is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.errors import UsageError
from enc.importing.outcome import Problem
from enc.importing.safely import Unreadable
from enc.importing.wikimedia import Scope, hiera, read, roles

FILE = Path("p/_.yaml")


def test_projects_and_prefixes(tmp_path: Path) -> None:
    for name, text in {
        "tools/_.roles": "- role::base\n- Role::Web\n",
        "tools/_.yaml": "a::b: [1, {c: null}]\n",
        "tools/web-.roles": "[]\n",
        "tools/web-.yaml": "k: 'yes'\n",
        "tools/empty.yaml": "",
        "README": "x",
        ".git/config": "x",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    project, prefix = read(tmp_path)
    assert isinstance(project, Scope)
    assert isinstance(prefix, Scope)
    assert (project.project, project.prefix) == ("tools", None)
    assert project.wish.classes == ("role::base", "role::web")
    assert project.wish.data == {"a::b": [1, {"c": None}]}
    assert (prefix.prefix, prefix.wish.classes, prefix.wish.data) == ("web-", (), {"k": "yes"})


def test_a_bad_file_does_not_take_its_counterpart_along(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/_.roles").write_text("- good\n")
    (tmp_path / "p/_.yaml").write_text("a: b\nc: [\n")
    problem, scope = read(tmp_path)
    assert isinstance(problem, Problem)
    assert problem.where.startswith(str(tmp_path / "p/_.yaml:"))
    assert isinstance(scope, Scope)
    assert scope.wish.classes == ("good",)


def test_links_and_strange_names_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("- stolen\n")
    (tmp_path / "p").mkdir()
    (tmp_path / "p/_.roles").symlink_to(tmp_path / "secret")
    (tmp_path / "q").symlink_to(tmp_path / "p")
    (tmp_path / "Bad Name").mkdir()
    (tmp_path / "p/UPPER.roles").write_text("- a\n")
    (tmp_path / "p/notes.txt").write_text("x")
    (tmp_path / "p/web.yaml").mkdir()
    found = list(read(tmp_path))
    assert all(isinstance(each, Problem) for each in found)
    assert len(found) == 6
    assert any("symbolic link" in str(each) for each in found)


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("- a\n- 1\n", 2, "not a class name"),
        ("- a\n- b c\n", 2, "not a class name"),
        ("a: b\n", 1, "a list"),
        ("- a\n- [b]\n", 2, "not a class name"),
        ("- &x [*x]\n", 1, "values"),
        ("- [\n", 2, "not YAML"),
    ],
)
def test_roles_that_cannot_be_used(text: str, line: int, rule: str) -> None:
    with pytest.raises(Unreadable, match=rule) as refusal:
        roles(text, FILE)
    assert refusal.value.where == f"{FILE}:{line}"


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("a: 1\nb: 2012-05-30\n", 2, "date"),
        ("a: 1\n\nb c: 1\n", 3, "not a hiera key"),
        ("a: 1\na: 2\n", 2, "twice"),
        ("a: {1: x}\n", 1, "no text"),
        ("- a\n", 1, "a mapping"),
        ("a: !!python/object:os.system x\n", 1, "not YAML"),
        ("a: 99999999999999999999\n", 1, "64 bits"),
        ("a: .inf\n", 1, "finite"),
        (BOMB, 1, "values"),
        ("a: &a {b: *a}\n", 1, "values"),
    ],
)
def test_data_that_cannot_be_used(text: str, line: int, rule: str) -> None:
    with pytest.raises(Unreadable, match=rule) as refusal:
        hiera(text, FILE)
    assert refusal.value.where == f"{FILE}:{line}"


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "[" * 5000 + "]" * 5000])
def test_nesting_is_no_crash(text: str) -> None:
    with pytest.raises(Unreadable):
        hiera(text, FILE)


def test_a_large_file_and_a_missing_directory(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/_.yaml").write_text("a: " + "x" * (2 << 20))
    (problem,) = read(tmp_path)
    assert "longer" in str(problem)
    with pytest.raises(UsageError):
        list(read(tmp_path / "none"))
