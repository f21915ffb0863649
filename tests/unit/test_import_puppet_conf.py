"""A puppet.conf of the LDAP node terminus becomes a configuration that reads the same entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.importing.puppet_conf import translate
from enc.importing.safely import Unreadable
from enc.settings import config

SECRET = Path("/etc/puppetmaster/ldap.secret")
WIKIMEDIA = """
[main]
ldapserver = ldap1.example.org, ldap2.example.org
ldapbase = ou=hosts,dc=wikimedia,dc=org
[master]
  node_terminus = ldap
# ldapstring = (cn=%s)
ldapstring = (&(objectclass=puppetClient)(associatedDomain=%s))
ldapuser = "cn=proxy,dc=wikimedia,dc=org"
ldappassword = pa=ss # word
ldaptls = true
[agent]
ldapbase = ou=elsewhere
"""


def test_wikimedias() -> None:
    made = translate(WIKIMEDIA, "puppet.conf", SECRET)
    settings = config.parse(made.text())
    assert settings.directory.uris == ("ldap://ldap1.example.org", "ldap://ldap2.example.org")
    assert settings.directory.tls.start is True
    assert settings.directory.bind_dn == "cn=proxy,dc=wikimedia,dc=org"
    assert settings.directory.bind_password_file == SECRET
    assert settings.directory.suffix == "dc=wikimedia,dc=org"
    assert settings.nodes_base == "ou=hosts,dc=wikimedia,dc=org"
    assert settings.nodes.filter == "(&(objectclass=puppetClient)(associatedDomain=%s))"
    assert settings.nodes.semantics == "terminus"
    assert settings.nodes.class_attributes == ("puppetClass",)
    assert made.password == "pa=ss # word"
    assert "pa=ss" not in made.text()
    assert "pa=ss" not in repr(made)


def test_puppets_defaults_and_the_order_of_sections() -> None:
    made = translate("ldapbase = dc=x\nldapport=390\n[server]\nldapport = 636\nldapssl = true\n", "f", SECRET)
    assert made.document["directory"]["uris"] == ["ldaps://ldap"]
    assert made.password is None
    assert "bind_dn" not in made.document["directory"]


def test_lists_and_what_they_leave_out() -> None:
    text = "ldapbase=ou=h,o=x\nldapclassattrs = puppetclass, role\nldapattrs = l , description\nldapparentattr =\n"
    made = translate(text, "f", SECRET)
    nodes = config.parse(made.text()).nodes
    assert nodes.class_attributes == ("puppetClass", "role")
    assert nodes.attributes == ("l", "description")
    assert made.document["directory"]["suffix"] == "o=x"
    remarks = "\n".join(made.remarks)
    assert "ldapattrs lists neither of puppetVar, environment" in remarks
    assert "ldapparentattr is empty" in remarks


def test_a_password_in_clear_is_told() -> None:
    made = translate("ldapbase=dc=x\nldapuser=cn=a\nldappassword=b\n", "f", SECRET)
    assert any("unencrypted" in remark for remark in made.remarks)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "ldapbase is not set"),
        ("ldapbase = nonsense", "distinguished name"),
        ("ldapbase = dc=x\nnonsense", r"f:2: not a section"),
        ("ldapbase = dc=x\nldapport = x", "not a port"),
        ("ldapbase = dc=x\nldaptls = maybe", "true nor false"),
    ],
)
def test_what_cannot_be_one(text: str, rule: str) -> None:
    with pytest.raises(Unreadable, match=rule):
        translate(text, "f", SECRET)
