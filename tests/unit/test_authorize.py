"""Who may do what: what an edit needs is told from what it touches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enc.edits.change import Change, Step, after
from enc.rights.roles import MEMBER, OPERATOR, OTHER, PROJECTADMIN, ROLES, Action, allowed
from enc.service.authorize import Need, claimed, first_refusal, needed
from enc.settings import InstanceSettings, NodeSettings, Settings
from enc.terms.names import ProjectName
from enc.terms.record import Record
from tests.support.memory import record
from tests.support.people import person, rows, who

S = "dc=example,dc=org"
RED, BLUE = ProjectName("red"), ProjectName("blue")
ANNA = person("anna", admin_of=frozenset({RED}), member_of=frozenset({RED, BLUE}))
NODE = record(f"cn=n1,ou=red,ou=hosts,{S}", objectClass=("device", "puppetClient"), puppetVar="owner=red")
PROJECT = record(f"cn=red,ou=projects,{S}", objectClass="groupOfNames", member="uid=anna")
PREFIX = record(f"cn=web,cn=red,ou=projects,{S}", objectClass="puppetmasterScope")
ROLE = record(f"cn=projectadmin,cn=red,ou=projects,{S}", objectClass="organizationalRole")
BOX = record(f"ou=red,ou=hosts,{S}", objectClass="organizationalUnit")
SITE = record(f"cn=site,{S}", objectClass="puppetmasterScope")
GROUP = record(f"cn=operators,ou=groups,{S}", objectClass="groupOfNames")


def needs(how: str, entry: Record, *changes: Change, settings: Settings | None = None) -> set[Need]:
    if how == "add":
        step = Step("add", entry.dn, tuple(Change(k, (), v) for k, v in entry.attributes.items()))
        return set(needed(step, None, after(step, None), settings or Settings()))
    step = Step(how, entry.dn, changes)  # type: ignore[arg-type]
    return set(needed(step, entry, after(step, entry), settings or Settings()))


AWAY = Change("dn", (NODE.dn,), (f"cn=n2,ou=red,ou=hosts,{S}",))
SAID = Change("puppetClass", (), ("x",))


@pytest.mark.parametrize(
    "how, entry, changes, expected",
    [
        ("modify", NODE, (SAID,), {(Action.NODE_EDIT, RED)}),
        ("add", NODE, (), {(Action.NODE_ADD, RED)}),
        ("delete", NODE, (), {(Action.NODE_REMOVE, RED)}),
        ("rename", NODE, (AWAY,), {(Action.NODE_MOVE, RED)}),
        ("modify", PREFIX, (SAID,), {(Action.PREFIX_EDIT, RED)}),
        ("modify", PROJECT, (SAID,), {(Action.PROJECT_EDIT, RED)}),
        ("modify", PROJECT, (Change("member", (), ("uid=b",)),), {(Action.PROJECT_MEMBERS, RED)}),
        ("modify", ROLE, (Change("roleOccupant", (), ("uid=b",)),), {(Action.PROJECT_MEMBERS, RED)}),
        ("modify", ROLE, (Change("memberUid", (), ("b",)),), {(Action.PROJECT_MEMBERS, RED)}),
        ("modify", PROJECT, (Change("memberUid", (), ("b",)),), {(Action.PROJECT_MEMBERS, RED)}),
        ("modify", ROLE, (Change("gidNumber", (), ("50000",)),), {(Action.OTHER_EDIT, None)}),
        ("modify", ROLE, (Change("objectClass", (), ("posixGroup",)),), {(Action.OTHER_EDIT, None)}),
        ("add", PROJECT, (), {(Action.PROJECT_ADD, RED)}),
        ("delete", ROLE, (), {(Action.PROJECT_DELETE, RED)}),
        ("modify", SITE, (SAID,), {(Action.SITE_EDIT, None)}),
        ("modify", GROUP, (Change("member", (), ("uid=anna",)),), {(Action.GROUP_EDIT, None)}),
        ("delete", BOX, (), {(Action.OTHER_EDIT, None)}),
        ("modify", record(f"uid=x,ou=people,{S}"), (SAID,), {(Action.OTHER_EDIT, None)}),
        (
            "modify",
            record(f"cn=n,ou=Not A Project,ou=hosts,{S}", objectClass="puppetClient"),
            (SAID,),
            {(Action.OTHER_EDIT, None)},
        ),
    ],
)
def test_needed(how: str, entry: Record, changes: tuple[Change, ...], expected: set[object]) -> None:
    assert needs(how, entry, *changes) == expected


def test_a_project_admin_cannot_move_a_node_by_what_says_its_project() -> None:
    settings = Settings(nodes=NodeSettings(project="variable owner"))
    wanted = needs("modify", NODE, Change("puppetVar", ("owner=red",), ("owner=blue",)), settings=settings)
    both = person("both", admin_of=frozenset({RED, BLUE}))
    assert "move" in (first_refusal(both, wanted) or "")
    assert first_refusal(both, needs("modify", NODE, SAID, settings=settings)) is None
    assert "move" in (first_refusal(ANNA, needs("modify", NODE, Change("puppetmasterProject", (), ("blue",)))) or "")


MINE = InstanceSettings(reserved=("ldap.example.org", "*.db.example.org"), name="%{name}-%{project}.example.org")


@pytest.mark.parametrize("name", ["puppet", "default", "ldap.example.org", "LDAP.example.org", "a.db.example.org"])
def test_names_of_the_sites_servers_are_given_by_operators_only(name: str) -> None:
    settings = Settings(instances=MINE)
    operators = {(Action.OTHER_EDIT, None)}
    server = record(f"cn={name},ou=red,ou=hosts,{S}", objectClass=("device", "puppetClient"), cn=name)
    assert needs("add", server, settings=settings) == operators
    node = record(NODE.dn, objectClass=("device", "puppetClient"), cn="n1")
    assert needs("modify", node, Change("cn", (), (name,)), settings=settings) == operators
    # An operator gave it to them: they may say what it is, and give it back.
    assert needs("modify", server, SAID, settings=settings) == {(Action.NODE_EDIT, RED)}
    assert needs("delete", server, settings=settings) == {(Action.NODE_REMOVE, RED)}


@pytest.mark.parametrize(
    "name, whose",
    [
        ("web-red.example.org", set()),
        ("web-blue.example.org", {"blue"}),
        ("WEB-Blue.example.org", {"blue"}),
        ("a-big-blue.example.org", {"blue", "big-blue"}),
        ("blue.example.org", set()),
        ("web-blue.example.org.evil", set()),
        ("web-9.example.org", set()),
    ],
)
def test_names_that_look_like_another_projects(name: str, whose: set[str]) -> None:
    server = record(f"cn={name},ou=red,ou=hosts,{S}", objectClass=("device", "puppetClient"), cn=name)
    step = Step("add", server.dn, tuple(Change(k, (), v) for k, v in server.attributes.items()))
    assert set(claimed(step, None, after(step, None), Settings(instances=MINE))) == whose
    step = Step("modify", server.dn, (SAID,))
    assert not claimed(step, server, after(step, server), Settings(instances=MINE)), "it has the name already"
    fixed = Settings(instances=replace(MINE, name="%{name}.example.org"))
    step = Step("add", server.dn, tuple(Change(k, (), v) for k, v in server.attributes.items()))
    assert not claimed(step, None, after(step, None), fixed)


@pytest.mark.parametrize("action", Action)
def test_every_role_against_every_action(action: Action) -> None:
    people = {
        OPERATOR: person("olga", operator=True),
        PROJECTADMIN: ANNA,
        MEMBER: person("mia", member_of={RED}),
        OTHER: person("zoe", admin_of={BLUE}),
    }
    assert tuple(people) == ROLES
    for role, somebody in people.items():
        assert somebody.role(RED) is role
        verdict = allowed(somebody, action, RED)
        assert verdict.allowed == (action in role.may)
        assert verdict.allowed or somebody.name in verdict.reason
    # What belongs to no project is nobody's but the operators'.
    assert allowed(ANNA, action, None).allowed == (action is Action.READ)


def test_the_docs_show_the_table() -> None:
    assert rows("editing.md") == {action.name: who(action) for action in Action}
    assert rows("editing.md", "[a-z]+").keys() == {role.name for role in ROLES}
