"""Pushes that take classes and parameters from nodes: told by the check, and by pushes, forges and commands."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.answers.layout import Contact, Layout
from enc.classify.model import Classification
from enc.classify.render import render_answer
from enc.settings import AnswerSettings, BranchSettings, PuppetfileSettings, PushSettings, Settings
from enc.terms.environments import Place, Rules
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.branches.usage import Usage
from git_hooks.cli import main
from git_hooks.index.environment import Environment, Unseen
from git_hooks.index.sight import Sight
from git_hooks.puppet_code.calls import Kind, Reading
from git_hooks.puppet_code.definitions import question
from git_hooks.puppet_code.worker import Worker
from git_hooks.push.examine import Examination
from git_hooks.push.incoming import Incoming
from tests.real.conftest import SlapdMaker
from tests.support import json_contract
from tests.support.bare import Bare
from tests.support.pushes import ManagedRepository, S, populate
from tests.support.slapd import ADD, Slapd

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/assigned.yaml").read_text(encoding="utf-8"))
BRANCH = BranchName("project/red")
INIT = "modules/a/manifests/init.pp"


class Site:
    """A repository, this machine's modules, what an environment shows, and the answers of its nodes."""

    def __init__(self, base: Path, **pushes: Any) -> None:
        self.bare = Bare(base)
        code = base / "code"
        self.environments = code / "environments"
        self.modules = code / "modules"
        branches = BranchSettings(
            repository=self.bare.path,
            store=base / "store",
            environments=self.environments,
            members_code="trusted",
            puppetfile=PuppetfileSettings(program=Path("/usr/bin/r10k")),
        )
        self.settings = Settings(
            branches=branches,
            pushes=PushSettings(syntax="off", **pushes),
            answers=AnswerSettings(directory=base / "answers"),
        )
        self.answers = Layout(base / "answers")
        self.answers.create()

    def assign(self, nodes: Mapping[str, Mapping[str, Mapping[str, Any]]], environment: str = "project_red") -> None:
        now = int(time.time())
        self.answers.contact.write_text(Contact(now, now, 3600, "current").line())
        for name, classes in nodes.items():
            said = Classification(Certname(name), EnvironmentName(environment), classes, {})
            (self.answers.nodes / f"{name}.yaml").write_text(render_answer(said, "puppetmaster_answer", "copy"))

    def look(self, old: str | None, new: str) -> tuple[tuple[str, ...], dict[str, int]]:
        place = Rules(self.settings.branches.rules).place(BRANCH)
        assert isinstance(place, Place)
        with Incoming(str(self.bare.path), os.environ) as objects:
            looked = Examination(objects, self.settings, usage=Usage(self.settings))
            return looked.problems(new, old, place, {}), dict(looked.unchecked)  # type: ignore[arg-type]


