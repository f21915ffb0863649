"""Who may move which ref: the decision alone."""

from __future__ import annotations

import time

import pytest

from enc.rights.roles import MEMBER, OPERATOR, OTHER, PROJECTADMIN, Action, Held, Holding, Person
from enc.terms.environments import Rules
from enc.terms.errors import MOST_SAID
from enc.terms.names import BranchName, Certname, ProjectName
from git_hooks.push.policy import Counts, Facts, judge, needs, nothing, obstacles, read, some
from git_hooks.push.verdict import SHOWN, PushVerdict, RefVerdict
from git_hooks.repository.refs import ObjectId, RefUpdate
from tests.support.people import TABLE, person, rows, who

RED = ProjectName("red")
RULES = Rules(["test = test", "project/<name> = project_<name>", "project/<name>/<topic> = project_<name>__<topic>"])
A, B, NONE = ObjectId("a" * 40), ObjectId("b" * 40), ObjectId("0" * 40)
PEOPLE = {
    OPERATOR: person("olga", operator=True),
    PROJECTADMIN: person("anna", admin_of=frozenset({RED})),
    MEMBER: person("mia", member_of=frozenset({RED})),
    OTHER: person("zoe", admin_of=frozenset({ProjectName("blue")})),
}


def update(branch: str, old: ObjectId = A, new: ObjectId = B) -> RefUpdate:
    return RefUpdate(old, new, branch if branch.startswith("refs/") else f"refs/heads/{branch}")


@pytest.mark.parametrize(
    ("ref", "old", "new", "rewrites", "action"),
    [
        ("project/red", A, B, False, Action.BRANCH_PUSH),
        ("project/red", NONE, B, False, Action.BRANCH_PUSH),
        ("project/red", A, B, True, Action.BRANCH_FORCE),
        ("project/red", A, NONE, False, Action.BRANCH_DELETE),
        ("project/red/topic", A, NONE, False, Action.BRANCH_DELETE),
        ("test", A, B, False, Action.SITE_BRANCH_PUSH),
        ("test", A, B, True, Action.SITE_BRANCH_FORCE),
        ("refs/tags/v1", A, NONE, False, Action.TAG_PUSH),
    ],
)
def test_what_a_move_needs_is_a_row_of_the_table(
    ref: str, old: ObjectId, new: ObjectId, rewrites: bool, action: Action
) -> None:
    move = read(update(ref, old, new), RULES)
    assert needs(move, rewrites=rewrites)[0] is action
    for role, somebody in PEOPLE.items():
        # What belongs to no project is nobody's but the operators'.
        of = role if "project" in ref or role is OPERATOR else OTHER
        assert judge(somebody, move, Facts(rewrites=rewrites)).allowed == (action in of.may)


@pytest.mark.parametrize("ref", ["refs/archive/x", "refs/notes/x", "feature", "project/RED", "refs/tags/-x", "refs/x"])
def test_some_refs_are_nobodys(ref: str) -> None:
    move = read(update(ref), RULES)
    assert move.refused
    assert not judge(PEOPLE[OPERATOR], move, Facts()).allowed


def test_a_branch_that_git_could_not_keep_is_refused_before_anything_moves() -> None:
    moves = [read(update("project/red/topic", NONE, A), RULES), read(update("project/blue", NONE, A), RULES)]
    found = obstacles(moves, [BranchName("project/red"), BranchName("project/blue/x")], RULES)
    assert "beside branch project/red:" in found["refs/heads/project/red/topic"]
    assert "beside branch project/blue/x:" in found["refs/heads/project/blue"]
    gone = read(update("project/red", A, NONE), RULES)
    assert "refs/heads/project/red/topic" not in obstacles([*moves, gone], [BranchName("project/red")], RULES)


