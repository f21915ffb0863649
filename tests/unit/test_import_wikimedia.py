"""Wikimedia's layout on disk: what is read, and what is left out with its line, and nothing beside it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from enc.importing.safely import Unreadable
from enc.importing.wikimedia import Scope, Tree, read
from enc.importing.yaml_files import classes, data, data_of
from enc.terms.errors import UsageError
from enc.terms.names import PrefixName, ProjectName

FILE = Path("p/_.yaml")


def tree_of(directory: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return read(directory)


def scope(tree: Tree, project: str, prefix: str | None = None) -> Scope:
    return tree.projects[ProjectName(project)].scopes[None if prefix is None else PrefixName(prefix)]


def test_projects_and_prefixes(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {
            "tools/_.roles": "- role::base\n- Role::Web\n",
            "tools/_.yaml": "a::b: [1, {c: null}]\n",
            "tools/web-.roles": "[]\n",
            "tools/web-.yaml": "k: 'yes'\n",
            "tools/empty.yaml": "",
            "none/_.roles": "{}\n",
            "README": "x",
            ".git/config": "x",
        },
    )
    assert (tree.problems, tree.notes) == ([], [])
    assert list(tree.projects) == ["none", "tools"]
    assert list(tree.projects[ProjectName("tools")].scopes) == [None, "empty", "web-"]
    assert list(scope(tree, "tools").classes or ()) == ["role::base", "role::web"]
    assert scope(tree, "tools").data == {"a::b": [1, {"c": None}]}
    assert (scope(tree, "tools", "web-").classes, scope(tree, "tools", "web-").data) == ({}, {"k": "yes"})
    assert scope(tree, "none").classes == {}


def test_a_bad_file_does_not_take_its_counterpart_along(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"p/_.roles": "- good\n", "p/_.yaml": "a: b\nc: [\n"})
    (problem,) = tree.problems
    assert problem.where.startswith(str(tmp_path / "p/_.yaml:"))
    assert list(scope(tree, "p").classes or ()) == ["good"]
    assert scope(tree, "p").data is None


def test_links_and_strange_names_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("- stolen\n")
    (tmp_path / "p").mkdir()
    (tmp_path / "p/_.roles").symlink_to(tmp_path / "secret")
    (tmp_path / "q").symlink_to(tmp_path / "p")
    (tmp_path / "Bad Name").mkdir()
    (tmp_path / "p/-x.roles").write_text("- a\n")
    (tmp_path / "p/notes.txt").write_text("x")
    (tmp_path / "p/web.yaml").mkdir()
    tree = read(tmp_path)
    assert len(tree.problems) == 6
    assert any("symbolic link" in str(each) for each in tree.problems)
    assert scope(tree, "p").classes is None
    assert tree.unread == {"q"}


def test_capitals_of_a_prefix_are_lowered_as_its_database_does_not_tell_them(tmp_path: Path) -> None:
    files = {"p/Web1.roles": "- a\n", "p/web1.roles": "- b\n", "p/WEB1.yaml": "k: 1\nl: 1\n", "p/web1.yaml": "k: 2\n"}
    tree = tree_of(tmp_path, files)
    assert set(scope(tree, "p", "web1").classes or ()) == {"a", "b"}
    assert scope(tree, "p", "web1").data == {"k": 2, "l": 1}
    told = "\n".join(map(str, tree.notes))
    assert "Web1.roles: is read as web1" in told
    assert "web1.yaml: k: another file of this prefix sets it too" in told
    assert tree.problems == []


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("- good\n- 1\n", 2, "not a class name"),
        ("- b c\n- good\n", 1, "not a class name"),
        ("- good\n- [b]\n", 2, "not a class name"),
        ("- testing:blah::\n- good\n", 1, "not a class name"),
        ("- 2012-01-01\n- good\n", 1, "a date"),
        ("- !x y\n- good\n", 1, "!x"),
        ("- good\n- &x [*x]\n", 2, "values"),
    ],
)
def test_a_bad_class_costs_no_other(text: str, line: int, rule: str) -> None:
    read = classes(text, FILE)
    assert list(read.found) == ["good"]
    (problem,) = read.problems
    assert problem.where == f"{FILE}:{line}"
    assert rule in problem.message


@pytest.mark.parametrize("text", ["", "{}", "[]", "~", "---\n", "# nothing\n"])
def test_what_stands_for_no_class(text: str) -> None:
    assert (classes(text, FILE).found, classes(text, FILE).problems) == ({}, [])


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("good: 1\nb: 2012-05-30\n", 2, "b: a date"),
        ("b: [1, {c: 2012-05-30 10:00:00}]\ngood: 1\n", 1, "b: a date"),
        ("good: 1\n1: x\n", 2, "not a text"),
        ("~: x\ngood: 1\n", 1, "not a text"),
        ("true: x\ngood: 1\n", 1, "not a text"),
        ("[1]: x\ngood: 1\n", 1, "a sequence as a key: not a text"),
        ("? {a: 1}\n: x\ngood: 1\n", 1, "a mapping as a key: not a text"),
        ("b:\n  true: x\ngood: 1\n", 1, "the key true of a mapping"),
        ("b:\n  ~: x\ngood: 1\n", 1, "the key null of a mapping"),
        ("b: {[1]: x}\ngood: 1\n", 1, "key"),
        ("b: !!python/object:os.system x\ngood: 1\n", 1, "!!python/object:os.system"),
        ("b: !!set {x}\ngood: 1\n", 1, "!!set"),
        ("b: !!omap [x: 1]\ngood: 1\n", 1, "!!omap"),
        ("b: !!binary /w==\ngood: 1\n", 1, "ASCII"),
        ("b: 99999999999999999999\ngood: 1\n", 1, "64 bits"),
        ("good: 1\nb: {99999999999999999999: x}\n", 2, "64 bits"),
        ("b: .inf\ngood: 1\n", 1, "finite"),
        ("b: &a {b: *a}\ngood: 1\n", 1, "values"),
        ("good: 1\nb: 1\nb: 2012-05-30\n", 3, "b: a date"),
        ("<<: x\ngood: 1\n", 1, "<<"),
        ("&x\n<<: *x\ngood: 1\n", 2, "<<"),
        (f"? {'k' * 10_001}\n: 1\ngood: 1\n", 1, "10,000"),
    ],
)
def test_a_bad_key_costs_no_other(text: str, line: int, rule: str) -> None:
    read = data(text, FILE)
    assert read.found == {"good": 1}
    (problem,) = read.problems
    assert problem.where == f"{FILE}:{line}"
    assert rule in problem.message
    assert len(str(problem)) < 300


def test_what_grows_without_bound_costs_only_itself() -> None:
    began = time.process_time()
    read = data(BOMB + "good: 1\n", FILE)
    assert read.found["good"] == 1  # type: ignore[index]
    assert {"a", "b", "c"} < set(read.found)
    assert {"h", "i"} <= read.refused
    merged = "a: &a {x: 1}\n" + "".join(
        f"k{i}: &k{i} {{<<: [{', '.join([f'*{before}'] * 10)}], y{i}: 1}}\n"
        for i, before in enumerate(["a", *(f"k{n}" for n in range(12))])
    )
    assert data(merged + "<<: *k12\ngood: 1\n", FILE).found["good"] == 1  # type: ignore[index]
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("role::x:mode: hard\n'a.b': 1\n'': 2\nx=y: 3\n'c  d': 4\n", None),
        ("k: {1: {a: 1}, 20: {}, 2.5: x, '1': y, '': z}\n", {"k": {1: {"a": 1}, 20: {}, 2.5: "x", "1": "y", "": "z"}}),
        ("k: {on: 1}\nl: ~\nm: {x: off}\n", {"l": None, "m": {"x": False}}),
        ("a: 1\na: 2\n", {"a": 2}),
        ("a: =\nb: !!binary aGk=\n", {"a": "=", "b": "hi"}),
        ("<<: {a: 1, b: 1}\nb: 2\n", {"a": 1, "b": 2}),
        ("x: &x {a: 1}\ny: {<<: *x, b: 2}\n", {"x": {"a": 1}, "y": {"a": 1, "b": 2}}),
        ("~\n", {}),
        ("{}\n", {}),
    ],
)
def test_what_hiera_serves_is_taken(text: str, found: dict[str, object] | None) -> None:
    wanted = {"role::x:mode": "hard", "a.b": 1, "": 2, "x=y": 3, "c  d": 4} if found is None else found
    assert data(text, FILE).found == wanted


def test_a_key_that_stands_twice_is_told() -> None:
    assert [str(note) for note in data("a: 1\nb: 1\na: 2\n", FILE).notes] == [
        f"{FILE}:1: a: appears again below, and the last one counts"
    ]
    assert data("<<: {a: 1}\na: 2\n", FILE).notes == []


@pytest.mark.parametrize(
    ("text", "line", "rule"), [("- a\n", 1, "a mapping"), ("x\n", 1, "a mapping"), ("a: [\n", 2, "not YAML")]
)
def test_what_is_no_data_at_all(text: str, line: int, rule: str) -> None:
    with pytest.raises(Unreadable, match=rule) as refusal:
        data(text, FILE)
    assert refusal.value.where == f"{FILE}:{line}"


@pytest.mark.parametrize(("text", "line"), [("a: b\n", 1), ("x\n", 1), ("- [\n", 2)])
def test_what_is_no_list_of_classes(text: str, line: int) -> None:
    with pytest.raises(Unreadable) as refusal:
        classes(text, FILE)
    assert refusal.value.where == f"{FILE}:{line}"


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "[" * 5000 + "]" * 5000])
def test_nesting_is_no_crash(text: str) -> None:
    with pytest.raises(Unreadable):
        data(text, FILE)


def test_a_large_file_and_a_missing_directory(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"p/_.yaml": "a: " + "x" * (2 << 20)})
    assert "longer" in str(tree.problems[0])
    with pytest.raises(UsageError):
        read(tmp_path / "none")


def test_a_file_given_by_hand_is_taken_whole_or_not(tmp_path: Path) -> None:
    file = tmp_path / "d.yaml"
    file.write_text("k: {1: x}\n")
    assert data_of(file) == {"k": {1: "x"}}
    file.write_text("k: 1\nl: 2012-01-01\n")
    with pytest.raises(UsageError, match="l: a date") as refusal:
        data_of(file)
    assert refusal.value.where == f"{file}:2"
