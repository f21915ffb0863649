"""Which project gets which branch."""

from __future__ import annotations

from enc.settings import BranchSettings
from enc.terms.names import BranchName, ProjectName
from git_hooks.branches.project_branches import missing
from git_hooks.repository.refs import ObjectId

COMMIT = ObjectId("a" * 40)
RULES = BranchSettings().rules
PROJECTS = [ProjectName("red"), ProjectName("a-b"), ProjectName("a_b")]


def test_only_what_is_missing_is_made_and_two_never_share_an_environment() -> None:
    present = {BranchName("test"): COMMIT, BranchName("project/red"): COMMIT}
    first, second = missing(PROJECTS, present, RULES)
    assert first.place is not None and not first.obstacle
    assert (first.place.branch, first.place.environment) == ("project/a-b", "project_a_b")
    assert second.project == "a_b" and "project/a-b" in second.obstacle
    assert missing(PROJECTS[:1], present, RULES) == []


def test_without_a_rule_for_projects_there_is_nothing_to_make() -> None:
    (one,) = missing(PROJECTS[:1], {}, ["test = test"])
    assert one.place is None and "branches.rules" in one.obstacle
