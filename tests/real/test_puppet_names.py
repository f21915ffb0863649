"""Every name and value that we take compiles, and every one that we refuse would not: with the installed Puppet.

One Ruby process compiles all of it. $PUPPET_LIB names the lib/ of another Puppet to ask instead.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enc.classify.model import Classification, Value
from enc.classify.render import render_answer
from enc.terms.names import Certname, ClassName, EnvironmentName, ParameterName
from enc.terms.puppet_names import (
    RESERVED_CLASSES,
    RESERVED_ENVIRONMENTS,
    RESERVED_PARAMETERS,
    VARIABLES,
    data_fault,
    parameter_fault,
    variable_fault,
)

PROGRAM = Path(__file__).parents[1] / "support/compile_answers.rb"
PRODUCTION = EnvironmentName("production")
SITE = """
notify { "main of ${environment}": message => "${trusted['certname']} ${facts['os']} ${server_facts['servername']}" }
node default { include role }
"""
ROLE = "class role ($port = 80) { notify { \"role ${name} ${title} ${module_name}\": } }"


class Puppet:
    """A process that compiles answers, and the code that it has."""

    def __init__(self, base: Path) -> None:
        self.code = base / "code"
        self.add("hiera.yaml", "version: 5\nhierarchy: []\n")
        self.environment("production", SITE, {"modules/role/manifests/init.pp": ROLE})
        self.process = subprocess.Popen(
            ["ruby", PROGRAM, self.code, base / "var"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(base / "log").open("w"),
            text=True,
        )

    def add(self, name: str, text: str) -> None:
        file = self.code / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def environment(self, name: str, site: str, files: dict[str, str] | None = None) -> EnvironmentName:
        for file, text in {"manifests/site.pp": site, **(files or {})}.items():
            self.add(f"environments/{name}/{file}", text)
        return EnvironmentName(name)

    def compile(
        self,
        variables: dict[str, Value] | None = None,
        classes: dict[str, dict[str, Value]] | None = None,
        environment: EnvironmentName = PRODUCTION,
    ) -> dict[str, Any]:
        """Return what came of an answer; the first variable is read back."""
        said = Classification(Certname("web.example"), environment, classes or {}, variables or {})
        asked = {"answer": render_answer(said, None, "copy"), "read": next(iter(variables or {}), None)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def puppet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puppet]:
    made = Puppet(tmp_path_factory.mktemp("puppet"))
    yield made
    made.process.communicate()


ORDINARY = (
    *("x", "_x", "Name", "rackSize", "a::b", "name::x", "title_", "string", "class", "node", "default", "settings"),
    *("caller_module_name", "clientcert", "clientversion", "servername", "serverversion", "fqdn", "os", "networking"),
    *("agent_specified_environment", "serialnumber", "alias", "noop", "stage", "x0", "role", "true", "undef"),
    *("puppetversion", "cn", "description", "l;lang-en", "a-b", "scope", "trusted_", "Facts", "environment_"),
)  # fmt: skip
DIGITS = ("0", "12", "x\n1", "1\ny")


@pytest.mark.parametrize("name", [*ORDINARY, *VARIABLES, *DIGITS, "settings::certname"])
def test_a_variable_is_taken_if_and_only_if_it_arrives(puppet: Puppet, name: str) -> None:
    values: list[Value] = ["x", {"a": ["b"]}, None, True]
    came = [(found := puppet.compile({name: value}))["error"] is None and found["value"] == value for value in values]
    if name == "settings::certname":
        came = [False]  # bound, and hidden by Puppet's own class `settings` wherever it is read
    assert any(came) is all(came) is (variable_fault(name) is None)


@pytest.mark.parametrize("name", [*sorted(RESERVED_CLASSES), "site", "plan", "import", "facts", "file", "environment"])
def test_a_class_name_is_taken_if_and_only_if_it_can_be_one(puppet: Puppet, name: str) -> None:
    where = puppet.environment(f"class_{name}", f"class {name} ($p = 1) {{ notify {{ 'it is': }} }}")
    found = [puppet.compile(None, {name: given}, where) for given in ({}, {"p": 2})]
    works = [one["error"] is None and one["notes"] == ["it is"] for one in found]
    assert all(works) is ClassName.accepts(name)


def test_a_reserved_word_may_be_part_of_a_class_name(puppet: Puppet) -> None:
    for name in ("default::foo", "role::class", "main::x"):
        where = puppet.environment(f"part_{name.replace('::', '_')}", f"class {name} {{ notify {{ 'it is': }} }}")
        assert puppet.compile(None, {ClassName(name): {}}, where)["notes"] == ["it is"]


@pytest.mark.parametrize("name", [*sorted(RESERVED_PARAMETERS), "port", "environment", "type", "scope", "settings"])
def test_a_parameter_is_taken_if_and_only_if_a_class_can_have_it(puppet: Puppet, name: str) -> None:
    where = puppet.environment(f"parameter_{name}", f"class c (${name} = 1) {{ notify {{ 'it is': }} }}")
    found = puppet.compile(None, {"c": {name: "x"}}, where)
    assert (found["error"] is None) is ParameterName.accepts(name)


GIVEN: list[Value] = [
    *("x", "", "true", "debug", "all", "a b", "é", "main", "Class[role]", 1, True, False, None),
    *({"a": "b"}, [], ["a"], ["Class[role]"], [["a"]]),
]


@pytest.mark.parametrize(
    "name", ["alias", "audit", "before", "loglevel", "noop", "notify", "require", "schedule", "subscribe", "tag"]
)
def test_a_metaparameter_takes_what_we_say(puppet: Puppet, name: str) -> None:
    where = puppet.environment("metaparameters", "class role {} class c { notify { 'it is': } }")
    classes: dict[str, dict[str, Value]] = {"role": {}, "c": {}}
    refused = [value for value in GIVEN if parameter_fault(name, value)]
    failed = [v for v in GIVEN if puppet.compile(None, {**classes, "c": {name: v}}, where)["error"]]
    # An alias that is no text compiles, and nothing can be found by it.
    odd = [v for v in refused if name == "alias" and not isinstance(v, str)]
    assert [value for value in refused if value not in odd] == [value for value in failed if value not in odd]


def test_a_stage_is_named_by_a_text(puppet: Puppet) -> None:
    where = puppet.environment("stages", "stage { 'first': before => Stage['main'] } class c { notify { 'it is': } }")
    for value in ("main", "first", None, *GIVEN[9:11], {"a": "b"}, [], ["main"], ""):
        refused = parameter_fault("stage", value) is not None
        assert refused is (puppet.compile(None, {"c": {"stage": value}}, where)["error"] is not None)


OPTIONS: list[Value] = [
    *("x", 1, [], {}, {"c::p": {"merge": "deep"}}, {"c::p": {"merge": {"strategy": "deep"}}}, {"c::p": "deep"}),
    *({"c::p": None}, {"^c::(": {}}, {r"^(?<n>\h*)c::[[:alpha:]]\z": {"merge": "first"}}, {"c::p": {"merge": "all"}}),
]


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_lookup_options_are_taken_if_lookups_work(puppet: Puppet, number: int) -> None:
    value = OPTIONS[number]
    data = json.dumps({"lookup_options": value, "c::p": ["v"]})
    hiera = "version: 5\nhierarchy:\n  - name: all\n    path: all.yaml\n"
    site = "class c ($p) { notify { 'it is': } }"
    where = puppet.environment(f"options{number}", site, {"hiera.yaml": hiera, "data/all.yaml": data})
    fails = puppet.compile(None, {"c": {}}, where)["error"] is not None
    if fails:
        assert data_fault("lookup_options", value)
    elif data_fault("lookup_options", value):
        # Options that are no mapping of mappings do nothing, where they do no harm.
        assert isinstance(value, dict)
        assert not isinstance(next(iter(value.values())), dict)


@pytest.mark.parametrize("name", sorted(RESERVED_ENVIRONMENTS))
def test_puppets_code_takes_environments_that_its_documentation_does_not(puppet: Puppet, name: str) -> None:
    where = puppet.environment(name, SITE.partition("node")[0])
    assert puppet.compile(environment=where)["notes"] == [f"main of {name}"]
