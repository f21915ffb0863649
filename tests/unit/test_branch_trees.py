"""Trees, links, arrangements and decisions, without any disk."""

from __future__ import annotations

import re
import time

import pytest

from enc.settings import BranchSettings
from enc.terms.environments import Rules
from enc.terms.errors import NotFound
from enc.terms.names import BranchName, EnvironmentName
from git_hooks.branches.reconcile import due
from git_hooks.checks.environment_conf import problems
from git_hooks.deploy.costs import costs
from git_hooks.deploy.decision import Situation, decide
from git_hooks.repository.refs import ObjectId
from git_hooks.repository.trees import (
    DIRECTORY,
    FILE,
    LINK,
    PROGRAM,
    Entry,
    UnsoundTree,
    check_entries,
    climb,
    object_id,
    parse_tree,
    render_tree,
)
from git_hooks.store.arrange import MOST_PARTS, Arranger, Unit
from git_hooks.store.parts import Surveyor, WithParts
from git_hooks.store.splitting import LARGE, Splitting, splitting

EMPTY_SHA1 = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
EMPTY_SHA256 = "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"


@pytest.mark.parametrize(("size", "name"), [(20, EMPTY_SHA1), (32, EMPTY_SHA256)])
def test_gits_names_of_the_empty_file(size: int, name: str) -> None:
    assert object_id("blob", b"", size) == name


def test_a_tree_is_read_as_it_is_written_and_in_gits_order() -> None:
    entries = [
        Entry(DIRECTORY, "a", EMPTY_SHA1),
        Entry(FILE, "a.b", EMPTY_SHA1),
        Entry(PROGRAM, "a-b", EMPTY_SHA1),
        Entry(LINK, "\udcff", EMPTY_SHA1),
    ]
    read = parse_tree(render_tree(entries), 20)
    assert [entry.name for entry in read] == ["a-b", "a.b", "a", "\udcff"]
    assert set(read) == set(entries)


def test_modes_of_old_repositories_count_by_their_bit() -> None:
    old = b"100664 a\0" + bytes(20) + b"100775 b\0" + bytes(20)
    assert [entry.mode for entry in parse_tree(old, 20)] == [FILE, PROGRAM]


@pytest.mark.parametrize("content", [b"100644 a\0", b"100644", b"100644 a\0" + bytes(19)])
def test_a_damaged_tree_is_refused(content: bytes) -> None:
    with pytest.raises(UnsoundTree, match="damaged"):
        parse_tree(content, 20)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".git", ".GIT", ".git ", ".git..", "git~1"])
def test_names_that_never_become_files(name: str) -> None:
    with pytest.raises(UnsoundTree):
        check_entries([Entry(FILE, name, EMPTY_SHA1)], "dir")


@pytest.mark.parametrize("mode", [0o10644, 0o170000, 0])
def test_kinds_that_never_become_files(mode: int) -> None:
    with pytest.raises(UnsoundTree, match="dir/x"):
        check_entries([Entry(mode, "x", EMPTY_SHA1)], "dir")


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(UnsoundTree, match="twice"):
        check_entries([Entry(FILE, "x", EMPTY_SHA1), Entry(DIRECTORY, "x", EMPTY_SHA1)], "")


@pytest.mark.parametrize(
    ("target", "depth", "up"),
    [("a", 0, 0), ("./a", 0, 0), ("../a", 1, 0), ("../a", 0, 1), ("../../a", 1, 1), (".//../..", 0, 2), ("a/b/", 3, 0)],
)
def test_how_far_a_link_climbs(target: str, depth: int, up: int) -> None:
    assert climb(target.encode(), depth, "l") == up


def test_an_environment_conf_of_blanks_keeps_nobody_waiting() -> None:
    began = time.process_time()
    assert list(problems(b"manifest = a" + b" " * 65_000 + b"b")) != []
    assert list(problems(b"manifest =\t\x0b \x0c a \r" + b" " * 65_000)) == []
    assert time.process_time() - began < 1


@pytest.mark.parametrize("target", ["/etc/passwd", "a/../../b", "a/..", "", "a\0b", "../a/../b"])
def test_links_that_could_lead_anywhere(target: str) -> None:
    with pytest.raises(UnsoundTree):
        climb(target.encode(), 9, "l")


