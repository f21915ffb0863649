"""What an admin wants becomes precise changes, and can be taken back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.classify import statements, texts
from enc.classify.kinds import CLASSES, PARAMETERS, TYPED_VARIABLES
from enc.edits.change import Change, Step, apply, modifying
from enc.edits.reversal import reverse, state
from enc.edits.wanted import to_set, to_unset
from enc.edits.wish import Wish, Withdrawal
from enc.settings import NodeSettings
from enc.terms.errors import Conflict, UsageError
from enc.terms.names import ClassName, DataKey, EnvironmentName, ParameterName, VariableName
from enc.terms.record import Record
from tests.support.memory import record

SETTINGS = NodeSettings()
PLACE = "cn=web1,ou=red,ou=hosts,dc=example,dc=org"
KINDS = ("device", "puppetClient", "puppetmasterClassification")
A = VariableName("a")


def entry(**more: str | tuple[str, ...]) -> Record:
    return apply(record(PLACE, objectClass=KINDS), to_have(more))


def to_have(more: Mapping[str, str | tuple[str, ...]]) -> list[Change]:
    return [Change(name, (), (held,) if isinstance(held, str) else held) for name, held in more.items()]


def test_only_the_named_variable_is_touched_and_values_keep_their_equal_signs() -> None:
    changes = to_set(entry(puppetVar=("a=1", "ab=2", "b=x")), Wish(variables={A: "k=v=w"}), SETTINGS)
    assert changes == (Change("puppetVar", ("a=1",), ("a=k=v=w",)),)


@pytest.mark.parametrize(
    "present, wish",
    [
        ({"puppetVar": "a="}, Wish(variables={A: ""})),
        ({"puppetmasterVariable": "a=0"}, Wish(typed_variables={A: 0})),
        ({"puppetmasterVariable": 'a= {"k" : [false,null] }'}, Wish(typed_variables={A: {"k": [False, None]}})),
        ({"puppetClass": "::Apache"}, Wish(classes=(ClassName("apache"),))),
        ({"environment": "red"}, Wish(environment=EnvironmentName("red"))),
    ],
)
def test_what_is_so_already_is_no_change(present: dict[str, str], wish: Wish) -> None:
    assert to_set(entry(**present), wish, SETTINGS) == ()


@pytest.mark.parametrize("old, new", [(1, True), (0, False), (1, 1.0), (None, ""), ([], {})])
def test_a_value_of_another_type_is_a_change(old: object, new: object) -> None:
    before = apply(entry(), to_set(entry(), Wish(typed_variables={A: old}), SETTINGS))  # type: ignore[dict-item]
    assert to_set(before, Wish(typed_variables={A: new}), SETTINGS)  # type: ignore[dict-item]


def test_a_plain_variable_takes_the_place_of_a_typed_one_and_back() -> None:
    typed = entry(puppetmasterVariable="a=[1]")
    plain = apply(typed, to_set(typed, Wish(variables={A: "x"}), SETTINGS))
    assert statements.read(plain, SETTINGS).variables == {"a": "x"}
    assert "puppetmastervariable" not in plain.attributes
    again = apply(plain, to_set(plain, Wish(typed_variables={A: [1]}), SETTINGS))
    assert "puppetvar" not in again.attributes


def test_object_classes_come_with_what_needs_them() -> None:
    bare = record(PLACE, objectClass="device")
    changes = to_set(bare, Wish(classes=(ClassName("x"),), region="eu"), SETTINGS)
    assert changes[-1] == Change("objectClass", (), ("puppetClient", "puppetmasterClassification"))


@pytest.mark.parametrize(
    "present, wish, hint",
    [
        ({}, Wish(variables={A: "ü"}), "--json-variable"),
        ({}, Wish(variables={A: "two\nlines"}), "--json-variable"),
        ({"puppetVar": "A=x"}, Wish(variables={A: "X"}), "upper and lower case"),
        ({}, Wish(typed_variables={A: "\ud800"}), "surrogate"),
        ({}, Wish(variables={A: "x"}, typed_variables={A: "x"}), "twice"),
        ({}, Wish(without=("class Not A Class",)), "not a class name"),
    ],
)
def test_refused(present: dict[str, str], wish: Wish, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        to_set(entry(**present), wish, SETTINGS)


def test_terminus_semantics_know_no_extension() -> None:
    with pytest.raises(UsageError, match="terminus"):
        to_set(entry(), Wish(data={DataKey("k"): 1}), NodeSettings(semantics="terminus"))


def test_unset_takes_names_and_exact_values_also_bad_ones() -> None:
    present = entry(
        puppetVar=("a=1", "b=2", "9bad name=x"), puppetClass=("Apache", "ntp"), puppetmasterRemove="class base"
    )
    unwanted = Withdrawal(classes=("apache",), variables=("a", "b=3", "9bad name"), without=("class base",))
    left = apply(present, to_unset(present, unwanted, SETTINGS))
    assert left.all("puppetVar") == ("b=2",)
    assert left.all("puppetClass") == ("ntp",)
    assert not left.all("puppetmasterRemove")
    assert to_unset(left, unwanted, SETTINGS) == ()


def test_two_removals_of_variables_that_differ_in_capitals_are_two() -> None:
    present = entry(puppetmasterRemove=("variable a", "variable A", "class base"))
    left = apply(present, to_unset(present, Withdrawal(without=("variable a", "class Base")), SETTINGS))
    assert left.all("puppetmasterRemove") == ("variable A",)


def test_reverse_is_refused_once_the_same_part_was_changed_and_only_then() -> None:
    first = entry(puppetVar=("a=1", "b=1"))
    step = modifying(first, to_set(first, Wish(variables={A: "2"}), SETTINGS))
    second = apply(first, step.changes)
    elsewhere = apply(second, [Change("puppetVar", ("b=1",), ("b=9",))])
    back = reverse(step, elsewhere, SETTINGS)
    assert back is not None
    assert set(apply(elsewhere, back.changes).all("puppetVar")) == {"a=1", "b=9"}
    again = apply(second, [Change("puppetVar", ("a=2",), ("a=3",))])
    with pytest.raises(Conflict):
        reverse(step, again, SETTINGS)


def test_reverse_of_an_unset_is_refused_if_the_name_has_a_value_again() -> None:
    first = entry(puppetVar="a=1")
    step = modifying(first, to_unset(first, Withdrawal(variables=("a",)), SETTINGS))
    with pytest.raises(Conflict):
        reverse(step, entry(puppetVar="a=2"), SETTINGS)


def test_no_value_breaks_a_line_of_the_diff() -> None:
    step = Step("modify", PLACE, (Change("puppetVar", (), ("a=x\n- forged",)),))
    assert [line for text in step.lines() for line in text.splitlines()] == step.lines()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc ", max_size=4), inner, max_size=3),
    max_leaves=6,
)
words = st.sampled_from(["a", "b", "c", "tier"]).map(VariableName)
plain_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
wishes = st.builds(
    Wish,
    classes=st.lists(st.sampled_from(["x", "y::z"]).map(ClassName), unique=True, max_size=2).map(tuple),
    typed_variables=st.dictionaries(words, json_values, max_size=3),
    parameters=st.dictionaries(st.just((ClassName("x"), ParameterName("p"))), json_values),
    data=st.dictionaries(st.just(DataKey("k::l")), json_values),
    environment=st.none() | st.just(EnvironmentName("e")),
    region=st.none() | st.just("eu"),
)


@given(first=wishes, second=wishes)
def test_a_wish_holds_is_idempotent_and_can_be_taken_back(first: Wish, second: Wish) -> None:
    start = apply(entry(), to_set(entry(), first, SETTINGS))
    step = modifying(start, to_set(start, second, SETTINGS))
    end = apply(start, step.changes)
    said = statements.read(end, SETTINGS)
    assert {name: said.variables[name] for name in second[TYPED_VARIABLES]} == second[TYPED_VARIABLES]
    assert set(second[CLASSES]) <= set(said.classes)
    assert all(said.parameters[c][p] == value for (c, p), value in second[PARAMETERS].items())
    assert to_set(end, second, SETTINGS) == ()
    assert state(step, end, SETTINGS) == "made"
    back = reverse(step, end, SETTINGS) if step.changes else None
    if back is not None:
        restored = apply(end, back.changes)
        assert {k: set(v) for k, v in restored.attributes.items()} == {k: set(v) for k, v in start.attributes.items()}


@given(values=st.dictionaries(words, plain_text, max_size=4))
def test_plain_variables_arrive_as_they_were_given(values: dict[VariableName, str]) -> None:
    end = apply(entry(), to_set(entry(), Wish(variables=values), SETTINGS))
    assert statements.read(end, SETTINGS).variables == {k: texts.scalar(v) for k, v in values.items()}
