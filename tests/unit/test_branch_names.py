"""Branches, object names, environments: what is accepted, and what becomes what."""

from __future__ import annotations

import pytest

from enc.settings import BranchSettings
from enc.terms.environments import Rules, collisions
from enc.terms.errors import ConfigurationError, InvalidName
from enc.terms.names import BranchName, ProjectName
from git_hooks.repository.git_program import git_environment
from git_hooks.repository.refs import ObjectId, parse_updates

RULES = Rules(BranchSettings().rules)
A, ABSENT = "a" * 40, "0" * 40


@pytest.mark.parametrize("name", ["production", "topic/web/fix-1.2", "A_b", "a.lockx", "x" * 150])
def test_branch_names_that_are_taken(name: str) -> None:
    assert BranchName(name).ref == f"refs/heads/{name}"


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a//b", "-a", "a/-b", ".a", "a/.b", "a..b", "a.", "a./b", "a.lock", "a.lock/b", "a b", "a\n",
     "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "ä", "a\0", "x" * 151, "$(id)", "a;b", "a'b"],
)  # fmt: skip
def test_branch_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        BranchName(name)


@pytest.mark.parametrize(
    ("branch", "environment", "project", "topic"),
    [
        ("production", "production", None, None),
        ("test", "test", None, None),
        ("project/web", "project_web", "web", None),
        ("project/web-1", "project_web_1", "web-1", None),
        ("topic/web/fix-1.2", "project_web__fix_1_2", "web", "fix-1.2"),
    ],
)
def test_a_branch_becomes_its_environment(
    branch: str, environment: str, project: str | None, topic: str | None
) -> None:
    place = RULES.place(BranchName(branch))
    assert place is not None
    assert (place.environment, place.project, place.topic) == (environment, project, topic)


@pytest.mark.parametrize("branch", ["main", "feature/x", "project/a/b/c", "project", "production/x"])
def test_a_branch_that_no_rule_names_has_no_environment(branch: str) -> None:
    assert RULES.place(BranchName(branch)) is None


@pytest.mark.parametrize("name", ["main", "master", "agent", "server", "user", "MAIN"])
def test_environments_that_puppet_refuses(name: str) -> None:
    with pytest.raises(InvalidName, match="settings"):
        Rules(["<topic> = <topic>"]).place(BranchName(name))


@pytest.mark.parametrize("branch", ["project/1web", "project/WEB"])
def test_a_project_must_be_a_projects_name(branch: str) -> None:
    with pytest.raises(InvalidName, match="project"):
        RULES.place(BranchName(branch))


@pytest.mark.parametrize(
    "rule", ["x", "a = b c", "project/<name> = same", "<name>/<name> = <name>", "<other> = <other>", "a = <name>"]
)
def test_rules_that_are_refused(rule: str) -> None:
    with pytest.raises(ConfigurationError):
        Rules([rule])


def test_branches_that_want_one_environment_are_found() -> None:
    branches = ["test", "project/a-b", "project/a_b", "topic/a/t", "project/a__t", "project/c"]
    places = [RULES.place(BranchName(branch)) for branch in branches]
    assert collisions(place for place in places if place) == {
        "project_a_b": ("project/a-b", "project/a_b"),
        "project_a__t": ("project/a__t", "topic/a/t"),
    }


def test_environments_that_differ_in_case_collide() -> None:
    places = [Rules(["<topic> = <topic>"]).place(BranchName(name)) for name in ("Ab", "aB", "c")]
    assert collisions(place for place in places if place) == {"Ab": ("Ab", "aB")}


def test_what_a_hook_reads() -> None:
    text = f"{ABSENT} {A} refs/heads/a\n{A} {ABSENT} refs/heads/b c\n".encode()
    created, deleted = parse_updates(text)
    assert (created.creates, created.deletes, created.ref) == (True, False, "refs/heads/a")
    assert (deleted.creates, deleted.deletes, deleted.ref) == (False, True, "refs/heads/b c")
    assert parse_updates(b"") == ()


@pytest.mark.parametrize("text", [b"x", b"a b c\n", f"{A} {A}\n".encode(), f"{A} {A} \n".encode(), b"\xff \xff \xff\n"])
def test_a_hooks_input_that_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidName):
        parse_updates(text)


@pytest.mark.parametrize("name", ["a" * 39, "a" * 41, "A" * 40, "g" * 40, "a" * 65, ""])
def test_object_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        ObjectId(name)


def test_git_of_ours_is_not_led_astray_by_the_hooks_variables() -> None:
    theirs = {"GIT_DIR": "/x", "GIT_CONFIG_COUNT": "1", "SSH_ASKPASS": "/x"}
    inherited = {**theirs, "GIT_OBJECT_DIRECTORY": "/q", "PATH": "/bin"}
    ours = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": ""}
    expected = {"PATH": "/bin", "LC_ALL": "C", "GIT_ALLOC_LIMIT": str(1 << 29), **ours}
    assert git_environment(inherited) == expected
    assert git_environment(inherited, quarantine=True) == expected | {"GIT_OBJECT_DIRECTORY": "/q"}


@pytest.mark.parametrize(
    ("rule", "project", "taken"),
    [
        ("project/<name> = project_<name>", "agent", None),
        ("p/<name> = <name>", "agent", "agent"),
        ("p/<name> = <name>", "agents", None),
        ("p/<name> = u<name>", "ser", "user"),
        ("p/<name>/<topic> = <name><topic>", "ag", None),
    ],
)
def test_a_project_has_no_name_that_puppet_keeps(rule: str, project: str, taken: str | None) -> None:
    assert Rules([rule]).takes_of_puppet(ProjectName(project)) == taken
