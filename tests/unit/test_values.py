"""Typed values as LDAP stores them: out of them comes what went in, and nothing that YAML would bend goes in."""

from __future__ import annotations

import pytest
from hypothesis import given

from enc.classify import values
from enc.classify.model import Value
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
        ("1" * 5000, "does not fit"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"<<": {}}', "<<"),
        ('"\\u0000"', "NUL"),
        ('"\\ud800"', "surrogate"),
        ("[" * 40 + "]" * 40, "nested"),
        ("[" * 100_000, "nested"),
        ('{"' + "k" * 161 + '": 1}', "160"),
    ],
)
def test_what_puppet_would_not_get_unchanged_is_refused(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        values.read(text)
