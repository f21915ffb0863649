"""A site whose own branches are not called test and production."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import BranchSettings, DomainSettings, SelfMasterSettings, Settings
from enc.terms.environments import Rules, site_first
from enc.terms.errors import ConfigurationError, NotFound, ToolkitError
from enc.terms.names import BranchName, Certname, EnvironmentName, ProjectName
from git_hooks.branches.listing import references, rows
from git_hooks.branches.project_branches import beginning, make, missing
from git_hooks.branches.reconcile import look, reconcile
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.doctor.cost import looked_at
from git_hooks.doctor.liveness import environments
from git_hooks.repository.objects import Repository
from git_hooks.repository.refstore import RefStore
from puppetmaster_self.transaction.departure import branch_to_keep
from puppetmaster_self.transaction.plan import site_branch
from tests.support.bare import Bare, Content, git

RULES = ("main = production", "staging = stage", "project/<name> = p_<name>", "topic/<name>/<topic> = t_<name>_<topic>")
MODULE: Content = {"big": "1" * 99}


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    made = Bare(tmp_path)
    made.settings = replace(made.settings, rules=RULES)
    first = made.commit("main", {"f": "main"})
    made.commit("staging", {"modules": {"a": MODULE, "b": {"x": "s"}}, "f": "staging"}, parent=first)
    return made


def test_the_rules_say_which_branches_are_the_sites() -> None:
    own = Rules(RULES).site
    assert [(place.branch, place.environment) for place in own] == [("staging", "stage"), ("main", "production")]
    assert [place.branch for place in Rules(BranchSettings().rules).site] == ["test", "production"]
    assert Rules(["a = agent", "b = b"]).site == Rules(["b = b"]).site, "Puppet takes no such environment"
    assert Rules(RULES).branch_of(EnvironmentName("production")) == "main"
    red = Rules(("prj-<name> = x_<name>", *RULES)).project_branch(ProjectName("red"))
    assert red is not None and (red.branch, red.environment) == ("prj-red", "x_red")
    assert references(BranchSettings(rules=RULES)) == ("staging", "main")


@pytest.mark.parametrize(
    ("rules", "branch"),
    [
        (RULES, "main"),
        (BranchSettings().rules, "production"),
        (("main = production",), "main"),
        (("site/main = production", "production = old"), "site/main"),
        (("a = production", "b = production"), "b"),
        (("<topic> = <topic>",), "production"),
        (("env/<topic> = <topic>", "x = x"), "env/production"),
        (("<name>-<topic> = <topic>ion<name>",), None),
        (("old/<topic> = <topic>", "main = production"), "main"),
        (("production = old", "<topic> = <topic>"), None),
        (("x = x", "p/<topic> = p_<topic>"), None),
        ((), None),
    ],
)
def test_which_branch_becomes_production_beside_a_local_one(rules: tuple[str, ...], branch: str | None) -> None:
    settings = Settings(branches=BranchSettings(rules=rules))
    assert site_branch(settings, EnvironmentName("project_red")) == branch
    assert site_branch(settings, EnvironmentName("production")) is None


@pytest.mark.parametrize(
    ("site", "refused"), [("local", True), ("local/main", True), ("loca", False), ("locals", False)]
)
def test_the_sites_branch_must_not_be_where_the_local_one_is(site: str, refused: bool) -> None:
    settings = Settings(branches=BranchSettings(rules=(f"{site} = production",)))
    if refused:
        with pytest.raises(ToolkitError, match=rf"branches\.rules: local conflicts with {site}"):
            site_branch(settings, EnvironmentName("project_red"))
    else:
        assert site_branch(settings, EnvironmentName("project_red")) == site
    assert site_branch(settings, EnvironmentName("production")) is None


def test_the_doctor_looks_at_the_sites_own_branches_first() -> None:
    names = [BranchName(name) for name in ("staging", "main", *(f"a/{number:02}" for number in range(40)))]
    assert looked_at(names, BranchSettings(rules=RULES))[:3] == ["main", "staging", "a/00"]
    names = [BranchName(name) for name in ("zz", "test", "production", "project/a")]
    assert looked_at(names, BranchSettings()) == ["production", "test", "project/a", "zz"]
    assert looked_at(names, BranchSettings(rules=("zz = production",))) == ["zz", "production", "project/a", "test"]


@pytest.mark.parametrize(
    ("rules", "branch"),
    [
        (BranchSettings().rules, "topic/red/web-1-19700101T000000"),
        (RULES, "topic/red/web-1-19700101T000000"),
        (("main = production", "try/<name>/<topic> = t_<name>_<topic>"), "try/red/web-1-19700101T000000"),
        (("<name>-<topic> = <name>_<topic>",), "red-web-1-19700101T000000"),
    ],
)
def test_local_commits_are_kept_where_the_rules_have_topics(rules: tuple[str, ...], branch: str) -> None:
    settings = Settings(branches=BranchSettings(rules=rules))
    assert branch_to_keep(settings, "red", Certname("web-1.example.org"), 0.0) == branch


def test_without_a_rule_for_topics_the_branch_must_be_named() -> None:
    settings = Settings(branches=BranchSettings(rules=("main = production", "project/<name> = p_<name>")))
    with pytest.raises(ToolkitError, match=r"self_master\.keep_as: .*no rule in .* has <name> and <topic>"):
        branch_to_keep(settings, "red", Certname("web-1.example.org"), 0.0)
    named = replace(settings, self_master=SelfMasterSettings(keep_as="kept/%{name}"))
    assert branch_to_keep(named, None, Certname("web-1.example.org"), 0.0) == "kept/web-1"


def test_a_project_begins_where_the_rules_or_the_setting_say(bare: Bare) -> None:
    assert beginning(BranchSettings()) == "test"
    assert beginning(bare.settings) == "staging"
    assert beginning(replace(bare.settings, beginning=BranchName("main"))) == "main"
    with pytest.raises(ConfigurationError, match=r"branches\.beginning"):
        beginning(replace(bare.settings, rules=("project/<name> = p_<name>",)))
    for begins, shows in ((None, "staging"), (BranchName("main"), "main")):
        with Deployer(replace(bare.settings, beginning=begins)) as deployer:
            (one,) = missing([ProjectName(shows)], deployer.repository.branches(), RULES)
            assert make(one, deployer, RefStore(str(bare.path)), "me").outcome == "live"
            assert (bare.live(f"p_{shows}") / "f").read_text() == shows
    git(bare.path, "update-ref", "-d", "refs/heads/staging")
    with (
        Deployer(bare.settings) as deployer,
        pytest.raises(NotFound, match="no branch staging from which projects' branches"),
    ):
        (one,) = missing([ProjectName("late")], deployer.repository.branches(), RULES)
        make(one, deployer, RefStore(str(bare.path)), "me")


def test_a_site_with_nothing_but_main_has_projects(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    bare.settings = replace(bare.settings, rules=("main = production", "project/<name> = project_<name>"))
    bare.commit("main", {"f": "main"})
    with Deployer(bare.settings) as deployer:
        (one,) = missing([ProjectName("red")], deployer.repository.branches(), bare.settings.rules)
        assert make(one, deployer, RefStore(str(bare.path)), "me").outcome == "live"
        shown = rows(Settings(branches=bare.settings), deployer, RefStore(str(bare.path)))
    assert (bare.live("project_red") / "f").read_text() == "main"
    compared = {row.environment: [branch for branch, _ in row.compared] for row in shown}
    assert compared == {"production": [], "project_red": ["main"]}


def test_what_others_share_files_with_comes_first(bare: Bare) -> None:
    for name in ("project/a", "project/b"):
        bare.commit(name, {"modules": {"a": MODULE, "b": {"x": name}}, "f": name})
    with Deployer(bare.settings) as deployer:
        found = look(deployer, deployer.rules)
        assert [place.branch for place in found.deploy] == ["main", "staging", "project/a", "project/b"]
        assert [len(group) for group in site_first(found.deploy, deployer.rules)] == [2, 2]
        assert [record.outcome for record in reconcile(deployer, found, "me")] == ["live"] * 4
        inodes = {(bare.live(name) / "modules/a/big").stat().st_ino for name in ("stage", "p_a", "p_b")}
        assert len(inodes) == 1
        compared = {row.environment: dict(row.compared) for row in rows(Settings(branches=bare.settings), deployer,
                    RefStore(str(bare.path)))}  # fmt: skip
    assert set(compared["stage"]) == {"main"}


def test_the_doctor_says_why_an_environment_is_not_live_and_what_helps(bare: Bare) -> None:
    bare.commit_tree("main", bare.write("tree", b"100644 a"))
    bare.commit("project/a", {"f": "never tried"})
    bare.commit("project/b", {"home": {".my.cnf": "-> /root/.my.cnf"}})
    with Deployer(bare.settings) as deployer:
        for environment, branch in (("production", "main"), ("stage", "staging"), ("p_b", "project/b")):
            deployer.deploy(EnvironmentName(environment), Tip(BranchName(branch)), "me")
        branches = deployer.repository.branches()
    with Repository(str(bare.path)) as repository:
        found = list(environments(bare.settings, DomainSettings(), branches, repository))
    damaged = "1 does not show its branch (production): a tree object is damaged; run git fsck in the repository"
    left = "home/.my.cnf is a link that leaves the tree: its target must be a relative path"
    mended = "no push helps until an operator has repaired the repository (git fsck) and run: branch-manager deploy "
    known = "harmless if you know about it (docs/branches.md); branch-manager status BRANCH lists all"
    assert [(one.id, one.level, one.found, one.do) for one in found] == [
        ("environments", "fault", damaged, mended + "ENVIRONMENT"),
        ("environments", "fault", "1 does not show its branch (p_a)", "branch-manager deploy"),
        ("checkout", "note", f"p_b: 1 entry of the tree is left out: {left}", known),
    ]
