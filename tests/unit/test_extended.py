"""The layers of the extended semantics: nearer wins, removals reach what was inherited, projects keep their code."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from enc.classify import values
from enc.classify.classify import Classifier
from enc.classify.model import Classification
from enc.settings import config
from enc.terms.errors import ClassificationError
from enc.terms.names import Certname
from enc.terms.record import Record
from tests.support.memory import MemorySource, record

S = "dc=example,dc=org"
PLACES = {
    "site": (f"cn=site,{S}", ["puppetmasterScope"]),
    "project": (f"cn=alpha,ou=projects,{S}", ["groupOfNames"]),
    "group": (f"cn=g,ou=groups,{S}", ["groupOfURLs"]),
    "prefix": (f"cn=web,cn=alpha,ou=projects,{S}", ["puppetmasterScope"]),
    "longer": (f"cn=web1,cn=alpha,ou=projects,{S}", ["puppetmasterScope"]),
    "parent": (f"cn=base,ou=alpha,ou=hosts,{S}", ["device", "puppetClient"]),
    "node": (f"cn=web1,ou=alpha,ou=hosts,{S}", ["device", "puppetClient"]),
}
LAYERS = list(PLACES)
"""Farthest first."""


def layers(**said: dict[str, Any]) -> list[Record]:
    """Return the seven records; `said` is what each of them says, in LDAP's words."""
    records = []
    for layer, (place, classes) in PLACES.items():
        attributes = {"cn": place.split(",")[0][3:], "objectClass": classes, **said.get(layer, {})}
        if layer == "group":
            attributes["memberURL"] = f"ldap:///ou=hosts,{S}??sub?(cn=web1)"
        if layer == "node":
            attributes["parentNode"] = "base"
        records.append(record(place, **attributes))
    return records


def classify(*records: Record, events: bool = False, **sections: dict[str, Any]) -> Classification:
    settings = config.parse(yaml.safe_dump(sections))
    return Classifier(settings).classify(Certname("web1"), MemorySource(records, settings), events=events)


def said(layer: str, attribute: str, *texts: str) -> dict[str, dict[str, Any]]:
    return {layer: {attribute: list(texts)}}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_gives_classes_parameters_variables_and_an_environment(layer: str) -> None:
    answer = classify(
        *layers(
            **{
                layer: {
                    "puppetClass": "Apache",
                    "puppetmasterParameter": 'apache::ports=[80,{"tls":true}]',
                    "puppetmasterVariable": 'limits={"cpu":1.5}',
                    "puppetVar": ["realm=eqiad", "on=true", "nothing"],
                    "environment": "dev",
                }
            }
        )
    )
    assert answer.classes == {"apache": {"ports": [80, {"tls": True}]}}
    wanted = {"limits": {"cpu": 1.5}, "realm": "eqiad", "on": True, "nothing": None}
    assert wanted.items() <= answer.variables.items()
    assert answer.environment == "dev"
    assert answer.project == "alpha"
    assert answer.prefixes == ("web", "web1")


@pytest.mark.parametrize("nearer", range(1, len(LAYERS)))
def test_the_nearer_layer_wins_over_the_next(nearer: int) -> None:
    far, near = LAYERS[nearer - 1], LAYERS[nearer]
    answer = classify(
        *layers(
            **{
                far: {
                    "puppetClass": "c",
                    "puppetVar": "v=far",
                    "environment": "far",
                    "puppetmasterParameter": ["c::p=1", "c::q=1"],
                },
                near: {"puppetVar": "v=near", "environment": "near", "puppetmasterParameter": "c::p=2"},
            }
        )
    )
    assert answer.variables["v"] == "near"
    assert answer.classes == {"c": {"p": 2, "q": 1}}
    assert answer.environment == ("far" if near == "group" else "near")


