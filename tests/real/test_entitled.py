"""Edits that come past our commands put no node into another project's environment, from slapd to what `enc` prints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from enc.classify.classify import Classifier
from enc.classify.entitled import NotEntitled
from enc.directory.ldap_store import LdapSource
from enc.settings.config import load
from enc.terms.names import Certname, EnvironmentName, ProjectName
from git_hooks.branches.usage import Usage
from tests.support.following import HOSTS, SUFFIX, Following, add_node, add_project, eventually, node_dn
from tests.support.slapd import ADD, DELETE, REPLACE, Slapd

WEB, CACHE = "web.a.example.org", "cache.c-d.example.org"
THEIRS = "theirs.example.org"


def project(name: str) -> str:
    return f"cn={name},ou=projects,{SUFFIX}"


class Way(NamedTuple):
    """A place where b's environment is written past our commands, and the node that it comes to from there."""

    node: str
    dn: str
    attribute: str = "environment"
    value: str = "project_b"
    entry: Mapping[str, object] | None = None
    """The rest of an entry that is added with it; None: the entry is there."""

    def open(self, slapd: Slapd) -> None:
        if self.entry is None:
            slapd.modify(self.dn, {self.attribute: [(ADD, [self.value])]})
        else:
            slapd.add(self.dn, {**self.entry, self.attribute: self.value})

    def close(self, slapd: Slapd) -> None:
        if self.entry is None:
            slapd.modify(self.dn, {self.attribute: [(DELETE, [])]})
        else:
            slapd.delete(self.dn)


SCOPE = {"objectClass": ["puppetmasterScope", "puppetClient", "puppetmasterClassification"]}
GROUP = {
    "objectClass": ["groupOfURLs", "puppetClient", "puppetmasterClassification"],
    "memberURL": f"ldap:///{HOSTS}??sub?(cn=grouped)",
}
WAYS = (
    Way("own", node_dn("own", "a")),
    Way("letters", node_dn("letters", "a"), value="Project_B"),
    Way("topic", node_dn("topic", "a"), value="project_b__x"),
    Way("child", node_dn("child", "a"), "parentNode", THEIRS),
    Way("tries", node_dn("tries", "a"), "puppetmasterTrial", "project_b until 9999999999 mine"),
    Way("prefixed", f"cn=pre,{project('a')}", entry=SCOPE),
    Way("grouped", f"cn=some,ou=groups,{SUFFIX}", entry=GROUP),
    Way("its-project", project("c")),
    Way("its-site", f"cn=site,{SUFFIX}"),
)
"""Every place from which the classification takes an environment (enc/classify/extended.py)."""
NODES = {**{way.node: "a" for way in WAYS}, "its-project": "c", "its-site": "d", THEIRS: "b"}


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


def asked(following: Following) -> dict[str, str | None]:
    """The environment that each node has by LDAP, as `enc` says it without a follower; None: it gets no answer."""
    classifier, found = Classifier(following.settings), dict[str, str | None]()
    with LdapSource(following.settings) as source:
        for name in NODES:
            try:
                found[name] = str(classifier.classify(Certname(name), source).at(time.time()).environment)
            except NotEntitled:
                found[name] = None
    return found


def theirs(environments: Mapping[str, object]) -> set[str]:
    """The nodes that have an environment of b's."""
    return {name for name, one in environments.items() if str(one).lower().startswith("project_b")}


@pytest.mark.parametrize("template", [True, False], ids=["a project has its environment", "a project has none"])
def test_no_way_leads_a_node_into_another_projects_environment(slapd: Slapd, tmp_path: Path, template: bool) -> None:
    """With a follower, one that starts anew, and without; what a group and the site say counts only in the second."""
    for name in ("a", "b", "c", "d"):
        add_project(slapd, name)
    for name, its_project in NODES.items():
        add_node(slapd, name, its_project)
    slapd.modify(node_dn(THEIRS, "b"), {"environment": [(ADD, ["project_b"])]})
    own: dict[str, object] = {"environment": "project_%s"} if template else {}
    following = Following(tmp_path / "f", slapd, projects=own)

    def there() -> set[str]:
        following.current()
        found = theirs({name: (following.answer(name) or {}).get("environment") for name in NODES})
        assert found == theirs(asked(following)), "a follower makes no difference"
        usage = Usage(load(following.configuration))
        assert found == {name for one in ("project_b", "project_b__x") for name in usage.nodes(EnvironmentName(one))}
        return found

    following.start()
    for way in WAYS:
        way.open(slapd)
    assert there() == {THEIRS}
    # That these are ways at all: where b lets them in, they lead there.
    slapd.modify(project("b"), {"puppetmasterGuest": [(ADD, ["a", "c", "d"])]})
    assert there() == NODES.keys() - ({"grouped", "its-site"} if template else set())
    slapd.modify(project("b"), {"puppetmasterGuest": [(DELETE, [])]})
    assert there() == {THEIRS}
    # All is there before there is any answer.
    following.end()
    shutil.rmtree(following.layout.root)
    following.start()
    assert there() == {THEIRS}
    for way in WAYS:
        way.close(slapd)
    assert there() == {THEIRS}
    following.end()


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
