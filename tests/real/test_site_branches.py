"""A site whose own branches are not called test and production."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enc.settings import BranchSettings, Settings
from enc.terms.environments import Rules, site_first
from enc.terms.errors import ConfigurationError, NotFound
from enc.terms.names import BranchName, EnvironmentName, ProjectName
from git_hooks.branches.listing import references, rows
from git_hooks.branches.project_branches import beginning, make, missing
from git_hooks.branches.reconcile import look, reconcile
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from git_hooks.doctor.liveness import environments
from git_hooks.repository.objects import Repository
from git_hooks.repository.refstore import RefStore
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
    assert site_branch(Settings(branches=BranchSettings(rules=RULES))) == "main"
    assert site_branch(Settings()) == "production"
    assert site_branch(Settings(branches=BranchSettings(rules=("x = x",)))) == "production"


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
        pytest.raises(NotFound, match="no branch staging that projects' branches"),
    ):
        (one,) = missing([ProjectName("late")], deployer.repository.branches(), RULES)
        make(one, deployer, RefStore(str(bare.path)), "me")


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
                    RefStore(str(bare.path)), 0.0)}  # fmt: skip
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
        found = list(environments(bare.settings, branches, repository))
    damaged = "1 do not show their branch (production): a tree object is damaged; run git fsck in the repository"
    left = "home/.my.cnf is a link that leaves the tree: its target must be a relative path"
    mended = "no push helps before an operator has mended the repository (git fsck), then: branch-manager deploy "
    known = "right if you know of it (docs/branches.md); branch-manager status BRANCH names all"
    assert [(one.id, one.level, one.found, one.do) for one in found] == [
        ("environments", "fault", damaged, mended + "ENVIRONMENT"),
        ("environments", "fault", "1 do not show their branch (p_a)", "branch-manager deploy"),
        ("checkout", "note", f"p_b: 1 entry of the tree is left out: {left}", known),
    ]