def nested(files: Mapping[str, str | None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, content in files.items():
        *directories, name = path.split("/")
        place = found
        for directory in directories:
            place = place.setdefault(directory, {})
        if content is not None:
            place[name] = content
    return found


def pushed(before: Mapping[str, str], push: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the tree after a push; git knows no empty directories."""
    return nested({path: content for path, content in {**before, **push}.items() if content is not None})


def write(place: Path, files: Mapping[str, str]) -> None:
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_is_told_of_a_push(case: dict[str, Any], tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.assign(case.get("nodes", {"web1.example.org": {"a::b": {}}}))
    write(site.modules, case.get("machine", {}))
    write(site.environments / "project_red", case.get("live", {}))
    old = site.bare.commit("project/red", nested(case["before"]))
    new = site.bare.commit("project/red", pushed(case["before"], case["push"]), parent=old)
    said, noted = site.look(old, new)
    wanted, wanted_notes = case.get("says", []), case.get("noted", [])
    assert len(said) == len(wanted) and all(part in text for part, text in zip(wanted, said, strict=True)), said
    assert len(noted) == len(wanted_notes), noted
    assert all(part in text for part, text in zip(wanted_notes, noted, strict=True)), noted


def test_nodes_of_another_environment_do_not_count(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.assign({"web1.example.org": {"a": {}}}, "project_blue")
    old = site.bare.commit("project/red", nested({INIT: "class a { }"}))
    new = site.bare.commit("project/red", nested({"docs": "x"}), parent=old)
    assert site.look(old, new) == ((), {})
    site.assign({"web2.example.org": {"a": {}}}, "Project_RED")
    assert "1 node: web2.example.org" in site.look(old, new)[0][0], "Puppet takes both for one"
    assert site.look(None, new) == ((), {}), "no node can have had what is new"


def test_a_node_in_trial_counts_for_both_environments(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.assign({"web1.example.org": {"a": {}}}, "project_blue")
    answer = site.answers.nodes / "web1.example.org.yaml"
    line = 'environment: "project_blue"'
    answer.write_text(answer.read_text().replace(line, f'{line} # until 99999999999 then "project_red"'))
    old = site.bare.commit("project/red", nested({INIT: "class a { }"}))
    new = site.bare.commit("project/red", nested({"docs": "x"}), parent=old)
    assert "1 node: web1.example.org" in site.look(old, new)[0][0]


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("missing", ["nodes", "parser", "answer", "time"])
def test_what_cannot_be_told_is_not_checked(missing: str, required: bool, tmp_path: Path) -> None:
    site = Site(tmp_path, require_checks=("project/*",) if required else ())
    site.assign({"web1.example.org": {"a": {}}})
    now = "class b { }"
    if missing == "nodes":
        site.answers.contact.unlink()  # and there is no LDAP at the default address
    elif missing == "parser":
        site.settings = replace(site.settings, branches=replace(site.settings.branches, ruby=Path("/bin/false")))
    elif missing == "answer":
        place = site.answers.nodes / "web1.example.org.yaml"
        place.write_text(place.read_text().replace("{}", "{", 1))
    else:
        now = "$x = " + "[" * 20_000 + "]" * 20_000
    old = site.bare.commit("project/red", nested({INIT: "class a { }"}))
    new = site.bare.commit("project/red", nested({INIT: now}), parent=old)
    said, noted = site.look(old, new)
    (words,) = said if required else noted
    assert "whether nodes are assigned classes or parameters that go: " in words
    assert ("takes nothing that was not checked (pushes.require_checks)" in words) == required
    assert list(noted.values()) == ([] if required else [0])


def test_without_a_parser_a_branch_without_nodes_misses_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, require_checks=("project/*",))
    site.settings = replace(site.settings, branches=replace(site.settings.branches, ruby=Path("/bin/false")))
    site.assign({"web1.example.org": {}})
    old = site.bare.commit("project/red", nested({INIT: "class a { }"}))
    new = site.bare.commit("project/red", nested({INIT: "class b { }"}), parent=old)
    assert site.look(old, new) == ((), {})


def test_nothing_is_asked_about_nodes_where_no_class_goes(tmp_path: Path) -> None:
    site = Site(tmp_path, require_checks=("project/*",))
    site.answers.contact.unlink(missing_ok=True)
    old = site.bare.commit("project/red", nested({INIT: "class a($x = 1) { }"}))
    more = {INIT: "class a($x = 2, $y = 3) { notify { 'x': } }", "modules/a/manifests/n.pp": "class a::n { }"}
    new = site.bare.commit("project/red", nested(more), parent=old)
    assert site.look(old, new) == ((), {})


def test_a_type_that_takes_for_ever_is_not_judged() -> None:
    worker = Worker()
    try:
        asked = question({}, [("Pattern[/^(a|a)*$/]", "a" * 40 + "!")])
        late = worker.read("1", Kind.JUDGED, lambda: asked, 0.3)
        assert late.late and not late.judged and "takes Puppet's parser more than 0.3 s" in late.fault
        asked = question({"a::t": "Array[A::T]"}, [("A::T", [[[]]]), ("A::T", [1]), ("Integer", True), ("$x", 1)])
        judged = worker.read("2", Kind.JUDGED, lambda: asked).judged
        assert [one.valid for one in judged] == [None, None, False, None]
    finally:
        worker.close()


def test_a_modulepath_that_means_everything_many_times_over_is_not_followed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.assign({"web1.example.org": {"a": {}}})
    old = site.bare.commit("project/red", nested({INIT: "class a($x) { }"}))
    wide = {INIT: "class a($x) { }", "environment.conf": f"modulepath = {'/'.join('*' * 8)}:modules\n"}
    loops = {f"modules/b/l{number}": "-> ." for number in range(9)}
    new = site.bare.commit("project/red", nested({**wide, **loops}), parent=old)
    said, noted = site.look(old, new)
    assert not said and "in its modulepath means more than 5000 directories" in str(noted)


def test_what_this_account_may_not_look_into_may_have_the_class(tmp_path: Path) -> None:
    """A site's private modules are often closed to the branch manager's account."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    there = Environment(Sight("none", lambda _: (), lambda *_: None), lambda *_: Reading(), (closed,))
    os.seteuid(65534)
    try:
        found = there.find("a::b")
    finally:
        os.seteuid(0)
    assert isinstance(found, Unseen) and found.why == f"{closed} cannot be looked into by this account"
    assert Environment(there.sight, lambda *_: Reading(), (closed,)).find("a::b") is None


def test_switched_off(tmp_path: Path) -> None:
    site = Site(tmp_path, assigned="off")
    site.assign({"web1.example.org": {"a": {}}})
    old = site.bare.commit("project/red", nested({INIT: "class a { }"}))
    new = site.bare.commit("project/red", nested({"docs": "x"}), parent=old)
    assert site.look(old, new) == ((), {})


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    made = make_module_slapd()
    populate(made)
    node = f"cn=web1.example.org,ou=red,ou=hosts,{S}"
    made.modify(node, {"puppetClass": [(ADD, ["a"])]})
    return made


def test_pushes_and_rollbacks_as_their_people_see_them(
    slapd: Slapd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody follows, so the nodes are those that LDAP has."""
    site = ManagedRepository(tmp_path / "site", slapd, assigned="check")

    def branch_manager(*words: str) -> str:
        assert main(["--config", str(site.configuration), *words]) == 0
        said = capsys.readouterr()
        return said.out + said.err

    with site.serving():
        removal = {"modules/a/manifests/init.pp": None, "modules/a/files/y": "y"}
        pushed = site.push([{"ref": "project/red", "files": removal}])
        assert pushed.status != 0 and pushed.moved == {}
        assert "modules/a/manifests/init.pp: class a is not found any more (it was at" in pushed.output
        assert "is assigned to 1 node: web1.example.org; `enc-admin who-uses a`" in pushed.output
        # An older commit that lacks it, and history that forgets it, are no other matter.
        pushed = site.push([{"ref": "project/red", "orphan": True, "files": {"docs": "x"}}], "anna")
        assert pushed.status != 0 and "class a is not found any more" in pushed.output
        # Another branch, of which no node has the class, and operators' branches.
        assert site.push([{"ref": "project/blue", "files": removal}], "bert").status == 0
        assert site.push([{"ref": "test", "files": removal}], "olga").status == 0
        assert site.push([{"ref": "project/red", "files": {"docs": "x"}}]).status == 0
    lacks = site.refs()["refs/heads/project/blue"]
    said = branch_manager("rollback", "project_red", lacks, "--reason", "x", "--dry-run")
    assert "warning: project_red: there is no class a, which is assigned to 1 node: web1.example.org" in said
    said = branch_manager("rollback", "project_red", lacks, "--reason", "x")
    assert "and held there" in said and "warning: project_red: there is no class a" in said
    assert "warning" not in branch_manager("rollback", "project_red", "production", "--reason", "x")


def test_the_classes_of_a_branch_are_shown(slapd: Slapd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = ManagedRepository(tmp_path / "site", slapd)
    code = {
        "modules/a/manifests/init.pp": "# @summary Does a\n#\n# More\x1b[2J.\n# @param x sets\n#   x\nclass a(\n"
        "  Optional[String] $x = undef,\n  $y,\n) inherits a::params { }\n",
        "modules/a/manifests/broken.pp": "class a::broken {",
        "modules/a/types/port.pp": "type A::Port = Integer[0, 9]",
        "modules/a/functions/f.pp": "function a::f() >> String { '' }",
    }
    assert site.push([{"ref": "project/red", "files": code}]).status == 0

    def classes(*words: str) -> tuple[int, str, str]:
        status = main(["--config", str(site.configuration), "classes", *words])
        return status, *capsys.readouterr()

    broken = "modules/a/manifests/broken.pp is left out: Syntax error at end of input\n"
    wanted = f"{'a':<40} Does a\n{'b':<40} modules/b/manifests/init.pp:1\n"
    assert classes("project/red") == (0, wanted, broken)
    whole = """class a (modules/a/manifests/init.pp:6)
  Does a
  More\\x1b[2J.
  inherits a::params
  x: Optional[String], default undef
    sets
    x
  y: Any, no default
"""
    assert classes("project/red", "::A")[:2] == (0, whole)
    assert classes("project/red", "a::port")[1] == (
        "type A::Port (modules/a/types/port.pp:1)\n  stands for Integer[0, 9]\n"
    )
    assert "a::f " in classes("project/red", "--kind", "function")[1]
    assert len(classes("project/red", "--kind", "all")[1].splitlines()) == 4
    status, out, _ = classes("project/red", "a", "--json")
    document = json_contract.held("branch-manager", ["classes"], out)
    (found,) = document["definitions"]
    assert (status, found["path"], found["line"], found["of"]) == (0, "modules/a/manifests/init.pp", 6, "a::params")
    assert [(one["name"], one["type"], one["default"]) for one in found["accepts"]] == [
        ("x", "Optional[String]", "undef"),
        ("y", None, None),
    ]
    assert document["unread"] == [{"path": "modules/a/manifests/broken.pp", "why": "Syntax error at end of input"}]
    status, _, said = classes("project/red", "a::ports")
    assert status == 1 and "no class, type, function or plan a::ports; did you mean A::Port?" in said
    status, _, said = classes("project/nowhere")
    assert status == 1 and "no branch project/nowhere" in said
    assert (site.base / "store/index").is_dir()
    assert main(["--config", str(site.configuration), "gc"]) == 0
    main(["--config", str(site.configuration), "verify-store"])
    assert "/index" not in capsys.readouterr().out
