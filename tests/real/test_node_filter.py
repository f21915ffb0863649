"""The node filter against a real server: what finds a name, and what the follower thinks finds it, agree."""

from __future__ import annotations

import pytest

from enc.directory.ldap_store import LdapSource
from enc.settings.config import parse
from enc.terms.filters import NodeFilter, folded
from tests.real.conftest import SlapdMaker
from tests.support.slapd import Slapd

S = "ou=hosts,dc=example,dc=org"
ENTRIES = [
    {"cn": ["web1", "alias"], "puppetVar": ["hostname=web1", "x=1"]},
    {"cn": ["Web2.Example.org"], "puppetVar": ["hostname=WEB2"]},
    {"cn": ["a b"], "associatedDomain": ["a.example", "b.example"]},
    {"cn": ["star*"], "puppetVar": ["hostname=*"]},
    {"cn": ["par(en)"]},
    {"cn": ["back\\slash"]},
    {"cn": ["naïve"], "l": ["web1"]},
    {"cn": ["other"], "objectClass": ["device", "domainRelatedObject"], "associatedDomain": ["web1"]},
]
TEMPLATES = (
    "(&(objectClass=puppetClient)(cn=%s))",
    "(&(objectclass=puppetClient)(associatedDomain=%s))",
    "(puppetVar=hostname=%s)",
    "(|(cn=%s)(associatedDomain=%s.example)(l=%s))",
    "(&(cn=%s)(!(puppetVar=x=1)))",
)
NAMES = (
    *("web1", "WEB1", "alias", "web2", "web2.example.org", "a  b", "a", "b", "a.example", "*", "star*", "star", "w*"),
    *("par(en)", "par", "back\\slash", "naïve", "NAÏVE", "x)(cn=*", "(", "\\2a", "other", "missing"),
)


@pytest.fixture(scope="module")
def filled(make_module_slapd: SlapdMaker) -> Slapd:
    slapd: Slapd = make_module_slapd()
    for number, attributes in enumerate(ENTRIES):
        classes = ["device", "puppetClient", "domainRelatedObject"]
        if "associatedDomain" not in attributes:
            attributes = {**attributes, "associatedDomain": [f"none{number}"]}
        slapd.add(f"serialNumber={number},{S}", {"objectClass": classes, "serialNumber": str(number), **attributes})
    return slapd


@pytest.mark.parametrize("template", TEMPLATES)
def test_both_directions_agree(filled: Slapd, template: str) -> None:
    node_filter = NodeFilter(template)
    with LdapSource(parse(f"directory: {{uris: ['{filled.ldapi_uri}']}}")) as source:
        everything = source.search(S, "(objectClass=device)")
        asked_for_all = {record.dn for record in source.search(S, node_filter.for_all())}
        for name in NAMES:
            found = {record.dn for record in source.search(S, node_filter.for_name(name))}
            assert found == {record.dn for record in everything if folded(name) in node_filter.names(record)}, name
            assert found <= asked_for_all
