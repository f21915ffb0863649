"""Everything that asks "may this person" says the same of groups in groups: one table, one real directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import yaml
from ldap3 import Connection

from enc.directory.embedded_config import StartOptions
from enc.directory.ldap_store import LdapSource
from enc.edits.change import Change, Step
from enc.rights.groups import holdings, normal
from enc.rights.roles import Action, Holding, Person, allowed, table_of
from enc.service import people
from enc.service.desk import Desk, PlannedEdit, open_desk
from enc.settings import Settings, config
from enc.signing.refusals import Line, readable_by
from enc.terms.environments import Rules
from enc.terms.errors import NotAllowed
from enc.terms.names import PersonName, ProjectName
from enc.terms.record import Record
from git_hooks.push.membership import KnownGroups, Membership
from git_hooks.push.policy import PUSHES, Facts, judge, read
from git_hooks.repository.refs import ObjectId, RefUpdate
from git_hooks.transport.signin import SignedIn, SignIn
from git_hooks.transport.tokens import TokenPurpose, Tokens
from tests.real.conftest import SlapdMaker
from tests.support.crowd import basic
from tests.support.nested import DATA, PASSWORD, Case, S, cases, node_dn, person_dn, place, populate, way
from tests.support.slapd import ADD, DELETE, REPLACE, Refused, Slapd, checked

CASES = list(cases())
A, B = ObjectId("a" * 40), ObjectId("b" * 40)
NOTHING = ObjectId("0" * 40)
RULES = Rules(("project/<name> = project_<name>", "topic/<name>/<topic> = project_<name>__<topic>"))


class Asked(NamedTuple):
    """One person, as each part of the product knows them."""

    persons: dict[str, Person]
    desk: Desk
    ldap: Connection


@pytest.fixture(scope="module")
def slapd(make_module_slapd: SlapdMaker) -> Slapd:
    roles = tuple((name, tuple(may)) for name, may in DATA["roles"].items())
    made = make_module_slapd(options=StartOptions(roles=roles))
    populate(made)
    return made


@pytest.fixture(scope="module")
def settings(slapd: Slapd, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    base = tmp_path_factory.mktemp("membership")
    document = yaml.safe_load(slapd.configuration())
    document["answers"] = {"directory": str(base / "answers")}
    document["audit"] = {"file": str(base / "trail.jsonl")}
    document["branches"] = {"repository": str(base / "repository"), "transport": {"tokens": str(base / "tokens")}}
    document["pushes"] = {"roles_kept": 0}
    document["projects"] = {"roles": [{"name": name, "may": may} for name, may in DATA["roles"].items()]}
    (base / "config.yaml").write_text(yaml.safe_dump(document))
    return config.load(base / "config.yaml")


@pytest.fixture(scope="module")
def asked(slapd: Slapd, settings: Settings) -> Iterator[Callable[[str], Asked]]:
    """Ask everybody about a person, once."""
    known: dict[str, Asked] = {}
    signing_in, tokens, groups = SignIn(settings), Tokens(settings.branches.transport.tokens), KnownGroups()
    with ExitStack() as stack:
        source = stack.enter_context(LdapSource(settings))
        groups.keep(time.time(), people.groups_in(source, settings))

        def ask(uid: str) -> Asked:
            if uid not in known:
                name = PersonName(uid)
                _, word = tokens.create(
                    name, TokenPurpose("test"), 600, read_only=False, by="test", now=time.time()
                )
                by_token = signing_in.check(basic(uid, word)["Authorization"], "192.0.2.1")
                by_password = signing_in.check(basic(uid, PASSWORD)["Authorization"], "192.0.2.1")
                assert isinstance(by_token, SignedIn) and isinstance(by_password, SignedIn)
                pushing, warm = (Membership(settings, time.time, known=one) for one in (None, groups))
                desk = stack.enter_context(open_desk(settings, name, PASSWORD))
                persons = {
                    "the commands": desk.person,
                    "a push": pushing.person(name),
                    "a push to a warm service": warm.person(name),
                    "the transport, by token": by_token.person,
                    "the transport, by password": by_password.person,
                }
                pushing.close()
                warm.close()
                known[uid] = Asked(persons, desk, slapd.connect(person_dn(uid), PASSWORD))
            return known[uid]

        yield ask


def test_the_table_is_as_large_as_it_should_be() -> None:
    assert len(set(CASES)) == len(CASES) >= 150
    assert len({case.path for case in CASES}) >= 25


@pytest.mark.parametrize("row", DATA["rows"], ids=lambda row: f"{row['who']}: {row['path']}: {row['of']}")
def test_all_say_the_same(row: dict[str, str], slapd: Slapd, asked: Callable[[str], Asked]) -> None:
    somebody = asked(row["who"])
    wrong = []
    for case in CASES:
        if (case.who, case.path, case.project) != (row["who"], row["path"], row["of"]):
            continue
        answers = {who: may(person, case) for who, person in somebody.persons.items()}
        answers |= tried(case, somebody, slapd)
        wrong += [f"{who} says {said} to {case.action.name}" for who, said in answers.items() if said != case.may]
    assert wrong == []


def may(person: Person, case: Case) -> bool:
    """Return what a person may, as pushes, the journal of signing and edits are judged."""
    project = ProjectName(case.project)
    if case.action in PUSHES:
        new = NOTHING if case.action is Action.BRANCH_DELETE else B
        move = read(RefUpdate(A, new, f"refs/heads/topic/{case.project}/x"), RULES)
        return judge(person, move, Facts(rewrites=case.action is Action.BRANCH_FORCE)).problems == ()
    if case.action is Action.SIGNING_READ:
        line = Line("2026-01-01T00:00:00Z", "x.example", "granted", True, "", "", case.project)
        assert readable_by(person, line) == allowed(person, case.action, project).allowed
    return allowed(person, case.action, project).allowed


def tried(case: Case, somebody: Asked, slapd: Slapd) -> dict[str, bool]:
    """Try the action as that person: in a dry run of the desk, and in slapd itself."""
    top, node = place(f"project {case.project}"), node_dn(case.project)
    listed = f"uid=guest-of-{case.who},ou=people,{S}"
    edits = {
        Action.NODE_TRY: (node, "puppetmasterTrial", f"project_{case.project.replace('-', '_')} until 5 x"),
        Action.NODE_EDIT: (node, "puppetVar", "a=b"),
        Action.NODE_MOVE: (node, "puppetmasterProject", "red"),
        Action.PREFIX_EDIT: (f"cn=web,{top}", "description", "y"),
        Action.PROJECT_EDIT: (top, "description", "y"),
        Action.PROJECT_MEMBERS: (top, "member", listed),
    }
    if case.action is Action.NODE_ADD:
        entry = {"objectClass": ["device", "puppetClient"], "cn": f"two.{case.project}.example"}
        name = node_dn(case.project, "two")
        adds = _does(somebody.ldap, lambda ldap: ldap.add(name, attributes=entry), lambda: slapd.delete(name))
        return {"slapd": adds}
    if case.action is Action.PROJECT_DELETE:
        return {"slapd": _does(somebody.ldap, lambda ldap: ldap.delete(f"cn=projectadmin,{top}"), lambda: None)}
    if case.action not in edits:
        return {}
    where, attribute, value = edits[case.action]
    if not slapd_has(somebody, where):
        return {}
    kind = ADD if attribute == "member" else REPLACE
    gone = {attribute: [(DELETE, [value] if kind is ADD else [])]}
    step = Step("modify", where, (Change(attribute, (), (value,)),))
    try:
        plan = PlannedEdit("test", "test", ProjectName(case.project), (step,))
        somebody.desk.submit(plan, reason="test", dry_run=True)
        dry = True
    except NotAllowed:
        dry = False
    wanted = {attribute: [(kind, [value])]}
    does = _does(somebody.ldap, lambda ldap: ldap.modify(where, wanted), lambda: slapd.modify(where, gone))
    return {"a dry run": dry, "slapd": does}


def slapd_has(somebody: Asked, name: str) -> bool:
    return somebody.desk.source.read(name) is not None


def _does(ldap: Connection, do: Callable[[Connection], object], undo: Callable[[], None]) -> bool:
    do(ldap)
    try:
        checked(ldap)
    except Refused as refused:
        assert refused.description == "insufficientAccessRights", refused
        return False
    undo()
    return True


WAYS = [row for row in DATA["rows"] if "way" in row]


@pytest.mark.parametrize("row", WAYS, ids=lambda row: f"{row['who']}: {row['path']}: {row['of']}")
def test_the_way_is_told(row: dict[str, list[str]], settings: Settings) -> None:
    with LdapSource(settings) as source:
        entry, groups = people.look_up(PersonName(str(row["who"])), source, settings)
    held = holdings(entry.dn, groups, settings, table_of(settings))
    project = ProjectName(str(row["of"]))
    possible = (found for role in table_of(settings) for found in (Holding(role.name), Holding(role.name, project)))
    first = next(found for found in possible if found in held)
    assert [normal(one) for one in held[first]] == way(row["way"])


class Counting(LdapSource):
    """Counts what is asked."""

    asked = 0

    def search(self, *arguments: Any, **more: Any) -> list[Record]:
        self.asked += 1
        return super().search(*arguments, **more)


def test_ldap_is_asked_once_however_deep(settings: Settings) -> None:
    with Counting(settings) as source:
        person = people.find(PersonName("tim"), source, settings)
        assert source.asked == 1
    assert Holding("member", ProjectName("far")) in person.holds


def test_bases_without_a_common_top_are_asked_one_by_one(settings: Settings) -> None:
    elsewhere = replace(settings, groups=replace(settings.groups, base="ou=groups,dc=elsewhere"))
    with Counting(elsewhere) as source:
        person = people.find(PersonName("tim"), source, elsewhere)
        assert source.asked == 1 + 3 and Holding("member", ProjectName("far")) in person.holds


def test_a_filter_that_only_a_server_understands_is_asked_by_itself(settings: Settings) -> None:
    filtered = replace(settings, people=replace(settings.people, filter="(&(uid=%s)(uid:caseExactMatch:=%s))"))
    with Counting(filtered) as source:
        assert people.find(PersonName("tim"), source, filtered).holds == people.find(
            PersonName("tim"), source, settings
        ).holds
