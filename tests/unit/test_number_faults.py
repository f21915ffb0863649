"""What doctor says of numbers and of memberUid; that real ones are read shows tests/real/test_numbers.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from enc.doctor.numbers import Numbered, judge, judge_names
from enc.rights.groups import Group, Groups
from enc.service.numbers import Series
from enc.settings import PosixSettings, Settings
from enc.terms.record import Record
from tests.support.memory import record

S = "dc=example,dc=org"
SITE = Settings(posix=PosixSettings(member_uid=True))


def group(name: str, number: object, uuid: str = "", base: str = "ou=projects", **more: Sequence[str]) -> Record:
    classes = ("groupOfNames", "posixGroup")
    attributes: dict[str, Any] = {"objectClass": classes, "cn": name, "gidNumber": str(number), **more}
    return replace(record(f"cn={name},{base},{S}", **attributes), uuid=uuid or name)


def admins(name: str, **more: str | Sequence[str]) -> Record:
    classes = ("organizationalRole", *(("posixGroup",) if "gidNumber" in more else ()))
    attributes: dict[str, Any] = {"objectClass": classes, "cn": "projectadmin", **more}
    return replace(record(f"cn=projectadmin,cn={name},ou=projects,{S}", **attributes), uuid=f"role {name}")


def account(name: str, number: object) -> Record:
    classes = ("inetOrgPerson", "posixAccount")
    attributes: dict[str, Any] = {"objectClass": classes, "uid": name, "uidNumber": str(number)}
    return replace(record(f"uid={name},ou=people,{S}", **attributes, gidNumber=str(number)), uuid=name)


def noted(number: int, owner: str, *uuids: str) -> dict[Series, dict[int, Record]]:
    attributes: dict[str, Any] = {"cn": str(number), "owner": owner, **({"serialNumber": uuids} if uuids else {})}
    return {Series.GID: {number: record(f"cn={number},ou=gid,ou=numbers,{S}", **attributes)}}


NONE = Groups(())
RED = f"cn=red,ou=projects,{S}"


@pytest.mark.parametrize(
    ("seen", "level", "words"),
    [
        (Numbered(), "ok", "no person"),
        (Numbered((group("red", 50000), account("anna", 20000))), "ok", "2 numbers"),
        (Numbered((group("red", 50000), group("blue", 50000))), "fault", "cn=red"),
        (Numbered((group("red", 50000), group("own", 50000, base="ou=groups"))), "fault", "50000"),
        (Numbered((account("anna", 20000), account("bert", 20000))), "fault", "uidNumber 20000"),
        (Numbered((group("red", 1234),)), "note", "is not one of 50000-59999"),
        (Numbered((group("red", 27),)), "warning", "is one of 0-999"),
        (Numbered((account("anna", 0),)), "warning", "is one of 0-999"),
        (Numbered((group("own", 27, base="ou=groups"),)), "ok", ""),
        (Numbered((group("red", "x"),)), "ok", ""),
        (Numbered((group("red", 50000),), local={Series.GID: {50000: "backup"}}), "warning", "own group backup"),
        (Numbered((group("red", 50000),), local={Series.GID: {50000: "red"}}), "ok", ""),
        (Numbered((account("anna", 20000),), local={Series.UID: {20000: "svc"}}), "warning", "own account svc"),
        (Numbered((group("red", 50000),), {Series.GID: {}}), "note", "not recorded"),
        (Numbered((group("red", 50000, "u"),), noted(50000, RED)), "note", "not recorded"),
        (Numbered((group("red", 50000, "u"),), noted(50000, RED, "u")), "ok", ""),
        (Numbered((group("red", 50000, "u"),), noted(50000, f"cn=old,{S}", "v")), "warning", "was given to cn=old"),
        (Numbered((group("red", 50000),), structural=1), "warning", "RFC 2307"),
        (Numbered((group("red", 50000),), lacking=(admins("red"),)), "note", f"cn=projectadmin,{RED}: has no"),
        (Numbered((group("red", 50000),), lacking=(admins("blue"),)), "ok", ""),
        (Numbered((group("red", 50000), admins("red", gidNumber="50000"))), "fault", "50000"),
        (Numbered((group("red", 50000), admins("red", gidNumber="50001"))), "ok", "2 numbers"),
        (Numbered((admins("red", gidNumber="27"),)), "warning", "is one of 0-999"),
    ],
)
def test_numbers(seen: Numbered, level: str, words: str) -> None:
    (found,) = judge(seen, SITE)
    assert (found.level, words in found.found) == (level, True), found


def test_many_faults_are_counted() -> None:
    seen = Numbered(tuple(group(f"p{number}", 100 + number) for number in range(30)))
    assert [one.found for one in judge(seen, SITE)][10:] == ["20 more like this"]


def test_member_uid_that_drifted_is_told() -> None:
    members = (f"uid=anna,ou=people,{S}", f"cn=bert,ou=people,{S}", f"cn=nobody,{S}")
    found = {members[1]: record(members[1], uid="bert")}
    drifted = group("red", 50000, member=members, memberUid=("anna", "stranger"))
    (told,) = judge_names(Numbered((drifted,)), SITE, found.get, NONE)
    assert (told.id, told.level) == ("member-uid", "warning")
    assert told.found == f"{RED}: memberUid lacks bert and has stranger who are not members"
    equal = group("red", 50000, member=members, memberUid=("anna", "bert"))
    assert [one.level for one in judge_names(Numbered((equal,)), SITE, found.get, NONE)] == ["ok"]
    inner = f"cn=tools,ou=projects,{S}"
    nested = group("red", 50000, member=(members[0], inner), memberUid=("anna",))
    (told,) = judge_names(Numbered((nested,)), SITE, found.get, Groups((Group(inner, (members[1],)),)))
    assert told.found == f"{RED}: memberUid lacks bert"
    occupants = (members[0], inner)
    role = admins("red", gidNumber="50001", roleOccupant=occupants, memberUid=("anna", "stranger"))
    (told,) = judge_names(Numbered((role,)), SITE, found.get, Groups((Group(inner, (members[1],)),)))
    assert told.found == f"cn=projectadmin,{RED}: memberUid lacks bert and has stranger who do not hold this role"
