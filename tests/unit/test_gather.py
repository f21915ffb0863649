"""Which records bear on a node: names tried, doubled entries, loops, projects, prefixes, groups."""

from __future__ import annotations

import pytest
import yaml

from enc.classify.gather import LONGEST_CHAIN, gather
from enc.classify.model import Lineage
from enc.settings import config
from enc.terms.errors import ClassificationError, NotFound
from enc.terms.names import Certname
from enc.terms.record import Record
from tests.support.memory import MemorySource, record

S = "dc=example,dc=org"
CLIENT = ["device", "puppetClient", "puppetmasterClassification"]


def node(name: str, project: str = "alpha", **attributes: str | list[str]) -> Record:
    return record(f"cn={name},ou={project},ou=hosts,{S}", objectClass=CLIENT, cn=name, **attributes)


def group(name: str, *urls: str) -> Record:
    return record(f"cn={name},ou=groups,{S}", objectClass="groupOfURLs", cn=name, memberURL=list(urls))


def lineage(name: str, *records: Record, **nodes: str) -> Lineage:
    settings = config.parse(yaml.safe_dump({"nodes": nodes or {"default_environment": "production"}}))
    return gather(Certname(name), MemorySource(records, settings), settings)


PROJECT = record(f"cn=alpha,ou=projects,{S}", objectClass="groupOfNames", cn="alpha")


def test_extended_semantics_falls_back_to_no_other_name() -> None:
    with pytest.raises(NotFound):
        lineage("web1.example.org", node("web1"), node("default"))


def test_two_entries_for_a_name_stop_it_and_are_named() -> None:
    with pytest.raises(ClassificationError, match="2 entries") as refusal:
        lineage("a", node("a"), node("a", "beta"))
    assert "ou=alpha" in str(refusal.value)
    assert "ou=beta" in str(refusal.value)


def test_in_the_terminus_the_last_of_them_counts_with_a_note() -> None:
    found = lineage("a", node("a"), node("a", "beta"), semantics="terminus")
    assert "ou=beta" in found.node.dn
    assert "the last is used" in found.notes[0]


@pytest.mark.parametrize(
    ("parents", "line"),
    [
        ({"a": "a"}, "Found loop in LDAP node parents; a appears twice"),
        ({"a": "b", "b": "a"}, "Found loop in LDAP node parents; a appears twice"),
        ({"a": "b", "b": "c", "c": "b"}, "Found loop in LDAP node parents; b appears twice"),
        ({"a": "gone"}, "Could not find parent node 'gone'"),
        ({"a": "x)(cn=*"}, r"Could not find parent node 'x)(cn=*'"),
        ({"a": "*"}, "Could not find parent node '*'"),
    ],
)
def test_wrong_parents(parents: dict[str, str], line: str) -> None:
    entries = [node(name, **({"parentNode": parents[name]} if name in parents else {})) for name in "abc"]
    with pytest.raises(ClassificationError) as refusal:
        lineage("a", *entries)
    assert line in str(refusal.value)


def test_a_chain_of_parents_has_an_end() -> None:
    chain = [node(f"n{i}", parentNode=f"n{i + 1}") for i in range(LONGEST_CHAIN + 1)]
    last = node(f"n{LONGEST_CHAIN + 1}")
    assert len(lineage("n1", *chain, last).parents) == LONGEST_CHAIN
    with pytest.raises(ClassificationError, match="parents, one above the other"):
        lineage("n0", *chain, last)


def test_a_node_with_two_parents() -> None:
    with pytest.raises(ClassificationError, match="more than one parent: b, c"):
        lineage("a", node("a", parentNode=["b", "c"]), node("b"), node("c"))


@pytest.mark.parametrize(
    ("how", "entry"),
    [
        ("container", node("a")),
        ("container", record(f"cn=a,ou=rack1,ou=ALPHA,ou=hosts,{S}", objectClass=CLIENT, cn="a")),
        ("attribute puppetmasterProject", node("a", "x", puppetmasterProject="alpha")),
        ("variable instanceproject", node("a", "x", puppetVar=["b=c", "instanceproject=alpha"])),
    ],
)
def test_where_the_project_stands(how: str, entry: Record) -> None:
    if "ALPHA" in entry.dn:
        with pytest.raises(ClassificationError, match="not a project name"):
            lineage("a", entry, PROJECT, project=how)
        return
    found = lineage("a", entry, PROJECT, project=how)
    assert (found.project_name, found.project) == ("alpha", PROJECT)


def test_no_project_and_an_unknown_one() -> None:
    plain = record(f"cn=a,ou=hosts,{S}", objectClass=CLIENT, cn="a")
    assert lineage("a", plain, PROJECT).project_name is None
    found = lineage("a", node("a", "ghost"), PROJECT)
    assert (found.project_name, found.project) == ("ghost", None)
    assert "no project ghost" in found.notes[0]


def test_prefixes_longer_later_and_only_of_the_own_project() -> None:
    def prefix(name: str, project: str = "alpha") -> Record:
        return record(f"cn={name},cn={project},ou=projects,{S}", objectClass="puppetmasterScope", cn=name)

    found = lineage("web1", node("web1"), PROJECT, *map(prefix, ["web1", "web", "db", "web2"]), prefix("we", "beta"))
    assert [name for name, _ in found.prefixes] == ["web", "web1"]


@pytest.mark.parametrize(
    ("url", "member"),
    [
        (f"ldap:///ou=hosts,{S}??sub?(l=rack1)", True),
        (f"ldap:///ou=hosts,{S}??sub?(l=rack2)", False),
        (f"ldap:///OU=Hosts,%20{S}??sub?(&(cn=a*)(objectClass=device))", True),
        (f"ldap:///ou=beta,ou=hosts,{S}??sub?(l=rack1)", False),
        (f"ldap:///ou=hosts,{S}??one?(l=rack1)", False),
        (f"ldap:///ou=alpha,ou=hosts,{S}??one?(l=rack1)", True),
        (f"ldap:///cn=a1,ou=alpha,ou=hosts,{S}??base?", True),
        (f"ldap:///ou=hosts,{S}??sub", True),
        (f"ldap://elsewhere/ou=hosts,{S}??sub?(l=rack1)", False),
        (f"ldap:///ou=hosts,{S}??sub?(l=", False),
        (f"ldap:///ou=hosts,{S}??sub?(l:dn:=x)", False),
    ],
)
def test_groups_by_url_and_a_bad_url_has_no_members(url: str, member: bool) -> None:
    found = lineage("a1", node("a1", l="rack1"), group("zone", url), group("all", f"ldap:///{S}??sub?"))
    assert [name for name, _ in found.groups] == (["all", "zone"] if member else ["all"])


def test_a_prefix_among_the_nodes_takes_no_name_from_them() -> None:
    moved = record(f"cn=web,ou=beta,ou=hosts,{S}", objectClass=["puppetmasterScope", "puppetClient"], cn=["web", "a"])
    for order in ((moved, node("a")), (node("a"), moved)):
        assert "ou=alpha" in lineage("a", *order).node.dn
