"""Trust domains: which nodes and environments a server of one domain serves, and where new instances go."""

from __future__ import annotations

import pytest

from enc.classify.gather import foreign
from enc.instances.agent_profile import for_project
from enc.instances.user_data import AgentProfile
from enc.rights import domains
from enc.rights.reserved import is_reserved
from enc.settings import BranchSettings, DomainSettings
from enc.settings.config import examine, parse
from enc.terms.environments import Rules
from enc.terms.names import EnvironmentName, ProjectName
from enc.terms.record import Record

OPS, RED = ProjectName("ops"), ProjectName("red")
HOSTS = "ou=hosts,dc=example,dc=org"
CONTAINER = "domains: {serves: %s, site_projects: [ops]}"
ATTRIBUTE = CONTAINER + "\nnodes: {project: attribute puppetmasterProject}"


@pytest.mark.parametrize(
    ("serves", "ops", "red", "none"),
    [("site", True, False, True), ("projects", False, True, False), ("null", True, True, True)],
)
def test_a_nodes_domain_follows_from_its_project(serves: str, ops: bool, red: bool, none: bool) -> None:
    settings = parse(CONTAINER % serves)
    assert [domains.serves(project, settings) for project in (OPS, RED, None)] == [ops, red, none]


def test_a_project_that_is_not_said_where_admins_write_it_is_nobodys() -> None:
    for serves in ("site", "projects"):
        settings = parse(ATTRIBUTE % serves)
        assert not domains.serves(None, settings)
        nameless, bad = Record(f"cn=a,{HOSTS}", {}), Record(f"cn=a,{HOSTS}", {"puppetmasterproject": ("No Name",)})
        assert "no project" in str(foreign("a", [nameless], settings))
        assert "No Name" in str(foreign("a", [bad], settings))


def test_of_two_entries_of_a_name_both_must_be_served() -> None:
    both = [Record(f"cn=a,ou={project},{HOSTS}", {}) for project in (RED, OPS)]
    for serves in ("site", "projects"):
        assert foreign("a", both, parse(CONTAINER % serves)) is not None
        assert foreign("a", both[::-1], parse(CONTAINER % serves)) is not None
    assert foreign("a", both, parse(CONTAINER % "null")) is None


@pytest.mark.parametrize(
    ("environment", "site", "projects"),
    [
        ("production", True, True),
        ("test", True, False),
        ("project_red", False, True),
        ("PROJECT_red", False, True),
        ("project_red__x", False, True),
        ("else", True, False),
        ("project_9", True, False),
    ],
)
def test_an_environments_domain_follows_from_its_rule(environment: str, site: bool, projects: bool) -> None:
    rules, name = Rules(BranchSettings().rules), EnvironmentName(environment)
    for serves, wanted in (("site", site), ("projects", projects)):
        assert domains.shows(name, rules, parse(CONTAINER % serves).domains) is wanted
    assert domains.shows(name, rules, DomainSettings())
    none = DomainSettings(serves="projects", reviewed=None)
    assert domains.shows(name, rules, none) is (projects and environment != "production")


def test_what_a_project_could_bring_is_not_the_sites_whichever_rule_made_it() -> None:
    rules = Rules(["env/<topic> = <topic>", *BranchSettings().rules])
    site = DomainSettings(serves="site")
    assert not domains.shows(EnvironmentName("project_red"), rules, site)
    assert domains.shows(EnvironmentName("staging"), rules, site)
    named = Rules(["project/base = project_base", *BranchSettings().rules])
    assert domains.shows(EnvironmentName("project_base"), named, site)


def test_new_instances_go_to_the_master_of_their_domain_and_to_one_authority() -> None:
    text = "domains: {site_projects: [ops], servers: ['projects = p.example.org:8150']}"
    settings = parse(text)
    profile = AgentProfile("puppet.example.org", 8140, None, "", (), None, True, "")
    assert for_project(profile, OPS, settings) == profile
    told = for_project(profile, RED, settings)
    assert (told.server, told.port) == ("p.example.org", 8150)
    assert (told.ca_server, told.ca_port) == ("puppet.example.org", 8140)
    apart = for_project(profile._replace(ca_server="ca.example.org", ca_port=8141), RED, settings)
    assert (apart.server, apart.ca_server, apart.ca_port) == ("p.example.org", "ca.example.org", 8141)
    assert is_reserved("p.example.org", settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("domains: {serves: members}", "domains.serves: 'members' is not one of site, projects"),
        ("domains: {site_projects: [Ops]}", "domains.site_projects: 'Ops' is not a project name"),
        ("domains: {reviewed: [no-env]}", "domains.reviewed: 'no-env' is not an environment"),
        ("domains: {servers: [x = y]}", "domains.servers: 'x = y' is not site|projects = HOST"),
        ("domains: {servers: ['site = a:0']}", "domains.servers: 'site = a:0' is not"),
        ("domains: {servers: ['site = a:65536']}", "domains.servers: 'site = a:65536' is not"),
        ("domains: {servers: [site = a, site = b]}", "domains.servers: the domain site is listed twice"),
        ("domains: {serves: site}\nnodes: {semantics: terminus}", "domains.serves: a node's project is known only"),
    ],
)
def test_what_cannot_be_set_is_said(text: str, said: str) -> None:
    (found,) = examine(text, "config").faults
    assert found.startswith(said)