def test_a_group_may_not_choose_the_environment_of_a_project_that_has_one() -> None:
    group = said("group", "environment", "theirs")
    assert classify(*layers(**group)).environment == "theirs"
    answer = classify(*layers(**group), projects={"environment": "%s_code"})
    assert answer.environment == "alpha_code"
    assert any("does not override" in note for note in answer.notes)


@pytest.mark.parametrize("remover", range(1, len(LAYERS)))
def test_a_removal_takes_what_was_inherited_and_no_more(remover: int) -> None:
    inherited = {
        "puppetClass": ["gone", "kept"],
        "puppetVar": ["gone=1", "kept=1"],
        "puppetmasterParameter": ["kept::p=1", "kept::q=1", "gone::p=1"],
    }
    removal = ["class gone", "variable gone", "parameter kept::p"]
    answer = classify(*layers(**{LAYERS[remover - 1]: inherited, LAYERS[remover]: {"puppetmasterRemove": removal}}))
    assert answer.classes == {"kept": {"q": 1}}
    assert "gone" not in answer.variables
    assert answer.variables["kept"] == "1"


@pytest.mark.parametrize("remover", range(len(LAYERS) - 1))
def test_what_a_layer_says_itself_or_a_nearer_one_brings_back_stays(remover: int) -> None:
    removal = {"puppetmasterRemove": ["class c", "variable v"], "puppetClass": "c"}
    answer = classify(*layers(**{LAYERS[remover]: removal, LAYERS[remover + 1]: {"puppetVar": "v=1"}}))
    assert list(answer.classes) == ["c"]
    assert answer.variables["v"] == "1"


def test_a_parameter_of_a_class_that_nobody_assigns_is_noted() -> None:
    answer = classify(*layers(**said("project", "puppetmasterParameter", "c::p=1")))
    assert answer.classes == {}
    assert any("c::p" in note for note in answer.notes)


def test_attributes_of_node_and_parent_are_variables_those_of_the_others_are_not() -> None:
    answer = classify(
        *layers(site={"description": "s"}, project={"member": "m"}, parent={"l": "here"}, node={"serialNumber": "7"})
    )
    assert answer.variables == {"cn": "web1", "l": "here", "serialnumber": "7"}


def test_data_region_and_role() -> None:
    answer = classify(
        *layers(
            site={"puppetmasterRegion": "eqiad", "puppetmasterRole": "any"},
            project={"puppetmasterData": "k=1"},
            node={"puppetmasterRole": "web", "puppetmasterData": 'ntp::servers=["a"]'},
        )
    )
    assert (answer.region, answer.role, answer.data) == ("eqiad", "web", {"ntp::servers": ["a"]})


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("attribute", "value", "rule"),
    [
        ("puppetClass", "a b", "not a class name"),
        ("puppetVar", "=x", "not a variable name"),
        ("puppetClass", "default", "Puppet reserves this word"),
        ("puppetmasterParameter", "c::name=1", "Puppet reserves this word"),
        ("puppetmasterParameter", 'c::noop="x"', "metaparameter of Puppet, which takes true or false"),
        ("puppetmasterParameter", 'c::require="apache"', "references such as Class"),
        ("puppetmasterData", "lookup_options=[]", "must map keys"),
        ("puppetmasterVariable", "v", "no '='"),
        ("puppetmasterVariable", "v=plain", "not JSON"),
        ("puppetmasterParameter", "p=1", "CLASS::PARAMETER"),
        ("puppetmasterParameter", "c::P=1", "not a class parameter"),
        ("puppetmasterData", '"x=1', "double quote"),
        ("puppetmasterRemove", "everything", "write class NAME"),
        ("environment", "../x", "not an environment"),
        ("puppetmasterRole", "../projects/b", "not a role or region"),
        ("puppetmasterRole", ".", "not a role or region"),
        ("puppetmasterRole", "a b", "not a role or region"),
        ("puppetmasterRegion", "a/b", "not a role or region"),
        ("puppetmasterRegion", "\u0661", "not a role or region"),
    ],
)
def test_a_bad_value_is_named_with_its_place(layer: str, attribute: str, value: str, rule: str) -> None:
    with pytest.raises(ClassificationError, match=rule) as refusal:
        classify(*layers(**said(layer, attribute, value)))
    assert PLACES[layer][0] in str(refusal.value)
    assert attribute in str(refusal.value)