class _Objects:
    """A repository in memory: nested mappings are directories, `-> x` is a link, all else a file."""

    def __init__(self) -> None:
        self.trees: dict[str, tuple[Entry, ...]] = {}
        self.files: dict[str, bytes] = {}
        self.read: list[str] = []

    def add(self, content: object) -> Entry:
        if isinstance(content, dict):
            entries = [self.add(value)._replace(name=name) for name, value in content.items()]
            tree = object_id("tree", render_tree(entries), 20)
            self.trees[tree] = tuple(entries)
            return Entry(DIRECTORY, "", tree)
        text = str(content)
        mode, body = (LINK, text[3:]) if text.startswith("-> ") else (FILE, text)
        name = object_id("blob", body.encode(), 20)
        self.files[name] = body.encode()
        return Entry(mode, "", name)

    def tree(self, tree: str, path: str = "") -> tuple[Entry, ...]:
        self.read.append(path)
        if tree not in self.trees:
            raise NotFound("no tree")
        return self.trees[tree]

    def blob(self, blob: str) -> bytes:
        return self.files[blob]


def _arranged(content: object, known: set[str] | None = None) -> tuple[list[tuple[str, str]], _Objects]:
    """Return where the units stand that are made for a tree, and what each is; of a part: what it is for."""
    objects = _Objects()
    root = objects.add(content).id
    parts = WithParts(objects)

    def splits(tree: str) -> Splitting:
        return splitting(parts, tree, large=True)

    def there(unit: str, inside: str = "") -> bool:
        return unit in (known or set())

    top = Arranger(parts, Surveyor(), splits, there, lambda path: None).version(root)
    kinds = {"": "split", "s": "split", "p": "part"}
    found = []
    for unit in top.new():
        kind = kinds[unit.name.partition(".")[2].partition("-")[0]] if unit.split else "leaf"
        found.append((unit.path if kind != "part" else _real(unit), kind))
    return found, objects


def _real(unit: Unit) -> str:
    """Return the real directories of a part in which no other is."""
    inner = [_real(child) for child in unit.children if child.real]
    return ",".join(inner) or unit.path


def test_modules_are_shared_one_by_one_and_the_rest_whole() -> None:
    tree = {"modules": {"a": {"x": "1"}, "b": {"y": "2"}}, "data": {"deep": {"z": "3"}}, "f": "4"}
    assert _arranged(tree)[0] == [
        ("modules/a", "leaf"), ("modules/b", "leaf"), ("modules", "split"), ("data", "leaf"), ("", "split"),
    ]  # fmt: skip


def test_what_is_in_the_store_is_not_even_read() -> None:
    objects = _Objects()
    known = objects.add({"x": "1"}).id
    new, reading = _arranged({"modules": {"a": {"x": "1"}, "b": {"y": "2"}}}, {known})
    assert ("modules/a", "leaf") not in new
    assert "modules/a" not in reading.read


SPLIT_AND_TOP = [("modules", "split"), ("", "split")]


@pytest.mark.parametrize(
    ("modules", "made"),
    [
        # What a link leads to is beside it, and nothing else of the other module.
        ({"a": {"files": {"x": "-> ../../b/y"}}, "b": {"y": "2", "z": "3"}, "c": {}},
         [("modules/b", "leaf"), ("modules/a", "part"), ("modules/b", "leaf"), ("modules/c", "leaf")]),
        # Modules that lead to each other are one.
        ({"a": {"x": "-> ../b/y", "w": "1"}, "b": {"y": "2", "z": "-> ../a/w"}, "c": {"x": "-> ../b"}},
         [("modules/b", "leaf"), ("modules/a", "part"), ("modules/a", "leaf"), ("modules/b", "part"),
          ("modules/c", "part")]),
        ({"a": {"x": "-> ../b"}, "b": {"x": "-> ../a"}}, [("modules/a,modules/b", "part")]),
        # Out of the module and into it again.
        ({"a": {"x": "-> ../a/y", "y": "1"}}, [("modules/a", "part")]),
        # To a link, and to what is not there.
        ({"a": {"x": "-> ../b/l"}, "b": {"l": "-> d/y", "d": {"y": "1", "z": "2"}}},
         [("modules/b", "leaf"), ("modules/a", "part"), ("modules/b", "leaf")]),
        ({"a": {"x": "-> ../nothing/y"}}, [("modules/a", "part")]),
    ],
)  # fmt: skip
def test_links_between_modules_join_only_what_they_join(modules: object, made: list[tuple[str, str]]) -> None:
    found = _arranged({"modules": modules})[0]
    assert [one for one in found if one not in SPLIT_AND_TOP] == made
    assert found[-2:] == SPLIT_AND_TOP


