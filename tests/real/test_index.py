"""The index of a tree: what Puppet's parser finds in it, what is read anew, and what of it is kept on disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from git_hooks.index import documentation
from git_hooks.index.environment import Environment, Fetched
from git_hooks.index.index import Index, index
from git_hooks.index.kept import Kept, Part
from git_hooks.index.sight import Sight
from git_hooks.puppet_code.calls import Kind, Reading
from git_hooks.puppet_code.definitions import Definition, Parameter
from git_hooks.puppet_code.worker import Worker
from git_hooks.push.incoming import Incoming
from tests.support.bare import Bare

CODE: dict[str, Any] = {
    "environment.conf": "modulepath = site:modules:$basemodulepath\n",
    "manifests": {"site.pp": "class roles { }\nnode default { }\n"},
    "site": {
        "web": {
            "manifests": {
                "init.pp": "# @summary Serves pages\n#\n# Some words.\n# @param port where\n#   it listens\n"
                "class web(\n  Integer[1, 65535] $port = 80,\n  $name_of,\n) inherits web::params { }\n",
                "params.pp": "class web::params { }\nclass web::params::inner { }\nclass other::place { }\n",
                "proxy": {"deep.pp": "define web::proxy::deep($x = lookup('a', { b => [1, 2] })) { }\n"},
                "linked.pp": "-> ../files/linked.pp",
                "broken.pp": "class web::broken {",
            },
            "files": {"linked.pp": "class web::linked { }\n"},
            "functions": {"f.pp": "function web::f(String $x) >> Integer { 1 }\n"},
            "plans": {"p.pp": "plan web::p(TargetSpec $nodes) { }\n"},
            "types": {"port.pp": "type Web::Port = Variant[Integer, Enum['http']]\n"},
            "lib": {"puppet": {"functions": {"web": {"g.rb": "exit!\n"}}}},
            "spec": {"fixtures": {"x.pp": "class web::spec { }"}},
        }
    },
    "modules": {"web": {"manifests": {"hidden.pp": "class web::hidden { }"}}, "No-Module": {"manifests": {}}},
}


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


class Reader:
    """Counts what is read."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.asked: list[Kind] = []

    def __call__(self, name: str, kind: Kind, content: Callable[[], bytes]) -> Reading:
        self.asked.append(kind)
        return self._worker.read(name, kind, content)


class Site:
    def __init__(self, base: Path, worker: Worker) -> None:
        self.bare = Bare(base)
        self.store = base / "store"
        self.store.mkdir()
        (self.store / ".mark").touch()
        self.base = base / "modules"
        self.reader = Reader(worker)

    def look(self, content: Mapping[str, Any], fetched: Fetched | None = None) -> Index:
        self.reader.asked.clear()
        tree = self.bare.tree(content)
        with Incoming(str(self.bare.path), os.environ) as objects:
            sight = Sight(tree, objects.raw_tree, objects.content)
            there = Environment(sight, self.reader, (self.base,), fetched)
            return index(there, Kept(self.store), self.reader)


@pytest.fixture
def site(tmp_path: Path, worker: Worker) -> Site:
    return Site(tmp_path, worker)


def changed(path: str, content: str | None) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(CODE))
    *directories, name = path.split("/")
    place = copy
    for directory in directories:
        place = place.setdefault(directory, {})
    if content is None:
        del place[name]
    else:
        place[name] = content
    return copy


def test_it_has_what_puppet_finds(site: Site) -> None:
    found = site.look(CODE)
    assert [(one.definition.kind, one.definition.name, one.place) for one in found.standings] == [
        ("class", "roles", "manifests/site.pp:1"),
        ("class", "web", "site/web/manifests/init.pp:6"),
        ("class", "web::linked", "site/web/files/linked.pp:1"),
        ("class", "web::params", "site/web/manifests/params.pp:1"),
        ("class", "web::params::inner", "site/web/manifests/params.pp:2"),
        ("defined type", "web::proxy::deep", "site/web/manifests/proxy/deep.pp:1"),
        ("function", "web::f", "site/web/functions/f.pp:1"),
        ("function", "web::g", "site/web/lib/puppet/functions/web/g.rb:1"),
        ("plan", "web::p", "site/web/plans/p.pp:1"),
        ("type", "Web::Port", "site/web/types/port.pp:1"),
    ]
    assert found.faults == {"site/web/manifests/broken.pp": "Syntax error at end of input"}
    (web,) = found.named("::Web")
    assert web.definition.parameters == (
        Parameter("port", 7, "Integer[1, 65535]", "80"),
        Parameter("name_of", 8, "", None),
    )
    told = documentation.read(web.definition.comment)
    assert (told.summary, told.text) == ("Serves pages", "Some words.")
    assert (web.definition.of, told.parameters) == ("web::params", {"port": "where\nit listens"})
    (alias,) = found.of("type")
    assert alias.definition.of == "Variant[Integer, Enum['http']]"
    assert found.named("web::proxy::deep")[0].definition.parameters[0].default == "lookup('a', { b => [1, 2] })"


