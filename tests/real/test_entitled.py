"""Edits that come past our commands put no node into another project's environment, from slapd to what `enc` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from enc.directory.ldap_store import LdapSource
from enc.settings.config import load
from enc.terms.names import EnvironmentName, ProjectName
from git_hooks.branches.usage import Usage
from tests.support.following import SUFFIX, Following, add_node, add_project, eventually, node_dn
from tests.support.slapd import ADD, DELETE, REPLACE, Slapd

WEB, CACHE = "web.a.example.org", "cache.c-d.example.org"


@pytest.fixture
def following(slapd: Slapd, tmp_path: Path) -> Iterator[Following]:
    """Projects a, b and c-d, nodes of a and c-d, and a running follower."""
    for name in ("a", "b", "c-d"):
        add_project(slapd, name)
    add_node(slapd, WEB, "a")
    add_node(slapd, CACHE, "c-d")
    following = Following(tmp_path / "f", slapd, projects={"environment": "project_%s"})
    following.start()
    yield following
    following.end()


def said(following: Following, name: str = WEB) -> str:
    """The environment that `enc` prints now, or its line why there is none."""
    status, text = following.enc(name)
    return str(yaml.safe_load(text)["environment"]) if status == 0 else text


def project(name: str) -> str:
    return f"cn={name},ou=projects,{SUFFIX}"


def test_an_edit_past_our_commands_opens_no_other_projects_environment(following: Following) -> None:
    slapd, usage = following.slapd, Usage(load(following.configuration))
    theirs = EnvironmentName("project_b")
    slapd.modify(node_dn(WEB, "a"), {"puppetmasterTrial": [(ADD, ["project_b until 9999999999 mine"])]})
    following.current()
    assert said(following) == "project_a", "no trial"
    assert usage.nodes(theirs) == (), "so b's branch can be deleted, and ends"
    slapd.modify(node_dn(WEB, "a"), {"puppetmasterTrial": [(DELETE, [])], "environment": [(ADD, ["project_b"])]})
    eventually(lambda: any("not one of its guests" in one.message for one in following.status().problems), "told")
    assert said(following) == "project_a", "the last good answer is its own, and goes on"
    assert usage.nodes(theirs) == ()
    slapd.modify(project("b"), {"puppetmasterGuest": [(ADD, ["a"])]})
    eventually(lambda: said(following) == "project_b", "invited")
    assert usage.nodes(theirs) == (WEB,)
    # What cannot be read any more keeps the last good answer, but not what the project has no right to any more.
    slapd.modify(node_dn(WEB, "a"), {"puppetClass": [(ADD, ["no class"])]})
    eventually(lambda: any("not a class name" in one.message for one in following.status().problems), "bad")
    assert said(following) == "project_b"
    slapd.modify(project("b"), {"puppetmasterGuest": [(REPLACE, ["c-d"])]})
    eventually(lambda: "not a class name" in said(following), "gone")
    assert following.enc(WEB)[0] != 0 and usage.nodes(theirs) == ()


def test_a_project_that_comes_later_gets_nobodys_nodes_and_loses_none(following: Following) -> None:
    slapd = following.slapd
    assert (said(following), said(following, CACHE)) == ("project_a", "project_c_d")
    add_project(slapd, "c_d")  # by the owner of the data directory, whom no rule of slapd holds back
    eventually(lambda: "project c-d and of project c_d" in said(following, CACHE), "neither's")
    add_node(slapd, "other.example.org", "c_d")
    eventually(lambda: "project c_d and of project c-d" in said(following, "other.example.org"), "neither's")
    assert said(following) == "project_a"
    slapd.modify(project("c_d"), {"puppetmasterGuest": [(ADD, ["c-d"])]})
    slapd.modify(project("c-d"), {"puppetmasterGuest": [(ADD, ["c_d"])]})
    eventually(lambda: said(following, CACHE) == said(following, "other.example.org") == "project_c_d", "shared")
    slapd.modify(project("c-d"), {"puppetmasterGuest": [(DELETE, [])]})
    eventually(lambda: "so nodes of neither" in said(following, CACHE), "not shared any more")
    for place in (node_dn("other.example.org", "c_d"), f"ou=c_d,ou=hosts,{SUFFIX}", project("c_d")):
        slapd.delete(place)
    eventually(lambda: said(following, CACHE) == "project_c_d", "there is one again")


def test_what_a_project_that_is_gone_has_left_is_nobodys(following: Following) -> None:
    """Nor what one will have that does not exist yet; its guests keep nothing either."""
    slapd = following.slapd
    slapd.modify(node_dn(WEB, "a"), {"environment": [(ADD, ["project_b__x"])]})
    slapd.modify(project("b"), {"puppetmasterGuest": [(ADD, ["a"])]})
    eventually(lambda: said(following) == "project_b__x", "a guest")
    slapd.delete(project("b"))
    eventually(lambda: "project b, which is not in LDAP" in said(following), "nobody's")
    assert following.enc(WEB)[0] != 0
    assert Usage(load(following.configuration)).nodes(EnvironmentName("project_b__x")) == ()
    slapd.delete(f"ou=b,ou=hosts,{SUFFIX}")
    add_project(slapd, "b")
    eventually(lambda: "belongs to project b" in said(following), "b's again")
    slapd.modify(node_dn(WEB, "a"), {"environment": [(DELETE, [])]})
    eventually(lambda: said(following) == "project_a", "its own")
    slapd.modify(node_dn(WEB, "a"), {"puppetmasterTrial": [(ADD, ["project_b until 9999999999 mine"])]})
    slapd.delete(project("b"))
    following.current()
    assert said(following) == "project_a", "nor for a while"
    slapd.delete(project("a"))
    following.current()
    assert said(following) == "project_a", "its own nodes have it to their end"


def test_without_a_follower_it_is_the_same(following: Following) -> None:
    following.end()
    following.layout.contact.unlink()
    following.slapd.modify(node_dn(WEB, "a"), {"environment": [(ADD, ["project_c_d"])]})
    assert "belongs to project c-d, and project a is not one of its guests" in said(following)
    following.slapd.modify(project("c-d"), {"puppetmasterGuest": [(ADD, ["a"])]})
    assert said(following) == "project_c_d"
    add_project(following.slapd, "c_d")
    assert "belongs to project c_d" in said(following)
    assert "project c-d and of project c_d" in said(following, CACHE)


def test_a_project_is_the_same_in_any_case(slapd: Slapd, following: Following) -> None:
    add_project(slapd, "E-F")
    with LdapSource(load(following.configuration)) as source:
        assert source.project(ProjectName("e-f")) is not None
        assert source.projects_like("e_f") == ["e-f"] and "e-f" in source.project_names()