def test_a_module_that_leads_to_another_top_directory_is_a_part_with_just_that() -> None:
    tree = {"modules": {"a": {"x": "-> ../../data/z"}, "b": {"y": "1"}}, "data": {"z": "3", "w": "4"}}
    assert _arranged(tree)[0] == [
        ("data", "leaf"), ("modules/a", "part"), ("modules/b", "leaf"), ("modules", "split"),
        ("data", "leaf"), ("", "split"),
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["..", "../..", "../../modules", "../."])
def test_a_link_upward_makes_its_own_module_a_part_and_no_other(target: str) -> None:
    modules = {"a": {"x": f"-> {target}"}, **{f"m{number}": {"y": str(number)} for number in range(9)}}
    found = _arranged({"modules": modules, "data": {"z": "3"}})[0]
    assert [path for path, kind in found if kind == "part"] == ["modules/a"]
    assert [path for path, kind in found if kind == "leaf" and path == "modules"] == []


def test_a_split_directory_says_what_lies_outside_of_it() -> None:
    """Else two environments with equal modules/ and another data/ would show the same data."""

    def modules(data: str) -> str:
        objects = _Objects()
        root = objects.add({"modules": {"a": {"x": "-> ../../data/z"}}, "data": {"z": data}}).id
        parts = WithParts(objects)
        arranger = Arranger(parts, Surveyor(), lambda tree: splitting(parts, tree, large=True),
            lambda unit, inside="": False, lambda path: None)  # fmt: skip
        return next(child.name for child in arranger.version(root).children if child.path == "modules")

    assert modules("1") != modules("2")
    assert modules("1").partition("-")[0] == modules("2").partition("-")[0]


def test_a_link_inside_its_module_changes_nothing() -> None:
    assert ("modules", "split") in _arranged({"modules": {"a": {"d": {"x": "-> ../y"}, "y": "2"}}})[0]


def test_a_link_out_of_the_tree_is_refused_with_its_place() -> None:
    with pytest.raises(UnsoundTree, match=r"modules/a/x: .*leaves the tree"):
        _arranged({"modules": {"a": {"x": "-> ../../../etc"}}})


def test_many_modules_that_lead_to_the_next_are_one_leaf_and_a_few_are_not() -> None:
    def chain(length: int) -> list[tuple[str, str]]:
        links = {f"m{number:03}": {"next": f"-> ../m{number + 1:03}"} for number in range(length)}
        return _arranged({"modules": {**links, f"m{length:03}": {"x": "1"}}})[0]

    assert chain(500) == [("modules", "leaf"), ("", "split")]
    assert len(chain(MOST_PARTS)) == MOST_PARTS + 3
    top = {f"d{number:03}": {"next": f"-> ../d{number + 1:03}"} for number in range(500)}
    assert _arranged(top)[0] == [("", "leaf")]
    with pytest.raises(UnsoundTree, match=r"d000/out: .*leaves the tree"):
        _arranged({**top, "d000": {"out": "-> ../../d001"}})


MANY = {f"f{number}": "" for number in range(LARGE)}


