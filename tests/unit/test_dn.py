"""Distinguished names: built so that no value escapes its place, compared as directories compare."""

from __future__ import annotations

import pytest
from hypothesis import given

from enc.terms import dn
from enc.terms.errors import InvalidName
from tests.support.strategies import texts

BASE = "ou=hosts,dc=example,dc=org"


@given(texts.filter(bool))
def test_a_built_name_gives_its_value_back_and_stays_below_its_base(value: str) -> None:
    built = dn.build("cn", value, BASE)
    assert dn.rdn(built) == ("cn", value)
    assert dn.parent(built) == BASE
    assert len(dn.split(built)) == 4
    assert dn.is_below(built, BASE)
    assert dn.child_towards(built, BASE) == ("cn", value)


@given(texts.filter(bool), texts.filter(bool))
def test_normal_form_is_stable_and_ignores_case_and_spaces(value: str, other: str) -> None:
    built = dn.build("cn", value, BASE)
    normal = dn.normalise(built)
    assert dn.normalise(normal) == normal
    assert dn.normalise("CN = " + built[3:].replace(",dc=", " , DC=")) == normal
    if " ".join(other.lower().split()) != " ".join(value.lower().split()):
        assert dn.build("cn", other, BASE) != built


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cn=A,dc=x", "CN=a, DC=X", True),
        ("cn=a  b,dc=x", "cn=a b,dc=x", True),
        (r"cn=a\2cb,dc=x", r"cn=a\,b,dc=x", True),
        (r"cn=\c3\a9,dc=x", "cn=é,dc=x", True),
        (r"cn=a\,dc=x", "cn=a,dc=x", False),
        ("cn=a;dc=x", "cn=a,dc=x", True),
        (r"cn=\20a,dc=x", "cn=a,dc=x", True),
        ("cn=a,dc=x", "cn=a,dc=xx", False),
    ],
)
def test_comparison(one: str, other: str, same: bool) -> None:
    assert (dn.normalise(one) == dn.normalise(other)) is same


@pytest.mark.parametrize(
    ("place", "base", "below"),
    [
        ("cn=a,dc=x", "dc=x", True),
        ("cn=a,dc=x", "DC=X", True),
        ("dc=x", "dc=x", False),
        ("cn=a,dc=xx", "dc=x", False),
        (r"cn=a\,dc=x", "dc=x", False),
        ("dc=x", "", True),
    ],
)
def test_below(place: str, base: str, below: bool) -> None:
    assert dn.is_below(place, base) is below


def test_the_step_towards_a_deep_entry() -> None:
    assert dn.child_towards(f"cn=web1,ou=x,ou=alpha,{BASE}", BASE) == ("ou", "alpha")
    assert dn.child_towards(BASE, BASE) is None


@pytest.mark.parametrize("text", ["x", "cn=a,,dc=x", "cn=a,dc"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        dn.normalise(text)
