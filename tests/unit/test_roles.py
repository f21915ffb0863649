"""A role is a row of a table: what is made of a table that has one more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from enc.directory.access import PARTS, WHOLE, access_rules, everything_editors
from enc.edits.change import Change, Step
from enc.rights.roles import (
    PROJECTADMIN,
    ROLES,
    Action,
    Held,
    Holding,
    Person,
    Role,
    allowed,
    remembered,
    role_entries,
    table_of,
)
from enc.service.authorize import needed
from enc.settings import BranchSettings, DirectorySettings, Settings
from enc.settings.config import parse
from enc.settings.site import DELEGATED
from enc.terms.errors import ConfigurationError, DirectoryUnreachable
from enc.terms.names import BranchName, PersonName, ProjectName
from git_hooks.push.membership import Membership
from git_hooks.push.policy import Facts, judge, read
from git_hooks.repository.refs import ObjectId, RefUpdate
from git_hooks.transport.reading import refusal
from tests.support.memory import record
from tests.support.people import KEEPER, REVIEWER, TABLE, person, rows, who
from tests.unit.test_policy import RULES

S = "dc=example,dc=org"
RED, BLUE = ProjectName("red"), ProjectName("blue")
A, B = ObjectId("a" * 40), ObjectId("b" * 40)

RITA = Person("rita", holds=frozenset({Holding("reviewer")}), table=TABLE)
KIM = Person("kim", holds=frozenset({Holding("keeper", RED)}), table=TABLE)
ZOE = Person("zoe", table=TABLE)


def pushed(somebody: Person, branch: str, *, rewrites: bool = False) -> tuple[str, ...]:
    return judge(somebody, read(RefUpdate(A, B, f"refs/heads/{branch}"), RULES), Facts(rewrites=rewrites)).problems


def test_a_new_role_may_push_what_its_row_says() -> None:
    assert pushed(RITA, "test") == ()
    assert pushed(RITA, "test", rewrites=True)[0].startswith(
        "rita is a reviewer, but may not rewrite a branch that belongs to no project; operators may"
    )
    assert pushed(RITA, "project/red") == (
        "rita is a reviewer, but may not push to a branch of project red; its members, its admins and operators may",
    )
    assert pushed(ZOE, "test") == (
        "zoe is not an operator or a reviewer and may not move a branch that belongs to no project; "
        "reviewers and operators may",
    )
    assert pushed(person("zoe"), "test") == (
        "zoe is not an operator and may not move a branch that belongs to no project; operators may",
    )


def test_a_row_that_names_branches_is_about_no_others() -> None:
    assert not allowed(RITA, Action.SITE_BRANCH_PUSH, None, BranchName("production")).allowed
    assert not allowed(RITA, Action.SITE_BRANCH_PUSH, None).allowed, "which branch is not known"
    assert allowed(RITA, Action.NODE_TRY, RED).allowed, "that is about no branch"
    assert allowed(RITA, Action.NODE_TRY, None).allowed


def test_a_role_takes_nothing_away() -> None:
    both = RITA._replace(holds=RITA.holds | {Holding("member", RED)})
    assert pushed(both, "test") == pushed(both, "project/red") == ()
    assert both.role(BLUE) is both.role(None) is REVIEWER
    assert KIM.role(RED) is KEEPER
    assert KIM.role(BLUE) is KIM.role(None) is ROLES[-1]


def test_words_about_a_role_in_a_project() -> None:
    assert allowed(KIM, Action.NODE_EDIT, RED).allowed
    assert not allowed(KIM, Action.NODE_EDIT, None).allowed
    assert allowed(KIM, Action.NODE_REMOVE, RED).reason == (
        "kim is a keeper of project red, but may not remove nodes of it; its admins and operators may"
    )
    assert allowed(KIM, Action.NODE_ADD, BLUE).reason == (
        "kim is not a member of project blue and may not add a node to it; its keepers, its admins and operators may"
    )
    alone = Person("zoe", table=(KEEPER, ROLES[-1]))
    assert allowed(alone, Action.TAG_PUSH, None).reason == "zoe may not create, move or delete tags; nobody may"


def test_who_has_a_role_may_read_and_who_has_none_may_not() -> None:
    assert refusal(RITA, "members") == refusal(KIM, "members") == ""
    assert refusal(ZOE, "members")


@pytest.mark.parametrize("somebody", [RITA, KIM, ZOE])
def test_what_a_person_holds_goes_through_json_and_back(somebody: Person) -> None:
    document = json.loads(json.dumps(somebody.document()))
    assert remembered(somebody.name, document, TABLE) == somebody
    assert remembered(somebody.name, document) is None, "it was asked about other roles"


@pytest.mark.parametrize(
    "change",
    [
        {"asked": None},
        {"dn": 1},
        {"holds": None},
        {"holds": "no"},
        {"holds": [["reviewer"]]},
        {"holds": [["keeper", ""]]},
        {"holds": [["reviewer", "red"]]},
        {"holds": [["other", ""]]},
        {"holds": [["no such role", ""]]},
        {"holds": [["keeper", "NO NAME"]]},
        {"holds": [["keeper", 7]]},
        {"holds": [[["keeper"], "red"]]},
    ],
)
def test_what_is_no_such_document_says_nothing(change: dict[str, object]) -> None:
    assert remembered("kim", {**KIM.document(), **change}, TABLE) is None


@pytest.fixture
def membership(tmp_path: Path) -> Callable[[tuple[Role, ...]], Membership]:
    """Make one that finds no LDAP, at 1,000 seconds after 1970."""
    settings = Settings(
        directory=DirectorySettings(uris=(f"ldapi://{tmp_path / 'nobody'}".replace("/", "%2F").replace(":%2F%2F", "://"),)),
        branches=BranchSettings(repository=tmp_path),
    )
    return lambda table: Membership(settings, lambda: 1000.0, table)


def test_what_is_kept_is_used_whole_or_not_at_all(
    membership: Callable[[tuple[Role, ...]], Membership], tmp_path: Path
) -> None:
    kept = tmp_path / "puppetmaster" / "roles" / "rita"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"at": 999.0, **RITA.document()}))
    assert membership(TABLE).person(PersonName("rita")) == RITA
    for said in (
        {"at": 999.0, **Person("rita").document()},  # by a program that does not know the role
        {"at": 1001.0, **RITA.document()},
        {"at": 999.0, "dn": "", "operator": True, "admin_of": [], "member_of": []},
        [],
    ):
        kept.write_text(json.dumps(said))
        with pytest.raises(DirectoryUnreachable):
            membership(TABLE).person(PersonName("rita"))


def rules(table: tuple[Role, ...]) -> dict[str, list[str]]:
    text = access_rules(S, table).removeprefix("access to ")
    return {what: by for what, *by in (directive.split("\n\tby ") for directive in text.split("\naccess to "))}


def test_slapd_lets_a_role_do_what_its_row_says() -> None:
    before, after = rules(ROLES), rules(TABLE)
    reviewers = f'group/groupOfNames/member="cn=reviewers,ou=groups,{S}" write'
    keepers = f'group/organizationalRole/roleOccupant.expand="cn=keeper,cn=$1,ou=projects,{S}"'
    (trial,) = (by for what, by in after.items() if what.endswith("attrs=puppetmasterTrial"))
    assert reviewers in trial
    (children,) = (by for what, by in after.items() if what.endswith("attrs=children") and "ou=hosts" in what)
    assert f"{keepers} =arscd" in children
    touched = {what for what, by in after.items() if by != before.get(what)}
    assert [what for what in touched if reviewers in after[what] and not what.endswith("Trial")] == []
    assert all("ou=hosts" in what or "cn=keeper" in what for what in touched)
    assert any("cn=keeper" in what and after[what] == ["users read"] for what in touched)
    assert everything_editors(S, TABLE) == everything_editors(S)


def test_a_role_whose_edits_slapd_keeps_for_operators_is_not_in_the_table() -> None:
    """Such a row would be allowed here and refused by the embedded directory: access.py needs a rule first."""
    assert {role.name: role.may & WHOLE for role in ROLES if not role.may >= PARTS | WHOLE and role.may & WHOLE} == {}


def test_the_entry_of_a_role_is_no_prefix() -> None:
    entry = record(f"cn=Keeper,cn=red,ou=projects,{S}", objectClass="organizationalRole")
    step = Step("modify", entry.dn, (Change("roleOccupant", (), ("uid=kim",)),))
    assert needed(step, entry, entry, Settings(), TABLE) == {(Action.PROJECT_MEMBERS, RED)}
    assert needed(step, entry, entry, Settings()) == {(Action.OTHER_EDIT, None)}
    assert role_entries(Settings(), TABLE) == {"projectadmin", "keeper"}


def test_the_docs_would_have_to_show_it() -> None:
    assert rows("editing.md")["SITE_BRANCH_PUSH"] == who(Action.SITE_BRANCH_PUSH)
    assert who(Action.SITE_BRANCH_PUSH, TABLE) == "operator, reviewer (test)"
    assert who(Action.NODE_TRY, TABLE) == "operator, reviewer, projectadmin, member"


def test_the_table_is_sound() -> None:
    assert len({role.name for role in ROLES}) == len(ROLES)
    assert all(role.name.isascii() and role.name.isalpha() and role.name.islower() for role in ROLES)
    assert [role.held for role in ROLES].count(Held.EVERYBODY) == 1
    assert all((role.entry is not None) == (role.held in (Held.GROUP, Held.OCCUPANT)) for role in ROLES)
    assert all(("{project}" in role.one) == (role.held is not Held.GROUP) for role in ROLES)


def test_a_role_of_the_sites_own_is_a_row_like_any_other() -> None:
    settings = parse("projects: {roles: [{name: deployer, may: [BRANCH_PUSH, NODE_EDIT]}]}")
    table = table_of(settings)
    deployer = table[2]
    assert table == (*ROLES[:2], deployer, *ROLES[2:]) and table is table_of(settings)
    assert deployer.may == {Action.READ, Action.BRANCH_PUSH, Action.NODE_EDIT}
    dora = Person("dora", holds=frozenset({Holding("deployer", RED)}), table=table)
    assert remembered("dora", json.loads(json.dumps(dora.document())), table) == dora
    assert remembered("dora", dora.document()) is None, "a program that does not know the role"
    assert allowed(dora, Action.BRANCH_PUSH, RED).allowed and not allowed(dora, Action.BRANCH_PUSH, BLUE).allowed
    assert allowed(dora, Action.NODE_ADD, RED).reason == (
        "dora is a deployer of project red, but may not add a node to it; its admins and operators may"
    )
    assert allowed(dora, Action.NODE_EDIT, BLUE).reason.endswith("its deployers, its admins and operators may")
    assert "deployer" in role_entries(settings, table)


def test_what_a_role_can_allow_is_what_is_about_one_project_and_slapd_can_tell() -> None:
    assert {Action[name] for name in DELEGATED} == PROJECTADMIN.may
    assert not PROJECTADMIN.may & WHOLE


@pytest.mark.parametrize(
    ("role", "fault"),
    [
        ("{name: deployer, may: [NODE_MOVE]}", "'NODE_MOVE' is not an action that a role can allow"),
        ("{name: deployer, may: [SITE_BRANCH_PUSH]}", "is not an action"),
        ("{name: deployer, may: [node_edit]}", "is not an action"),
        ("{name: deployer, may: [everything]}", "is not an action"),
        ("{name: member, may: [READ]}", "there is a role member already"),
        ("{name: operator, may: [READ]}", "there is a role operator already"),
        ("{name: boss, may: [READ]}", "boss is the admins' (projects.admin_role)"),
        ("{name: Deployer, may: [READ]}", "is not a role's name"),
        ("{name: 'a,b', may: [READ]}", "is not a role's name"),
        ("{name: 'a.*', may: [READ]}", "is not a role's name"),
        ("{name: ä, may: [READ]}", "is not a role's name"),
        ("{name: 'x\\n', may: [READ]}", "is not a role's name"),
        ("{name: deployer, may: []}", "a list of texts, not empty"),
        ("{name: deployer}", "needs may"),
        ("{name: reader, may: [READ]}, {name: reader, may: [READ]}", "there is more than one role reader"),
    ],
)
def test_a_role_that_cannot_be_is_refused_with_its_place(role: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"projects: {{admin_role: boss, roles: [{role}]}}")
    assert "projects.roles" in str(caught.value) and fault in str(caught.value)
