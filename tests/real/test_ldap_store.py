"""The questions of a classification, asked of a real slapd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enc.directory.connection import open_connection
from enc.directory.ldap_store import LdapSource
from enc.rights.roles import Holding, remembered
from enc.service import people
from enc.settings import Duration, Settings, config
from enc.terms.errors import DirectoryRefused, DirectoryUnreachable
from enc.terms.names import PersonName, ProjectName
from tests.real.conftest import SlapdMaker
from tests.support.people import TABLE
from tests.support.slapd import Slapd

S = "dc=example,dc=org"
EXTRA = "objectClass: puppetClient\nobjectClass: puppetmasterClassification"
SITE = f"""\
dn: cn=red,ou=projects,{S}
objectClass: groupOfNames
{EXTRA}
cn: red
member: uid=anna,ou=people,{S}
puppetmasterRegion: eqiad

dn: cn=web-,cn=red,ou=projects,{S}
objectClass: puppetmasterScope
{EXTRA}
cn: web-

dn: cn=bigweb,ou=groups,{S}
objectClass: groupOfURLs
{EXTRA}
cn: bigweb
memberURL: ldap:///ou=hosts,{S}??sub?(puppetClass=web)

dn: uid=anna,ou=people,{S}
objectClass: inetOrgPerson
uid: anna
cn: anna
sn: anna
userPassword: correct horse

dn: ou=red,ou=hosts,{S}
objectClass: organizationalUnit
ou: red

"""
NODES = 1200
RED = ProjectName("red")


@pytest.fixture(scope="module")
def shared(make_module_slapd: SlapdMaker, tmp_path_factory: pytest.TempPathFactory) -> Slapd:
    ldif = tmp_path_factory.mktemp("ldif") / "site.ldif"
    nodes = "".join(
        f"dn: cn=web{n}.example.org,ou=red,ou=hosts,{S}\nobjectClass: device\n{EXTRA}\n"
        f"objectClass: extensibleObject\njpegPhoto:: /9j/4AA=\ncn: web{n}.example.org\npuppetClass: web\n\n"
        for n in range(NODES)
    )
    ldif.write_text(SITE + nodes)
    return make_module_slapd(ldif=[ldif])


@pytest.fixture
def settings(shared: Slapd) -> Settings:
    return config.parse(shared.configuration())


@pytest.fixture
def source(settings: Settings) -> Iterator[LdapSource]:
    with LdapSource(settings) as opened:
        yield opened


def test_every_question_finds_its_entries(source: LdapSource) -> None:
    (node,) = source.nodes_named("web7.example.org")
    assert node.first("puppetClass") == "web"
    assert node.uuid.count("-") == 4
    assert node.csn.endswith("Z#000000#000#000000")
    assert "jpegphoto" not in node.attributes, "a value that is not UTF-8 is left out"
    red = source.project(RED)
    assert red is not None
    assert red.first("puppetmasterregion") == "eqiad"
    assert [prefix.first("cn") for prefix in source.prefixes(RED)] == ["web-"]
    assert [group.first("cn") for group in source.groups()] == ["bigweb"]
    site = source.site()
    assert site is not None
    assert site.dn == f"cn=site,{S}"


def test_a_role_that_the_table_names_is_found(shared: Slapd, source: LdapSource, settings: Settings) -> None:
    anna, below = f"uid=anna,ou=people,{S}", f"cn=red,ou=projects,{S}"
    shared.add(f"cn=reviewers,ou=groups,{S}", {"objectClass": "groupOfNames", "cn": "reviewers", "member": anna})
    held = {"objectClass": "organizationalRole", "cn": "keeper", "roleOccupant": anna}
    shared.add(f"cn=keeper,{below}", held)
    shared.add(f"cn=projectadmin,{below}", {"objectClass": "organizationalRole", "cn": "projectadmin"})
    shared.add(f"cn=keeper,cn=projectadmin,{below}", held)
    name = PersonName("anna")
    assert people.find(name, source, settings).holds == {Holding("member", RED)}
    found = people.find(name, source, settings, TABLE)
    assert found.holds == {Holding("member", RED), Holding("reviewer"), Holding("keeper", RED)}
    assert remembered("anna", json.loads(json.dumps(found.document())), TABLE) == found


def test_what_is_not_there_is_nothing(source: LdapSource, settings: Settings) -> None:
    blue = ProjectName("blue")
    assert (list(source.nodes_named("web")), source.project(blue), list(source.prefixes(blue))) == ([], None, [])
    nodes = replace(settings.nodes, base=f"ou=nowhere,{S}")
    with LdapSource(replace(settings, nodes=nodes)) as elsewhere:
        assert list(elsewhere.nodes_named("web7.example.org")) == []


@pytest.mark.parametrize("name", ["*", "web7*", "web7.example.org)(cn=*", "a\x00b", "(", "\\", "x" * 300, "\udc80"])
def test_a_hostile_name_finds_nothing(source: LdapSource, name: str) -> None:
    assert list(source.nodes_named(name)) == []


def test_more_than_a_page_is_read_to_the_end(source: LdapSource) -> None:
    assert len(source.all_nodes()) == NODES


def test_a_size_limit_is_an_error_and_not_a_short_list(settings: Settings) -> None:
    anna = open_connection(settings.directory, as_person=(f"uid=anna,ou=people,{S}", "correct horse"))
    with anna:
        with pytest.raises(DirectoryRefused, match="size limit"):
            anna.search(settings.nodes_base, "(cn=*)")
        # Page by page, there is none here.
        assert sum(1 for _ in anna.read_all(settings.nodes_base, "(cn=*)")) >= NODES


def test_a_server_that_was_restarted_is_asked_again(slapd: Slapd) -> None:
    settings = config.parse(slapd.configuration())
    with LdapSource(settings) as source:
        assert source.site() is not None
        slapd.restart()
        assert source.site() is not None


def test_no_answer_is_an_error_and_not_nothing(slapd: Slapd, tmp_path: Path) -> None:
    settings = config.parse(slapd.configuration())
    settings = replace(settings, directory=replace(settings.directory, timeout=Duration(1)))
    with LdapSource(settings) as source, slapd.hung(), pytest.raises(DirectoryUnreachable):
        source.nodes_named("web7.example.org")
