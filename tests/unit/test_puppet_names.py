"""The doors hold what enc/terms/puppet_names.py says; that Puppet does so is tested with Puppet (tests/real)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from enc.classify.kind import AttributeLeftOut, LeftOut
from enc.classify.model import Classification, Value
from enc.doctor import configuration, contents
from enc.edits.wanted import to_set
from enc.edits.wish import Wish
from enc.puppet.deployed import Environments
from enc.service import advice
from enc.service.effect import Effect
from enc.settings import NodeSettings, config
from enc.terms.errors import ConfigurationError, InvalidName, UsageError
from enc.terms.names import Certname, ClassName, DataKey, EnvironmentName, ParameterName, VariableName
from enc.terms.puppet_names import (
    RESERVED_ENVIRONMENTS,
    VARIABLES,
    data_fault,
    hidden_by,
    parameter_fault,
    unreadable,
    variable_fault,
)
from enc.terms.record import Record

NODE = Record("cn=a,ou=hosts,dc=example", {"cn": ("a",)})


@pytest.mark.parametrize("name", [*VARIABLES, "settings::vardir"])
def test_a_variable_that_stops_every_catalog_is_refused_at_the_edit(name: str) -> None:
    for wish in (Wish(variables={VariableName(name): "x"}), Wish(typed_variables={VariableName(name): None})):
        with pytest.raises(UsageError, match=f"variable {name}: .*reserves"):
            to_set(NODE, wish, NodeSettings())


@pytest.mark.parametrize("name", [*sorted(RESERVED_ENVIRONMENTS), "Main", "AGENT"])
def test_an_environment_that_no_branch_becomes_is_refused_at_the_edit(name: str) -> None:
    with pytest.raises(UsageError, match=r"has settings under"):
        to_set(NODE, Wish(environment=EnvironmentName(name)), NodeSettings())


@pytest.mark.parametrize("name", ["0", "12", "1\n2", "x\n1\ny"])
def test_ruby_finds_digits_on_any_line(name: str) -> None:
    assert variable_fault(name) is not None


@pytest.mark.parametrize("name", ["x0", "a1", "Name", "title_", "name::x", "environment_", "x", "_x", "fact"])
def test_other_variables_are_taken(name: str) -> None:
    assert variable_fault(name) is None


@pytest.mark.parametrize("name", ["class", "default", "main", "settings", "::Default", "string", "component"])
def test_a_word_of_puppets_is_no_class(name: str) -> None:
    with pytest.raises(InvalidName, match="Puppet reserves this word"):
        ClassName.from_directory(name)
    assert not ClassName.accepts(name.lower().removeprefix("::"))


@pytest.mark.parametrize("name", ["class::web", "role::default", "main::x", "site", "plan", "environment"])
def test_only_the_whole_name_counts(name: str) -> None:
    assert ClassName(name) == name


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("noop", [True, False, "true", None], ["x", 1, 0, [], {}, ""]),
        ("require", ["Class[a]", ["Class[a]", "File[/x]"], [], None], ["a", True, {"a": 1}, ["a"], ""]),
        ("tag", ["a", ["a", "b:c"], 1, True, "é"], ["a b", "", {"a": 1}, "Class[a]"]),
        ("loglevel", ["debug"], ["x", {}, [], True]),
        ("audit", ["all", []], ["x", True, {}]),
        ("stage", ["main", "first"], ["", [], {}, True, 1]),
        ("alias", ["x"], ["main", "", False, ["x"]]),
        ("schedule", ["x", []], []),
        ("port", ["x", {}, [], 1], []),
    ],
)
def test_metaparameters_take_what_puppet_takes(name: str, good: list[Value], bad: list[Value]) -> None:
    assert [value for value in good if parameter_fault(name, value)] == []
    assert [value for value in bad if not parameter_fault(name, value)] == []


@pytest.mark.parametrize(
    "value", ["x", None, [], {"a": "deep"}, {"a": {"merge": "all"}}, {"^(a": {}}, {"a": {"merge": {"strategy": "x"}}}]
)
def test_lookup_options_that_stop_every_lookup(value: Value) -> None:
    assert data_fault("lookup_options", value) is not None
    assert data_fault("other", value) is None
    with pytest.raises(UsageError, match="lookup_options"):
        to_set(NODE, Wish(data={DataKey("lookup_options"): value}), NodeSettings())


@pytest.mark.parametrize(
    "value",
    [
        *({}, {"a::b": {"merge": "deep"}}, {"^a::.*x$": {"merge": {"strategy": "deep", "knockout_prefix": "--"}}}),
        *({r"^(?<n>\h+)[[:alpha:]]\z": {"convert_to": "Sensitive"}}, {"a": {}}),
    ],
)
def test_lookup_options_that_work(value: Value) -> None:
    assert data_fault("lookup_options", value) is None


@pytest.mark.parametrize(
    "name", ["fqdn", "os", "serialnumber", "ipaddress_eth0", "sshrsakey", "processor0", "clientcert", "serverversion"]
)
def test_what_hides_a_fact_is_known(name: str) -> None:
    assert hidden_by(name)


@pytest.mark.parametrize("name", ["rack", "cn", "description", "osx", "my_fqdn", "sp", "l"])
def test_other_names_hide_nothing(name: str) -> None:
    assert hidden_by(name) is None


def test_what_no_manifest_can_read_is_known() -> None:
    assert [n for n in ("Rack", "a::B", "_a::b", "A::b") if not unreadable(n)] == []
    assert [n for n in ("rackSize", "_x", "a::_b", "a::b") if unreadable(n)] == []


@pytest.mark.parametrize("name", ["name", "facts", "1x", "a-b"])
def test_the_answers_variable_must_be_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"answers\.variable"):
        config.parse(yaml.safe_dump({"answers": {"variable": name}}))


def test_config_check_tells_of_names() -> None:
    document = {
        "nodes": {"default_environment": "master"},
        "projects": {"environment": "Agent"},
        "answers": {"variable": "fqdn"},
    }
    found = list(configuration._names(config.parse(yaml.safe_dump(document))))
    assert [finding.found.split(":")[0] for finding in found] == [
        *("nodes.default_environment", "projects.environment", "answers.variable"),
    ]
    assert {finding.level for finding in found} == {"warning"}


@pytest.fixture
def places(tmp_path: Path) -> Environments:
    """`production` with modules, `elsewhere` with a modulepath that is not known, `own` with manifests of its own."""
    files = {
        "code/modules/common/manifests/init.pp": "class common { }",
        "code/environments/production/modules/role/manifests/init.pp": "class role {}\nclass role::in_init($x=1) { }",
        "code/environments/production/modules/role/manifests/web.pp": "# words\nclass role::web inherits role {\n}",
        "code/environments/production/modules/role/manifests/deep/down.pp": "class role::deep::down { }",
        "code/environments/production/modules/role/manifests/thing.pp": "define role::thing() { }",
        "code/environments/production/manifests/site.pp": "class from_site { }",
        "code/environments/elsewhere/environment.conf": "modulepath = $codedir/other:modules\n",
        "code/environments/own/environment.conf": "manifest = top.pp\nmodulepath = site:$basemodulepath\n",
        "code/environments/own/top.pp": "class ::topped { }",
        "code/environments/own/site/a/manifests/init.pp": "class a { }",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Environments.printed(
        {"environmentpath": f"{tmp_path}/code/environments", "basemodulepath": f"{tmp_path}/code/modules"}
    )


@pytest.mark.parametrize(
    ("environment", "name", "there"),
    [
        *(("production", "role", True), ("production", "role::web", True), ("production", "role::deep::down", True)),
        *(("production", "role::in_init", True), ("production", "from_site", True), ("production", "common", True)),
        *(("production", "role::we", False), ("production", "role::thing", False), ("production", "none", False)),
        *(("production", "role::web::x", False), ("elsewhere", "role", None)),
        *(("own", "topped", True), ("own", "a", True), ("own", "common", True), ("own", "from_site", False)),
    ],
)
def test_where_a_class_is_looked_for(places: Environments, environment: str, name: str, there: bool | None) -> None:
    found = places[EnvironmentName(environment)]
    assert found is not None
    assert found.has(ClassName(name)) is there


def said(name: str, environment: str, *classes: str, **variables: Value) -> Classification:
    return Classification(Certname(name), EnvironmentName(environment), {c: {} for c in classes}, variables)


def test_doctor_tells_what_nodes_have_that_is_not_here(places: Environments) -> None:
    notes = (
        AttributeLeftOut.because("…", "cn=c: the attribute name "),
        LeftOut.because("…", "cn=c: puppetVar: the variable title "),
        "cn=c: puppetClass: Is left out of the answer: x is read as is left out of the answer: x",
    )
    odd = Classification(Certname("c"), EnvironmentName("main"), {}, {}, notes=notes)
    nodes = [said("a", "production", "role::web", "role::none", fqdn="x"), said("b", "gone", "role", fqdn="y"), odd]
    found = [(f.id, f.level, f.found) for f in contents.judge(nodes, places)]
    assert [(check, level) for check, level, _ in found] == [
        *(("variables", "warning"), ("variables", "note"), ("variables", "warning")),
        *(("environments", "warning"), ("environments", "warning"), ("classes", "warning")),
    ]
    assert found[2][2].endswith("hides the fact fqdn: $fqdn is no longer what the node found (2 nodes: a, b)")
    assert found[3][2].startswith("environment gone: is not deployed on this machine")
    assert found[4][2].startswith("environment main: Puppet's documentation forbids main as an environment")
    assert found[5][2].startswith("class role::none: no file found for it in environment production")


def test_doctor_has_nothing_to_say_about_what_is_sound(places: Environments) -> None:
    found = list(contents.judge([said("a", "production", "role::web", rack="1")], places))
    assert [(f.id, f.level) for f in found] == [("variables", "ok"), ("environments", "ok"), ("classes", "ok")]


def test_the_id_that_instances_keep_of_their_server_needs_nobody(places: Environments) -> None:
    found = list(contents.judge([said("a", "production", "role::web", serialnumber="5f6a1c3e")], places))
    assert [(f.id, f.level) for f in found][:2] == [("variables", "note"), ("environments", "ok")]
    assert found[0].found.endswith("(1 node: a)")


def test_the_edit_tells_it_too(places: Environments) -> None:
    settings = config.parse(yaml.safe_dump({"branches": {"environments": str(places._places[0])}}))
    wish = Wish(
        classes=(ClassName("role::none"), ClassName("role::web")),
        variables={VariableName("hostname"): "x", VariableName("Rack"): "1"},
        data={DataKey("motd"): {"a": ["%{facts.os.name}"]}},
    )
    told = advice.on_plan(wish, EnvironmentName("production"), (), settings)
    assert [line.split(":")[0] for line in told[:1]] == ["class role"]
    assert [line.partition(": ")[0] for line in told[1:]] == ["variable hostname", "variable Rack", "data motd"]
    (near,) = advice.on_plan(Wish(classes=(ClassName("role::wbe"),)), EnvironmentName("production"), (), settings)
    assert near.endswith("get no catalog until a push adds it; did you mean role::web?")
    # A node that gets another environment has all of its classes looked for there.
    before, after = said("a", "production", "role::web"), said("a", "own", "role::web")
    (line,) = advice.on_plan(Wish(), None, [Effect(Certname("a"), before, after)], settings)
    assert line.startswith("class role::web: no file found for it in environment own")
    (line,) = advice.on_plan(Wish(environment=EnvironmentName("gone")), EnvironmentName("gone"), (), settings)
    assert line.startswith("environment gone: is not deployed")


def test_a_class_parameter_that_is_puppets_is_none() -> None:
    for name in ("name", "title", "facts", "module_name"):
        with pytest.raises(InvalidName, match="Puppet reserves this word"):
            ParameterName(name)


def test_environments_that_nobody_lets_us_look_at_are_none(tmp_path: Path) -> None:
    """The branch manager's are closed to most accounts; an edit there says nothing, and fails for nothing."""
    places = Environments((tmp_path / ("x" * 300),), ())  # what the system refuses to look at
    assert not places.served and places[EnvironmentName("production")] is None
