"""Answers and hiera data as YAML text: read back with PyYAML (Ruby: tests/real/test_yaml_in_ruby.py)."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from enc.answers.reader import Unreadable, classes_in, classes_of
from enc.classify.model import Classification, Value
from enc.classify.render import render_answer, render_data, text
from enc.terms.names import Certname, EnvironmentName, PrefixName, ProjectName
from tests.support import strategies

classifications = st.builds(
    Classification,
    certname=st.just(Certname("web1.example.org")),
    environment=strategies.environments,
    classes=st.dictionaries(strategies.class_names, st.dictionaries(strategies.parameter_names, strategies.values)),
    variables=st.dictionaries(strategies.texts | strategies.awkward, strategies.values),
    project=st.none() | st.just(ProjectName("alpha")),
    said=st.dictionaries(st.sampled_from(["region", "role"]), strategies.texts | strategies.awkward),
    prefixes=st.just((PrefixName("web"), PrefixName("web1"))),
    version=strategies.texts,
)


@given(classifications)
def test_an_answer_loads_as_what_went_in(said: Classification) -> None:
    loaded = yaml.safe_load(render_answer(said, None, "copy"))
    assert loaded == {"environment": said.environment, "classes": said.classes, "parameters": said.variables}


@given(classifications, st.sampled_from([None, "answer"]))
def test_its_classes_are_read_as_they_went_in(said: Classification, variable: str | None) -> None:
    found = classes_of(classes_in(render_answer(said, variable, "copy")))
    # A text of YAML that no UTF-8 can hold is not to be compared; repr tells 1 from True and from 1.0.
    assert found == said.classes and repr(found) == repr({**said.classes})


NO_CLASSES = ['  "a": {', '  "a": 1', "  - a", "  a: {<<: [1]}", "\x00", '  "a": [1]', "  ? [a]\n  : {}"]


@pytest.mark.parametrize("lines", NO_CLASSES)
def test_classes_that_are_none_are_an_expected_error(lines: str) -> None:
    with pytest.raises(Unreadable):
        classes_of(lines)


@given(classifications, st.integers(0, 10**9))
def test_an_answer_that_was_completed_with_its_age(said: Classification, age: int) -> None:
    rendered = render_answer(said, "answer", "copy")
    assert rendered.endswith('\n    "age":')
    loaded = yaml.safe_load(f"{rendered} {age}\n")
    assert loaded["parameters"].pop("answer") == {"source": "copy", "version": said.version, "age": age}
    assert loaded["parameters"] == {name: value for name, value in said.variables.items() if name != "answer"}


@given(classifications)
def test_the_first_line_is_the_trusted_data_and_everything_is_printable_ascii(said: Classification) -> None:
    rendered = render_answer(said, None, "copy")
    first = rendered.splitlines()[0]
    assert json.loads(first.removeprefix("# ")) == {
        "project": said.project,
        "region": said.region,
        "role": said.role,
        "prefixes": ["web1", "web"],
    }
    assert set(rendered) <= set(map(chr, range(32, 127))) | {"\n"}


@given(st.dictionaries(strategies.data_keys, strategies.values))
def test_hiera_data_loads_as_what_went_in(data: dict[str, Value]) -> None:
    assert yaml.safe_load(render_data(data)) == data


def test_a_name_longer_than_a_simple_key_still_is_one() -> None:
    said = Classification(Certname("a"), EnvironmentName("test"), {}, {"k" * 5000: 1})
    assert yaml.safe_load(render_answer(said, None, "copy"))["parameters"] == {"k" * 5000: 1}


@pytest.mark.parametrize("value", strategies.LOOKS_LIKE_SOMETHING)
def test_no_text_is_taken_for_something_else(value: str) -> None:
    assert yaml.safe_load(text(value)) == value
