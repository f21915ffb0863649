"""Typed values as LDAP stores them: out of them comes what went in, and nothing that YAML would bend goes in."""

from __future__ import annotations

import pytest
from hypothesis import given

from enc.classify import values
from enc.classify.model import Value
from enc.terms.names import DataKey
from tests.support import strategies


@given(strategies.values)
def test_round_trip_in_a_form_that_the_matching_rule_leaves_alone(value: Value) -> None:
    stored = values.write(value)
    assert values.read(stored) == value
    assert type(values.read(stored)) is type(value)
    assert "  " not in stored
    assert stored == stored.strip(" ")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "not JSON"),
        ("plain", "double quotes"),
        ("{'a': 1}", "not JSON"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "not finite"),
        ("9223372036854775808", "64 bits"),
        ("1" * 5000, "too large"),
        ('{"a": 1, "a": 2}', "twice"),
        ("{1: 1, 1: 2}", "twice"),
        ("{true: 1}", "not JSON"),
        ("{null: 1}", "not JSON"),
        ("{[1]: 1}", "not JSON"),
        ("{01: 1}", "not JSON"),
        ("{1: 1", "not JSON"),
        ("{9223372036854775808: 1}", "64 bits"),
        ("{1e999: 1}", "not finite"),
        ('{"\\ud8001": 1, 2: 3}', "surrogate"),
        ('"\\ud800"', "surrogate"),
        ("[" * 40 + "]" * 40, "nested"),
        ("[" * 100_000, "nested"),
    ],
)
def test_what_puppet_would_not_get_unchanged_is_refused(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        values.read(text)


@given(strategies.data_keys)
def test_a_key_of_hiera_data_comes_back_as_it_went_in(key: DataKey) -> None:
    stored = f"{values.key_text(key)}={values.write('a=b')}"
    assert values.split(stored) == (key, '"a=b"')
    assert stored.isascii()
    assert "  " not in stored
    assert values.key_of(values.key_text(key)) == key


@pytest.mark.parametrize("text", ["", "k", "=1", " =1", '"k=1', '"k"', '"k"x=1', '"\\q"=1'])
def test_what_is_no_piece_of_data(text: str) -> None:
    with pytest.raises(ValueError, match=r"=|JSON"):
        values.split(text)


def test_numbers_as_keys_stand_without_quotes() -> None:
    value: Value = {1: {"action": "open"}, 20: [], -2.5: {"1": {3: None}}}
    assert values.write(value) == '{1:{"action":"open"},20:[],-2.5:{"1":{3:null}}}'
    assert values.read('{ 1 : {"action": "{2:3}"} }') == {1: {"action": "{2:3}"}}
    assert values.write({"1": 1}) == '{"1":1}'


@pytest.mark.parametrize("key", [True, None, (1,), b"x"])
def test_no_other_key_reaches_puppet(key: object) -> None:
    with pytest.raises(ValueError, match="neither a text nor a number"):
        values.check({key: 1})
