"""The table of what an entry can say: a row more is all that a new kind needs, and people are told of every row."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from enc.classify.kind import Kind
from enc.classify.kinds import KINDS, PARTS
from enc.settings import NodeSettings

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

INVENTED = '''
RACK = replace(
    _WORD, part="rack", field="rack", attribute="puppetmasterRack", schema=Schema(101, "Rack"), indexed=True,
    trusted=True, option=Option("rack", "TEXT", "where it stands", "its rack"),
)
TAGS: Kind[str, None] = Kind(
    part="tag", field="tags", shape="names", attribute="puppetmasterTag", schema=Schema(102, "Tags"),
    split=texts.bare, key=texts.named(ParameterName), value=texts.nothing, spell=texts.bare_text,
    label=str.strip, merge="nearer", removable=Removable("NAME", texts.named(ParameterName)), trusted=True,
    option=Option("tag", "NAME", "a tag", "a tag"),
)
LABELS: Kind[str, Value] = Kind(
    part="label", field="labels", shape="pairs", attribute="puppetmasterLabel", schema=Schema(103, "Labels"),
    split=texts.pair, key=str, value=texts.json_value, spell=texts.pair_text, label=texts.before_equals,
    merge="nearer", trusted=True,
    option=Option("label", "NAME=JSON", "a label", "a label"),
)
LISTS = replace(
    TYPED_VARIABLES, field="lists", attribute="puppetmasterList", schema=Schema(104, "List variables, NAME=A,B"),
    value=lambda text: (text or "").split(","), spell=lambda name, value: f"{name}={','.join(value)}",
    option=Option("list-variable", "NAME=A,B", "a variable that is a list", "a variable"),
)
ORDERS = replace(
    DATA, field="orders", attribute="puppetmasterOrder", schema=Schema(105, "Plain data, KEY=TEXT"),
    value=texts.word, spell=lambda key, value: f"{values.key_text(key)}={value}",
    option=Option("text-data", "KEY=TEXT", "hiera data that is a text", "a key of hiera data"),
)
OWNER = replace(
    _WORD, part="owner", field="owner", attribute="puppetmasterOwner", schema=Schema(106, "Owner"), merge="own",
    nodes_only=True, option=Option("owner-name", "TEXT", "whose it is", "its owner"),
)
'''
"""Rows of every shape: parts of their own, and further ways to say a variable and hiera data."""
NAMES = ("RACK", "TAGS", "LABELS", "LISTS", "ORDERS", "OWNER")

SCRIPT = '''
import argparse, json, sys
from enc.settings import config
from enc.answers.session import _shape_of_answers
from enc.classify.classify import Classifier
from enc.classify.render import merged_data, trusted
from enc.commands.wishes import amendment_options, wanted, wish_options, withdrawal, withdrawal_options
from enc.directory.access import access_rules
from enc.directory.embedded_config import INDEXES
from enc.directory.schema.definitions import PUPPETMASTER
from enc.edits.change import apply, modifying
from enc.edits.reversal import reverse, state
from enc.edits.wanted import to_have
from enc.terms.names import Certname
from enc.service import effect, explain
from tests.support.memory import MemorySource, record

S = "dc=example,dc=org"
settings = config.parse("")
nodes = settings.nodes
said = sys.argv[1:]

def parsed(options, words):
    parser = argparse.ArgumentParser()
    for offer in options:
        offer(parser)
    return parser.parse_args(words)

bare = record(f"cn=web1,ou=alpha,ou=hosts,{S}", cn="web1", objectClass=["device", "puppetClient"])
first = wanted(parsed([wish_options, amendment_options], said))
step = modifying(bare, to_have(bare, first, nodes))
node = apply(bare, step.changes)
assert to_have(node, first, nodes) == ()
assert state(step, node, nodes) == "made"
back = apply(node, reverse(step, node, nodes).changes)
assert set(back.attributes) == set(bare.attributes)
names = ["--rack", "--tag=a", "--label=k", "--list-variable=l", "--text-data=o", "--owner-name"]
unset = apply(node, to_have(node, withdrawal(parsed([withdrawal_options], names)), nodes))
plain = apply(node, to_have(node, wanted(parsed([wish_options, amendment_options], ["--variable=l=x"])), nodes))

site = record(f"cn=site,{S}", cn="site", objectClass="puppetmasterScope", puppetmasterRack="r0",
              puppetmasterTag=["a", "old"], puppetmasterLabel=["k=0", "far=true"], puppetmasterList="l=z",
              puppetmasterOwner="nobody")
project = record(f"cn=alpha,ou=projects,{S}", cn="alpha", objectClass="groupOfNames",
                 puppetmasterOrder=["o=far", "p=x"], puppetmasterRemove="tag old")
source = MemorySource([site, project, node], settings)
found = Classifier(settings).classify(Certname("web1"), source)
told = explain.explain(Certname("web1"), source, settings)
print(json.dumps({
    "changes": {c.attribute: c.after for c in step.changes},
    "lines": step.lines(),
    "unset": sorted(unset.attributes), "bare": sorted(bare.attributes),
    "plain": sorted(plain.attributes),
    "trusted": json.loads(trusted(found)),
    "variables": found.variables,
    "data": merged_data(found),
    "said": found.said,
    "flat": effect.flat(found),
    "document": effect.document(found),
    "explained": told.lines(),
    "schema": [a.name for a in PUPPETMASTER.attributes], "allowed": PUPPETMASTER.classes[0].may,
    "single": [a.name for a in PUPPETMASTER.attributes if a.single],
    "access": access_rules(S), "indexes": INDEXES[1],
    "shape": _shape_of_answers(settings),
}, default=str))
'''
SAID = ("--rack=r1", "--tag=a", "--tag=b", '--label=k={"n":1}', "--list-variable=l=x,y", "--text-data=o=near")
ATTRIBUTES = tuple(f"puppetmaster{name}" for name in ("Rack", "Tag", "Label", "List", "Order", "Owner"))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the parts of the program do when rows are added to the table, and nothing else is changed."""
    base = tmp_path_factory.mktemp("grown")
    shutil.copytree(ROOT / "enc", base / "enc", ignore=shutil.ignore_patterns("__pycache__"))
    table = base / "enc/classify/kinds.py"
    text = table.read_text("utf-8")
    head = "KINDS: tuple[Kind[Any, Any], ...] = (\n"
    before, rows = text.split(head)
    listed, rest = rows.split("\n)\n", 1)
    table.write_text(f"{before}{INVENTED}\n{head}{listed}\n    {', '.join(NAMES)},\n)\n{rest}", "utf-8")
    start = f"import sys; sys.path[:0] = {[str(base), str(ROOT)]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", start + SCRIPT, *SAID, "--owner-name=anna"],
        capture_output=True,
        text=True,
        cwd=base,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_option_sets_it_and_brings_its_object_class(grown: dict[str, Any]) -> None:
    assert grown["changes"] == {
        "puppetmasterRack": ["r1"],
        "puppetmasterTag": ["a", "b"],
        "puppetmasterLabel": ['k={"n":1}'],
        "puppetmasterList": ["l=x,y"],
        "puppetmasterOrder": ["o=near"],
        "puppetmasterOwner": ["anna"],
        "objectClass": ["puppetmasterClassification"],
    }
    assert "  + puppetmasterRack: r1" in grown["lines"]