def test_a_project_has_so_many_branches_and_so_many_in_the_archive() -> None:
    red = [BranchName(f"project/red/t{number}") for number in range(9)]
    one = [read(update("project/red/new", NONE, A), RULES)]
    two = [*one, read(update("project/red/newer", NONE, A), RULES)]
    assert obstacles(one, red, RULES, Counts(10)) == {}
    assert set(obstacles(two, red, RULES, Counts(10))) == {move.update.ref for move in two}
    moving = read(update("project/red/t1"), RULES)
    assert obstacles([moving], [*red, *red], RULES, Counts(1)) == {}, "those that are there may move"
    other = read(update("project/blue/new", NONE, A), RULES)
    assert obstacles([other], red, RULES, Counts(1)) == {}
    (told,) = obstacles(one, red, RULES, Counts(10, {RED: 50})).values()
    assert "archive" in told
    gone = read(update("project/red/t1", A, NONE), RULES)
    assert obstacles([*two, gone], red, RULES, Counts(10)) == {}, "one goes in the same push"


def test_who_may_push_nothing_at_all_is_known_before_a_push() -> None:
    assert [nothing(somebody) for somebody in PEOPLE.values()] == [""] * len(PEOPLE)
    assert nothing(person("carol")) == "carol is neither in a project nor an operator and may not push here"
    holding = {
        role.name: Person("x", "", frozenset({Holding(role.name, None if role.held is Held.GROUP else RED)}), TABLE)
        for role in TABLE
        if role.held is not Held.EVERYBODY
    }
    assert [name for name, somebody in holding.items() if nothing(somebody)] == ["keeper"]


def test_thousands_of_new_branches_take_no_longer_than_their_number() -> None:
    moves = [read(update(f"project/red/t{number}", NONE, A), RULES) for number in range(10_000)]
    began = time.process_time()
    assert obstacles(moves, [BranchName(f"project/p{number}") for number in range(1_000)], RULES) == {}
    assert time.process_time() - began < 2


def test_a_branch_that_nodes_use_is_not_deleted_and_neither_is_one_of_which_that_is_not_known() -> None:
    move = read(update("project/red", A, NONE), RULES)
    names = tuple(Certname(f"n{n}.example.org") for n in range(7))
    (told,) = judge(PEOPLE[OPERATOR], move, Facts(used_by=names)).problems
    assert "7 nodes still use environment project_red: n0.example.org" in told
    assert told.count("example.org") == 5
    assert "and 2 more" in told
    (unknown,) = judge(PEOPLE[OPERATOR], move, Facts(users_unknown="LDAP is away")).problems
    assert unknown.endswith("environment project_red: LDAP is away")
    assert some(names[:2]) == "n0.example.org, n1.example.org"


def test_lines_of_a_verdict_are_bounded_and_cannot_be_forged() -> None:
    bad = RefVerdict("refs/heads/a\nremote: b", tuple(f"{n} \x1b[31m" + "x" * MOST_SAID for n in range(SHOWN + 3)))
    lines = PushVerdict((RefVerdict("refs/heads/ok"), bad)).lines()
    assert len(lines) == 2 + SHOWN + 1
    assert lines[-1].endswith("… and 3 more")
    assert MOST_SAID < max(map(len, lines)) < MOST_SAID + 200, "and all that anybody means to say is told"
    assert "".join(lines).isprintable()


def test_the_docs_show_the_table() -> None:
    actions = [action for action in Action if "BRANCH" in action.name or "TAG" in action.name]
    assert rows("pushing.md") == {action.name: who(action) for action in actions}


def test_a_projects_branch_is_never_the_sites_environment() -> None:
    rules = Rules(["main = production", "p/<name> = <name>", "t/<name>/<topic> = <name>_<topic>", "web = red_web"])
    for branch, free in (("p/production", False), ("t/red/web", False), ("t/red/Web", False), ("p/red", True)):
        assert (not read(RefUpdate(NONE, B, f"refs/heads/{branch}"), rules).refused) is free
        assert not read(RefUpdate(A, B, f"refs/heads/{branch}"), rules).refused, "what is there goes on"
    move = read(RefUpdate(NONE, B, "refs/heads/project/red"), RULES)
    refused = judge(PEOPLE[MEMBER], move, Facts(rival=ProjectName("blue")))
    assert "which can also belong to project blue" in refused.problems[0]
