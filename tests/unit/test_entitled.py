"""Whose an environment is, and which names of projects can meet."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.classify.classify import Classifier
from enc.classify.entitled import NotEntitled
from enc.classify.model import Classification
from enc.doctor import projects
from enc.settings import BranchSettings, ProjectSettings, Settings
from enc.terms.environments import Rules, folded, rivals
from enc.terms.names import BranchName, Certname, EnvironmentName, ProjectName
from tests.support.memory import MemorySource, record

S = "dc=example,dc=org"
RULES = Rules(BranchSettings().rules)
SETTINGS = Settings(projects=ProjectSettings(environment="project_%s"))
OTHERS = (
    ("production = production", "p/<name> = <name>", "t/<name>/<topic> = <name>_<topic>"),
    ("main = production", "p/<name> = Prj<name>", "t/<name>/<topic> = <topic>__of_<name>"),
    ("production = production", "<name> = x_<name>", "<name>/<topic> = x_<name><topic>", "env/<topic> = <topic>"),
)


def project(name: str, *guests: str, **said: Any) -> Any:
    said |= {"puppetmasterGuest": list(guests)} if guests else {}
    return record(f"cn={name},ou=projects,{S}", cn=name, objectClass=["groupOfNames", "puppetClient"], **said)


def classify(of: str, *projects: Any, settings: Settings = SETTINGS, **said: Any) -> Classification:
    """Return what a node of project `of` is that says `said`."""
    where = f"ou={of},ou=hosts" if of else "ou=hosts"
    node = record(f"cn=web,{where},{S}", cn="web", objectClass=["device", "puppetClient"], **said)
    return Classifier(settings).classify(Certname("web"), MemorySource([*projects, node], settings))


def test_the_projects_own_and_the_sites_are_free() -> None:
    for there in ((project("a"), project("b")), (project("b"),)):
        assert classify("a", *there).environment == "project_a"
        assert classify("a", *there, environment="project_a__x").environment == "project_a__x"
        for name in ("production", "Test", "elsewhere", "project_"):
            assert classify("a", *there, environment=name).environment == name


@pytest.mark.parametrize("name", ["project_c", "project_c__x", "PROJECT_C"])
def test_what_a_project_that_is_gone_has_left_is_for_its_own_nodes(name: str) -> None:
    for of in ("a", ""):
        with pytest.raises(NotEntitled, match=r"of project c\b.* not in LDAP"):
            classify(of, project("a", "c"), project("b"), environment=name)
    tried: dict[str, Any] = {"puppetmasterTrial": f"{name} until 99 because"}
    found = classify("a", project("a"), **tried)
    assert found.trial is None and [note for note in found.notes if "not in LDAP" in note]
    assert classify("c", project("a"), environment=name).environment == name, "a node that is still its own"
    made_the_sites = Settings(branches=BranchSettings(rules=(*BranchSettings().rules, f"old = {name}")))
    assert classify("a", project("a"), settings=made_the_sites, environment=name).environment == name


def test_what_a_gone_project_of_a_like_name_has_left_is_free_for_the_other() -> None:
    assert classify("c-d", project("c-d"), environment="project_c_d").environment == "project_c_d"
    assert classify("c_d", project("a"), environment="project_c_d").environment == "project_c_d"


@pytest.mark.parametrize("name", ["project_b", "project_b__x", "Project_B", "PROJECT_b__X_1"])
def test_anothers_environment_takes_an_invitation(name: str) -> None:
    for of in ("a", ""):
        with pytest.raises(NotEntitled, match="belongs to project b"):
            classify(of, project("a"), project("b"), environment=name)
        with pytest.raises(NotEntitled):
            classify(of, project("a", "b"), project("b", "c", "A", "../a", "a "), environment=name)
    assert classify("a", project("a"), project("b", "c", "a"), environment=name).environment == name


@pytest.mark.parametrize("layer", ["site", "project", "prefix", "parent", "group"])
def test_whoever_says_it(layer: str) -> None:
    said = {"environment": "project_b"}
    entries = {
        "site": record(f"cn=site,{S}", cn="site", objectClass="puppetmasterScope", **said),
        "project": project("a", **said),
        "prefix": record(f"cn=we,cn=a,ou=projects,{S}", cn="we", objectClass="puppetmasterScope", **said),
        "parent": record(f"cn=base,ou=a,ou=hosts,{S}", cn="base", objectClass="puppetClient", **said),
        "group": record(f"cn=g,ou=groups,{S}", cn="g", objectClass="groupOfURLs",
                        memberURL=f"ldap:///ou=hosts,{S}??sub?(cn=web)", **said),
    }  # fmt: skip
    there = [entries[layer], *([] if layer == "project" else [project("a")])]
    node = {"parentNode": "base"} if layer == "parent" else {}
    with pytest.raises(NotEntitled):
        classify("a", *there, project("b"), settings=Settings(), **node)
    assert classify("a", *there, project("b", "a"), settings=Settings(), **node).environment == "project_b"


@pytest.mark.parametrize(
    ("one", "other", "environment"),
    [
        ("c-d", "c_d", "project_c_d"),
        ("a", "a--x", "project_a__x"),
        ("a", "a__x", "project_a__x"),
        ("a", "a_-x", "project_a__x"),
        ("a", "a--b", "project_a__b__c"),
        ("a", "a-", "project_a___x"),
        ("a", "a" + "-" * 62, "project_a" + "_" * 62),
    ],
)
def test_what_two_can_have_is_neithers(one: str, other: str, environment: str) -> None:
    for mine, theirs in ((one, other), (other, one)):
        for guests in ((), (theirs,)):
            with pytest.raises(NotEntitled, match="can both become environment"):
                classify(mine, project(mine, *guests), project(theirs), environment=environment)
        with pytest.raises(NotEntitled):
            classify(mine, project(mine), project(theirs, mine), environment=environment)
        shared = classify(mine, project(mine, theirs), project(theirs, mine), environment=environment)
        assert shared.environment == environment
        assert classify(mine, project(mine), environment=environment).environment == environment, "there is no other"


def test_a_trial_of_anothers_does_not_count_and_stops_nothing() -> None:
    tried = {"puppetmasterTrial": "project_b__x until 99 because"}
    found = classify("a", project("a"), project("b"), **tried)
    assert (found.environment, found.trial) == ("project_a", None)
    assert [
        note
        for note in found.notes
        if "the trial does not count: environment project_b__x belongs to project b" in note
    ]
    assert found.at(5).environment == "project_a"
    assert classify("a", project("a"), project("b", "a"), **tried).at(5).environment == "project_b__x"


def test_terminus_knows_no_projects() -> None:
    settings = Settings(nodes=Settings().nodes.__class__(semantics="terminus"))
    assert classify("a", project("b"), settings=settings, environment="project_b").environment == "project_b"


NAMES = st.from_regex(r"[a-c][a-c_-]{0,6}", fullmatch=True).map(ProjectName)
TOPICS = st.from_regex(r"[a-cA-C_-]{1,4}", fullmatch=True).filter(lambda text: text[0] != "-")
TEXTS = (BranchSettings().rules, *OTHERS)


def places(name: ProjectName, topics: Iterable[str], rules: Rules) -> set[str]:
    found = [rules.project_branch(name), *(rules.topic_branch(name, topic) for topic in topics)]
    return {place.environment.lower() for place in found if place is not None and place.project == name}


@given(st.sampled_from(TEXTS), NAMES, NAMES, st.lists(TOPICS, max_size=4))
def test_whatever_two_branches_share_was_told_before(
    texts: tuple[str, ...], one: ProjectName, other: ProjectName, topics: list[str]
) -> None:
    """The claims of an environment name every project whose branch becomes it, and names that never meet share none."""
    rules = Rules(texts)
    mine, theirs = places(one, topics, rules), places(other, topics, rules)
    for environment in mine:
        assert folded(one) in rules.claims(EnvironmentName(environment)) or environment in ("production",)
        assert rules.fits(EnvironmentName(environment.upper()), one)
    if one != other and mine & theirs:
        assert rules.meeting(one, other) is not None
        assert rules.meeting(other, one) is not None
    if folded(one) == folded(other):
        assert rules.meeting(one, other) is not None


@given(st.sampled_from(TEXTS), NAMES, NAMES)
def test_meeting_is_no_false_alarm(texts: tuple[str, ...], one: ProjectName, other: ProjectName) -> None:
    rules = Rules(texts)
    found = rules.meeting(one, other)
    if found is not None:
        assert all(rules.fits(EnvironmentName(found), name) for name in (one, other))


def test_plain_names_never_meet_by_the_shipped_rules() -> None:
    names = [a + s + b for a, s, b in product(("a", "b"), ("", "-", "_"), ("a", "b", "1"))]
    plain = [ProjectName(name) for name in names]
    assert all(name.is_plain for name in plain)
    met = [(a, b) for a in plain for b in plain if a != b and RULES.meeting(a, b) is not None]
    assert all(folded(a) == folded(b) for a, b in met)
    assert not any(ProjectName(name).is_plain for name in ("a--b", "a__b", "a-_b", "a_-b", "a-", "a_"))


def test_to_whom_a_new_branch_belongs() -> None:
    everybody = [ProjectName(name) for name in ("a", "a--x", "c-d", "c_d", "b")]

    def other(branch: str) -> tuple[ProjectName, ...]:
        place = RULES.place(BranchName(branch))
        assert place is not None
        return rivals(place, everybody, RULES)

    assert other("topic/a/x") == other("topic/a/x--y") == ("a--x",)
    assert other("project/a--x") == other("topic/a/y") == other("project/b") == other("topic/b/x") == ()
    assert other("topic/a--x/y") == other("production") == ()
    assert other("project/c-d") == other("topic/c-d/x") == ("c_d",)


def test_doctor_names_them() -> None:
    def found(*names: str, rules: Rules = RULES) -> list[tuple[str, str]]:
        return [(one.level, one.found) for one in projects.judge([ProjectName(name) for name in names], rules)]

    assert [level for level, _ in found("a", "b-c")] == ["ok"]
    (met, odd) = found("a", "a--x")
    assert met[0] == "warning" and "project a and of project a--x" in met[1] and "project_a__x" in met[1]
    assert odd[0] == "note" and "a--x" in odd[1]
    assert [level for level, _ in found("a--x")] == ["note"]
    assert [level for level, _ in found("c-d", "c_d")] == ["warning"]
    assert [level for level, _ in found("production", rules=Rules(OTHERS[0]))] == ["warning"]
