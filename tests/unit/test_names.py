"""The names: what each takes, what each refuses, and what a value of the type proves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.terms.errors import InvalidName
from enc.terms.names import (
    Certname,
    ClassName,
    DataKey,
    EnvironmentName,
    Label,
    ParameterName,
    PersonName,
    PrefixName,
    ProjectName,
    VariableName,
)

KINDS = (
    *(Certname, ClassName, EnvironmentName, Label, ParameterName),
    *(PersonName, PrefixName, ProjectName, VariableName),
)
HOSTILE = (
    *("", " ", ".", "..", "../x", "a/b", "a/../b", "/etc/passwd", "a\n", "a\nb", "a\0", "a b", " a", "a ", "*", "a*"),
    *("a)(cn=*", "a\\2a", "é", "a" * 300, "-a", "a\u0660", "\u212a", "a\r", "a;b", "$(id)", "`id`", "a'b", 'a"b', "%s"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_takes_what_could_mean_something_elsewhere(kind: type[Certname], text: str) -> None:
    assert not kind.accepts(text)
    with pytest.raises(InvalidName) as refusal:
        kind(text)
    line = str(refusal.value)
    assert kind.rule in line
    assert line.isprintable()
    assert len(line) < 400


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Certname, ["a", "0", "web1.example.org", "a-b_c.d", "a.", "a" * 250], ["A", "a..b", "a.b..", "_a", ".a"]),
        (PrefixName, ["web-", "web1."], ["Web", "_"]),
        (ProjectName, ["alpha", "a-b_c", "a" * 63], ["0a", "a" * 64, "a.b", "Alpha"]),
        (EnvironmentName, ["production", "A_1", "0"], ["a-b", "a.b"]),
        (Label, ["a", "A", "0", "role::web", "a.b-c_1", "a:", "x" * 100], [".a", "a.", "a..b", "-a", ":a", "x" * 101]),
        (ClassName, ["a", "role::web", "a::b::c_1"], ["::a", "a::", "A", "a:b", "a:::b", "a::1", "1a", "a-b"]),
        (VariableName, ["a", "A", "_a", "a::B"], ["1a", "a-b", "::a", "a::", "a.b"]),
        (ParameterName, ["a", "a_1"], ["A", "a::b", "_a"]),
        (DataKey, ["a", "a::b", "role::x:mode", "", "a.b", "c d", "1", "x=y", "a\nb", "k" * 10_000], ["k" * 10_001]),
        (DataKey, ["\0", "👍"], ["\ud800", "a\udfff"]),
        (PersonName, ["anna", "A.b-c_1", "0"], [".a", "a@b"]),
    ],
)
def test_rules(kind: type[Certname], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not kind.accepts(text) or kind(text) != text] == []
    assert [text for text in bad if kind.accepts(text)] == []


@pytest.mark.parametrize(
    ("certname", "short"),
    [("web1.example.org", "web1"), ("web1", "web1"), ("web1.", "web1."), ("a.b.", "a")],
)
def test_short_form_is_what_the_terminus_made_of_it(certname: str, short: str) -> None:
    assert Certname(certname).short == short


@pytest.mark.parametrize("text", ["Apache", "::apache", " apache ", "::Apache"])
def test_class_names_of_old_directories_come_to_normal_form(text: str) -> None:
    assert ClassName.from_directory(text) == "apache"


@given(st.sampled_from(KINDS), st.text())
def test_constructor_and_question_agree(kind: type[Certname], text: str) -> None:
    try:
        accepted = kind(text) == text
    except InvalidName:
        accepted = False
    assert accepted == kind.accepts(text)


@given(st.from_regex(Certname.pattern, fullmatch=True))
def test_a_certname_is_one_plain_step_of_a_path(text: str) -> None:
    if Certname.accepts(text):
        assert "/" not in text
        assert text not in (".", "..")
        assert len(f"{text}.yaml".encode()) <= 255