def test_only_the_file_that_changed_is_read_anew(site: Site) -> None:
    whole = site.look(CODE)
    assert len(site.reader.asked) == 9
    assert site.look(CODE) == whole and site.reader.asked == [], "all is kept"
    params = "site/web/manifests/params.pp"
    one = site.look(changed(params, "class web::params { }\n"))
    assert site.reader.asked == [Kind.DEFINED], "of the directory that changed only the file that did"
    assert "web::params::inner" not in {each.definition.name for each in one.standings}
    site.look(CODE)
    assert site.reader.asked == []
    gone = site.look(changed(params, None))
    assert site.reader.asked == [] and not gone.named("web::params")


def test_this_machines_modules_and_those_of_a_puppetfile(site: Site, tmp_path: Path) -> None:
    for path, code in {
        "modules/base/manifests/init.pp": "class base { }",
        "modules/web/manifests/base.pp": "class web::base { }",
        "fetched/apt/manifests/init.pp": "class apt { }",
        "fetched/apt/lib/puppet/functions/apt/f.rb": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code)
    there = Fetched("modules", {"apt": tmp_path / "fetched/apt", "later": None})
    found = site.look(CODE, there)
    names = {one.definition.name: one.path for one in found.standings}
    assert names["base"] == f"{tmp_path}/modules/base/manifests/init.pp"
    assert names["apt"] == f"{tmp_path}/fetched/apt/manifests/init.pp" and "apt::f" in names
    assert "web::base" not in names, "the tree's module comes first"
    assert found.unseen == ["later"]
    site.look(CODE, there)
    assert site.reader.asked == []
    (tmp_path / "modules/base/manifests/init.pp").write_text("class base { class more { } }")
    assert site.look(CODE, there).named("base::more") and len(site.reader.asked) == 1


NO_PARTS = [b"", b"{", b"[]", b'{"init.pp": 1}', b'{"init.pp": ["", [["class"]], ""]}', b"\xff"]


@pytest.mark.parametrize("damage", NO_PARTS)
def test_a_damaged_part_is_made_anew(site: Site, damage: bytes) -> None:
    whole = site.look(CODE)
    for path in (site.store / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(damage)
    assert site.look(CODE) == whole and len(site.reader.asked) == 9
    assert site.look(CODE) == whole and site.reader.asked == []


def test_nothing_is_kept_where_the_store_is_not(site: Site) -> None:
    (site.store / ".mark").unlink()
    site.look(CODE)
    assert list(site.store.iterdir()) == []
    (site.store / ".mark").touch()
    (site.store / "index").write_text("a file is in the way")
    assert site.look(CODE).named("web")


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    (tmp_path / ".mark").touch()
    kept = Kept(tmp_path)
    part = {"a.pp": Part("1" * 40, (Definition("class", "a", 1),))}
    for number in range(10):
        kept.put(f"{number:040}", part, "same")
        for place in (tmp_path / "index").rglob(f"{number:040}"):
            os.utime(place, (number, number))
    assert kept.get(f"{0:040}") == part, "and is used now"
    (tmp_path / "index/0/aa").mkdir(parents=True)
    (tmp_path / "index/0/aa/x").touch()
    assert kept.sweep(5) == 7, "eleven, and one of another release; five stay"
    assert [number for number in range(10) if kept.get(f"{number:040}")] == [0, 7, 8, 9]
    assert kept.last("same") == part


def write_for_ever(store: str, number: int) -> None:
    part = {f"{name}.pp": Part("1" * 40, (Definition("class", "a" * 200, 1),) * 50) for name in range(50)}
    while True:
        Kept(store).put("f" * 40, part, f"place {number}")


def test_killed_writers_leave_whole_parts(tmp_path: Path) -> None:
    (tmp_path / ".mark").touch()
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        writers = [context.Process(target=write_for_ever, args=(str(tmp_path), number)) for number in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(0.1)
        for writer in writers:
            if writer.pid is not None:
                os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        found = Kept(tmp_path).get("f" * 40)
        assert found is not None and len(found) == 50


@pytest.mark.parametrize(
    ("comment", "summary", "text", "parameters"),
    [
        ("", "", "", {}),
        ("words\nmore", "", "words\nmore", {}),
        ("@summary one\n  two\nwords", "one two", "words", {}),
        ("@param [Array[Hash[String, Any]]] a\n  words\n\n  more\n@api private", "", "", {"a": "words\n\nmore"}),
        ("@param a [Integer] words [sic]", "", "", {"a": "words [sic]"}),
        ("@param\n@param  \nx", "", "x", {}),
        ("a@example.org\n @summary indented is no tag", "", "a@example.org\n @summary indented is no tag", {}),
    ],
)
def test_comments_are_read_as_puppet_strings_reads_them(
    comment: str, summary: str, text: str, parameters: dict[str, str]
) -> None:
    assert documentation.read(comment) == (summary, text, parameters)


def test_links_that_lead_round_or_out(site: Site) -> None:
    loops = {
        "modules": {
            "a": {
                "manifests": {"init.pp": "class a { }", "up": "-> ..", "self.pp": "-> self.pp", "x.pp": "-> ../../../x"}
            },
            "b": "-> b",
            "c": "-> ../modules/a",
            "d": "-> /etc",
        }
    }
    found = site.look(loops)
    assert [one.definition.name for one in found.standings] == ["a"]
