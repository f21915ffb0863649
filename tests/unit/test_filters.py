"""LDAP filters: no name gets out of its place, and both directions of the node filter agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.terms.errors import ConfigurationError
from enc.terms.filters import Filter, NodeFilter, escape, folded, parse
from tests.support.memory import record
from tests.support.strategies import texts

DEFAULT = "(&(objectClass=puppetClient)(cn=%s))"
WIKIMEDIA = "(&(objectclass=puppetClient)(associatedDomain=%s))"
PLACES = (DEFAULT, WIKIMEDIA, "cn=%s", "(|(cn=%s)(associatedDomain=%s.example))", "(puppetVar=hostname=%s)")


@given(texts)
def test_an_escaped_value_is_plain_ascii_and_reads_back(value: str) -> None:
    escaped = escape(value)
    assert escaped.isascii()
    assert not set(escaped) & set("()*\0\n")
    assert parse(f"(cn={escaped})") == Filter("equal", "cn", (folded(value),))


@given(st.sampled_from(PLACES), texts)
def test_a_name_never_changes_the_form_of_the_node_filter(template: str, name: str) -> None:
    built = parse(NodeFilter(template).for_name(name))
    assert [leaf.kind for leaf in built.leaves()] == [leaf.kind for leaf in parse(template.replace("%s", "x")).leaves()]


names = st.text(st.sampled_from("aB.()*\\é "), min_size=1, max_size=6)


@given(st.sampled_from(PLACES), st.lists(names, max_size=3), st.lists(names, max_size=2), names)
def test_the_reverse_agrees_with_the_filter(template: str, cns: list[str], domains: list[str], asked: str) -> None:
    entry = record(
        "cn=x,dc=x",
        objectClass=["device", "puppetClient"],
        cn=cns,
        associatedDomain=[*domains, *(f"{name}.example" for name in cns)],
        puppetVar=[f"hostname={name}" for name in domains],
    )
    node_filter = NodeFilter(template)
    answering = node_filter.names(entry)
    for name in (asked, *cns, *domains):
        if name.strip(" ") == name:
            assert (folded(name) in answering) == parse(node_filter.for_name(name)).matches(entry)
    if answering:
        assert parse(node_filter.for_all()).matches(entry)


def test_an_entry_outside_the_filter_answers_to_no_name() -> None:
    assert NodeFilter(DEFAULT).names(record("cn=x,dc=x", objectClass="device", cn="x")) == ()


def test_all_nodes_are_asked_for_by_presence() -> None:
    # A substring of an attribute without a substring rule finds nothing in a server.
    assert NodeFilter("(&(objectClass=a)(puppetVar=host=%s))").for_all() == "(&(objectClass=a)(puppetVar=*))"


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("(cn=x)", "%s"),
        ("(cn=%s*)", "ATTRIBUTE=VALUE"),
        ("(cn=%s%s)", "once"),
        ("(%s=x)", "ATTRIBUTE=VALUE"),
        ("(cn>=%s)", "ATTRIBUTE=VALUE"),
        ("(&(cn=%s)(!(cn=%s)))", "inside a '!'"),
        ("(cn=%s", r"'\)' is missing"),
        ("(cn=%s))", "unexpected text after"),
        ("(cn:dn:=%s)", "not supported"),
        (r"(cn=\zz%s)", "hex"),
        ("(!(a=1)(b=%s))", "exactly one"),
        ("(&" * 40 + "(cn=%s)" + ")" * 40, "levels"),
    ],
)
def test_bad_templates_are_refused_with_the_rule(template: str, rule: str) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        NodeFilter(template)


WEB = record("cn=web1,dc=x", cn="web1", l=["Rack One", "b"], serialNumber="9", objectClass=["device", "top"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(cn=WEB1)", True),
        ("(cn=web)", False),
        ("cn=web1", True),
        ("(cn=w*1)", True),
        ("(cn=*eb*)", True),
        ("(cn=web1*1)", False),
        ("(l=rack  one)", True),
        ("(l=*)", True),
        ("(description=*)", False),
        ("(&)", True),
        ("(|)", False),
        ("(!(cn=web1))", False),
        ("(&(cn=web1)(|(l=x)(l=b)))", True),
        ("(serialNumber>=10)", False),
        ("(serialNumber<=10)", True),
        (r"(cn=\77eb1)", True),
    ],
)
def test_matching(text: str, found: bool) -> None:
    assert parse(text).matches(WEB) is found