def test_an_option_takes_it_away(grown: dict[str, Any]) -> None:
    assert set(grown["unset"]) - set(grown["bare"]) == {"puppetmastertag"}, "the tag b was not named"


def test_another_way_to_say_a_variable_takes_its_place(grown: dict[str, Any]) -> None:
    assert "puppetvar" in grown["plain"]
    assert "puppetmasterlist" not in grown["plain"]


def test_it_is_merged_and_rendered(grown: dict[str, Any]) -> None:
    assert grown["trusted"] == {
        "project": "alpha",
        "region": None,
        "role": None,
        "rack": "r1",
        "tag": ["a", "b"],
        "label": {"k": {"n": 1}, "far": True},
        "prefixes": [],
    }
    assert grown["variables"] == {"cn": "web1", "l": ["x", "y"]}, "and no attribute of ours is a variable"
    assert grown["data"] == {"o": "near", "p": "x"}
    assert grown["said"]["owner"] == "anna"


def test_it_is_shown_and_explained(grown: dict[str, Any]) -> None:
    shown = {"rack": " = r1", "tag a": "", "label far": " = true", "variable l": ' = ["x", "y"]', "owner": " = anna"}
    assert shown.items() <= grown["flat"].items()
    assert grown["document"]["rack"] == "r1"
    assert grown["document"]["label"]["far"] is True
    heads = [line.partition("  from ")[0] for line in grown["explained"]]
    assert [head for head in heads if head.startswith(("rack", "tag", "label far", "owner"))] == [
        "rack = \"r1\"",
        "tag a",
        "tag b",
        "tag old: removed by project alpha (cn=alpha,ou=projects,dc=example,dc=org)",
        "label far = true",
        "owner = \"anna\"",
    ]