@pytest.mark.parametrize(
    ("tree", "split"),
    [
        ({"hieradata": {"hosts": MANY, "role": {"x": "1"}}}, {"hieradata", "hieradata/hosts"}),
        ({"hieradata": {"hosts": {"x": "1"}}}, set()),
        ({"hieradata": {"role": {"hosts": {"here": MANY}}}}, {"hieradata", "hieradata/role", "hieradata/role/hosts",
          "hieradata/role/hosts/here"}),
        ({"manifests": {"hosts": MANY}}, set()),
        ({"nodes": {"hosts": MANY}, "environment.conf": "manifest = ./nodes\n"}, set()),
        ({"data": {"hosts": MANY}, "hiera.yaml": "glob: 'hosts/**/*.yaml'"}, set()),
        ({"data": {"hosts": MANY}, "hiera.yaml": "glob: 'hosts/*.yaml'"}, {"data", "data/hosts"}),
        ({"data": {"hosts": MANY}, "hiera.yaml": "-> conf/hiera.yaml", "conf": {"hiera.yaml": "**"}}, set()),
        ({"modules": {"large": {"files": MANY}}}, {"modules"}),
        ({"vendor": {"large": {"files": MANY}}, "environment.conf": "modulepath = modules:vendor:$basemodulepath"},
         {"vendor"}),
        ({"vendor": {"small": {"x": ""}}, "environment.conf": "modulepath=./vendor/"}, {"vendor"}),
    ],
)  # fmt: skip
def test_what_nobody_walks_through_is_split_by_its_size(tree: object, split: set[str]) -> None:
    assert {path for path, kind in _arranged(tree)[0] if kind == "split"} == split | {""}


OLD, NEW = ObjectId("a" * 40), ObjectId("b" * 40)


@pytest.mark.parametrize(
    ("live", "wanted", "held", "owes", "decision"),
    [
        (None, NEW, False, False, "switch"),
        (OLD, NEW, False, False, "switch"),
        (OLD, NEW, False, True, "switch"),
        (OLD, OLD, False, False, "nothing"),
        (OLD, OLD, True, False, "nothing"),
        (OLD, OLD, False, True, "flush"),
        (OLD, NEW, True, False, "stay"),
        (OLD, NEW, True, True, "flush"),
        (OLD, None, False, False, "remove"),
        (OLD, None, True, False, "stay"),
        (None, None, False, False, "nothing"),
        (None, None, False, True, "flush"),
    ],
)
def test_what_a_deploy_does(
    live: ObjectId | None, wanted: ObjectId | None, held: bool, owes: bool, decision: str
) -> None:
    assert decide(Situation(live, wanted, held, owes)) == decision


def test_what_is_due_is_what_differs_or_owes_a_flush_and_bases_come_first() -> None:
    branches = {BranchName(name): NEW for name in ("production", "project/a", "project/b", "project/c", "test", "x")}
    live = {EnvironmentName("project_a"): OLD, EnvironmentName("project_b"): NEW, EnvironmentName("project_c"): NEW}
    found = due(branches, live, [EnvironmentName("project_c")], Rules(BranchSettings().rules))
    assert [place.environment for place in found.deploy] == ["production", "test", "project_a", "project_c"]
    assert (found.orphans, found.collisions) == ((), {})


def test_what_is_contested_or_has_no_branch_is_named_and_left_alone() -> None:
    branches = {BranchName(name): NEW for name in ("project/a-b", "project/a_b", "main")}
    live = {EnvironmentName("project_a_b"): OLD, EnvironmentName("gone"): OLD}
    found = due(branches, live, [], Rules([*BranchSettings().rules, "<topic> = <topic>"]))
    assert found.deploy == ()
    assert found.orphans == ("gone",)
    assert found.collisions == {"project_a_b": ("project/a-b", "project/a_b")}


@pytest.mark.parametrize(
    ("tree", "path", "words"),
    [
        ({"modules": {"a": {"x": "-> ../b/y"}, "b": {"y": "1"}}}, "modules/a", r"links lead out of it \(modules/a/x\)"),
        ({"modules": {f"m{n:02}": {"x": f"-> ../m{n + 1:02}"} for n in range(30)}}, "modules", "more than 20"),
        ({"data": MANY}, "data", "1000 files are in this one directory"),
        ({"modules": {"large": {"files": MANY}}}, "modules/large", "its 1001 files and directories .* not split"),
        ({"manifests": {"nodes": MANY}}, "manifests", "not split"),
        ({"modules": {"a": {"x": "1"}}, "data": {"x": "2"}}, None, ""),
    ],
)
def test_what_makes_a_tree_expensive_is_named(tree: object, path: str | None, words: str) -> None:
    objects = _Objects()
    found = list(costs(objects, objects.add(tree).id, large=True, surveyor=Surveyor()))
    assert [cost.path for cost in found] == ([path] if path is not None else [])
    assert all(re.search(words, cost.what) for cost in found)
