"""The terminus's semantics, rule by rule; the recordings are in test_terminus_conformance.py."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from enc.classify.classify import Classifier
from enc.classify.model import Classification
from enc.settings import config
from enc.terms.errors import ClassificationError, NotFound
from enc.terms.names import Certname
from enc.terms.record import Record
from tests.support.memory import MemorySource, record

HOSTS = "ou=hosts,dc=example,dc=org"


def node(name: str, **attributes: str | list[str]) -> Record:
    return record(f"cn={name},{HOSTS}", objectClass=["device", "puppetClient"], cn=name, **attributes)


def classify(name: str, *records: Record, events: bool = False, **nodes: object) -> Classification:
    settings = config.parse(yaml.safe_dump({"nodes": {"semantics": "terminus", **nodes}}))
    return Classifier(settings).classify(Certname(name), MemorySource(records, settings), events=events)


def test_an_attribute_beats_a_variable_of_its_name() -> None:
    # Puppet 5 answered both under one name (symbol and text); 3.x is what the contract asks for.
    said = classify("a", node("a", l="rack 1", puppetVar=["l=other", "m=1"]))
    assert (said.variables["l"], said.variables["m"]) == ("rack 1", "1")


def test_what_leaked_is_hidden_and_class_names_come_to_normal_form() -> None:
    entry = node("a", puppetClass=["Apache", "apache", "::ntp"], puppetVar="x=1", parentNode="b")
    said = classify("a", entry, node("b"))
    assert said.variables == {"cn": "a", "x": "1"}
    assert list(said.classes) == ["apache", "ntp"]
    assert len(said.notes) == 2


@pytest.mark.parametrize(
    ("variable", "rule"),
    [
        *(("facts=1", "facts"), ("trusted=1", "trusted"), ("server_facts", "server_facts"), ("name=x", "name")),
        *(("title=x", "title"), ("module_name=x", "module_name"), ("12=x", "12"), ("settings::x=y", "settings::x")),
    ],
)
def test_a_variable_that_stops_every_catalog_is_left_out_and_told(variable: str, rule: str) -> None:
    said = classify("a", node("a", puppetVar=[variable, "y=1"]))
    assert said.variables == {"cn": "a", "y": "1"}
    (note,) = said.notes
    assert f"cn=a,{HOSTS}" in note
    assert f"puppetVar: the variable {rule} is left out" in note


def test_an_attribute_that_stops_every_catalog_is_left_out_and_told() -> None:
    said = classify("a", node("a", Name="a", title=["Dr", "Prof"], l="rack 1"))
    assert said.variables == {"cn": "a", "l": "rack 1"}
    assert [note.partition(": ")[2][:39] for note in said.notes] == [
        "the attribute name is left out of the a",
        "the attribute title is left out of the ",
    ]


def test_a_variable_without_a_name_stops_its_node() -> None:
    with pytest.raises(ClassificationError, match="no name") as refusal:
        classify("a", node("a", puppetVar="=x"))
    assert f"cn=a,{HOSTS}" in str(refusal.value)


def test_one_bad_class_stops_its_node_with_the_place() -> None:
    with pytest.raises(ClassificationError, match="9lives") as refusal:
        classify("a", node("a", puppetClass=["good", "9lives\nnext"]))
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("environment", ["../x", "a-b", "", "a\n"])
def test_an_environment_that_could_be_a_path_is_refused(environment: str) -> None:
    with pytest.raises(ClassificationError, match="not an environment"):
        classify("a", node("a", environment=environment))


def test_a_listed_attribute_brings_its_forms_with_options_and_nothing_else() -> None:
    entry = node("a", l="x", description="d", environment="test", puppetVar="v=1")
    entry = Record(entry.dn, {**entry.attributes, "l;lang-en": ("y",)})
    said = classify("a", entry, attributes=["l"])
    assert said.variables == {"l": "x", "l;lang-en": "y"}
    assert said.environment == "production"


def test_nobody() -> None:
    with pytest.raises(NotFound, match=r"web1\.x"):
        classify("web1.x", node("web2"))


names = st.sampled_from(["a", "b", "c", "d"])
entries = st.builds(
    lambda name, parent, classes, variables, environment: node(
        name,
        puppetClass=classes,
        puppetVar=[f"{key}={value}" for key, value in variables.items()],
        **({"parentNode": parent} if parent and parent > name else {}),
        **({"environment": environment} if environment else {}),
    ),
    names,
    st.none() | names,
    st.lists(st.sampled_from(["x", "y", "z"]), unique=True),
    st.dictionaries(st.sampled_from(["p", "q", "r"]), st.sampled_from(["1", "false", ""])),
    st.sampled_from([None, "test", "dev"]),
)
families = st.lists(entries, unique_by=lambda entry: entry.dn).map(
    lambda found: [*found, *(node(name) for name in "abcd" if f"cn={name},{HOSTS}" not in {e.dn for e in found})]
)


@given(families)
def test_a_parent_only_fills_what_the_child_leaves_open(family: list[Record]) -> None:
    by_name = {entry.first("cn"): entry for entry in family}
    parent_name = by_name["a"].first("parentNode")
    whole = classify("a", *family)
    own = classify("a", *(e if e is not by_name["a"] else _orphan(e) for e in family))
    inherited = classify(parent_name, *family) if parent_name else None
    theirs = inherited.variables if inherited else {}
    assert whole.variables == {**theirs, **own.variables}
    assert list(whole.classes) == list(dict.fromkeys([*own.classes, *(inherited.classes if inherited else ())]))
    if by_name["a"].first("environment"):
        assert whole.environment == own.environment
    elif inherited:
        assert whole.environment == inherited.environment


def _orphan(entry: Record) -> Record:
    return Record(entry.dn, {k: v for k, v in entry.attributes.items() if k != "parentnode"})


@given(families, st.randoms(use_true_random=False))
def test_neither_order_nor_strangers_nor_asking_again_matter(family: list[Record], random: object) -> None:
    first = classify("a", *family)
    shuffled = list(family)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    stranger = node("stranger", puppetClass="s", puppetVar="p=s")
    assert classify("a", *shuffled, stranger) == first


@given(families)
def test_the_last_word_on_each_part_explains_the_answer(family: list[Record]) -> None:
    said = classify("a", *family, events=True)
    explained = {e.part: e.value for e in said.events if e.did == "set" and e.part.startswith("variable ")}
    assert explained == {f"variable {name}": value for name, value in said.variables.items()}
    assert [e.value for e in said.events if e.part == "environment"] == [said.environment]