def test_the_directory_knows_it(grown: dict[str, Any]) -> None:
    assert set(ATTRIBUTES) <= set(grown["schema"]) & set(grown["allowed"])
    assert {"puppetmasterRack", "puppetmasterOwner"} <= set(grown["single"])
    assert "puppetmasterTag" not in grown["single"]
    assert "puppetmasterRack" in grown["indexes"].split(",")
    for what in ("ou=hosts", "ou=projects"):
        rules = re.findall(rf"^access to .*{what}.* attrs=(\S*puppetClass\S*)$", grown["access"], re.MULTILINE)
        assert rules
        assert all(set(ATTRIBUTES) <= set(rule.split(",")) for rule in rules)


def test_all_answers_are_made_anew(grown: dict[str, Any]) -> None:
    assert all(name in grown["shape"] for name in ATTRIBUTES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.field)
def test_people_are_told(kind: Kind[Any, Any]) -> None:
    editing, directory, hiera = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("editing", "directory", "hiera"))
    if kind.option is not None:
        rows = [line for line in editing.splitlines() if line.startswith("|") and f"`--{kind.option.name} " in line]
        assert rows, f"docs/editing.md has no row for --{kind.option.name}"
        assert kind.attribute in rows[0]
    if kind.schema is not None:
        assert f"\n| `{kind.attribute}` | {'one' if kind.shape == 'single' else 'many'}" in directory
    if kind.trusted:
        assert re.search(rf"^\| [^|]*`{kind.part}`", hiera, re.MULTILINE), f"docs/hiera.md has no row for {kind.part}"


def test_rows_do_not_contradict_each_other() -> None:
    settings = NodeSettings()
    for what in (
        Counter(kind.field for kind in KINDS),
        Counter(kind.attribute.lower() for kind in KINDS),
        Counter(kind.option.name for kind in KINDS if kind.option),
        Counter(kind.schema.number for kind in KINDS if kind.schema),
    ):
        assert [name for name, count in what.items() if count > 1] == []
    for first, *others in PARTS.values():
        for other in others:
            assert (other.shape, other.merge, other.name) == (first.shape, first.merge, first.name)
            assert (other.trusted, other.removable) == (first.trusted, first.removable)
    assert [kind.attribute for kind in KINDS] == [kind.attributes(settings)[0] for kind in KINDS]
    assert not {"project", "prefixes"} & {kind.part for kind in KINDS if kind.trusted}


def test_only_the_table_knows_the_names_of_its_attributes() -> None:
    ours = {kind.attribute for kind in KINDS if kind.schema}
    named = {
        (file.relative_to(ROOT).as_posix(), node.value)
        for package in ("enc", "git_hooks", "puppetmaster_self")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in ours
    }
    assert {place for place, _ in named} == {"enc/classify/kinds.py"}