statements = st.fixed_dictionaries(
    {
        "puppetClass": st.lists(st.sampled_from("abc"), unique=True),
        "puppetVar": st.lists(st.sampled_from("vw"), unique=True).map(lambda names: [f"{name}=said" for name in names]),
        "puppetmasterParameter": st.dictionaries(st.sampled_from(["a::p", "b::p"]), st.integers(0, 3)).map(
            lambda found: [f"{path}={values.write(value)}" for path, value in found.items()]
        ),
        "puppetmasterRemove": st.lists(
            st.sampled_from(["class a", "class b", "variable v", "parameter a::p"]), unique=True
        ),
    }
)
sites = st.fixed_dictionaries(dict.fromkeys(LAYERS, statements))


@given(sites, st.randoms(use_true_random=False))
def test_the_order_of_records_and_values_does_not_matter(site: dict[str, Any], random: Any) -> None:
    first = classify(*layers(**site))
    for statement in site.values():
        for texts in statement.values():
            random.shuffle(texts)
    records = layers(**site)
    random.shuffle(records)
    again = classify(*records)
    assert {k: dict(v) for k, v in again.classes.items()} == {k: dict(v) for k, v in first.classes.items()}
    assert (again.variables, again.environment) == (first.variables, first.environment)


@given(sites)
def test_the_node_has_the_last_word(site: dict[str, Any]) -> None:
    answer = classify(*layers(**site))
    own = site["node"]
    assert set(own["puppetClass"]) <= set(answer.classes)
    assert {text.partition("=")[0] for text in own["puppetVar"]} <= set(answer.variables)
    for removal in own["puppetmasterRemove"]:
        kind, name = removal.split()
        if kind == "class" and name not in own["puppetClass"]:
            assert name not in answer.classes
        if kind == "variable" and f"{name}=said" not in own["puppetVar"]:
            assert name not in answer.variables


@given(sites)
def test_explain_tells_where_each_part_comes_from(site: dict[str, Any]) -> None:
    answer = classify(*layers(**site), events=True)
    assert classify(*layers(**site)).classes == answer.classes
    last = {event.part: event for event in answer.events}
    shown = {f"class {name}" for name in answer.classes} | {f"variable {name}" for name in answer.variables}
    assert {part for part in shown if last[part].did == "removed"} == set()
    for part, event in last.items():
        kind, name = part.split(" ", 1) if " " in part else (part, "")
        if kind in ("class", "variable") and event.did == "removed":
            assert name not in (answer.classes if kind == "class" else answer.variables)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        *(("puppetVar", "name=x"), ("puppetVar", "trusted=x"), ("puppetVar", "12=x")),
        *(("puppetmasterVariable", 'title={"a":1}'), ("puppetmasterVariable", "facts=null")),
    ],
)
def test_a_variable_that_stops_every_catalog_is_left_out_and_told(layer: str, attribute: str, text: str) -> None:
    answer = classify(*layers(**{layer: {attribute: text, "puppetClass": "role::web"}}))
    name = text.partition("=")[0]
    assert name not in answer.variables
    assert list(answer.classes) == ["role::web"], "the rest of the entry counts"
    assert [note for note in answer.notes if f"{attribute}: the variable {name} is left out" in note] != []


@pytest.mark.parametrize("layer", ["node", "parent"])
def test_an_attribute_that_stops_every_catalog_is_left_out_and_told(layer: str) -> None:
    answer = classify(*layers(**{layer: {"name": "web1", "title": "Dr", "l": "rack 1"}}))
    assert answer.variables.keys() == {"cn", "l"}
    assert sum("is left out" in note for note in answer.notes) == 2
