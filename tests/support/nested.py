"""Who is in what by way of groups, as data (tests/cases/membership.yaml): read, and put into a directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ldap3 import Connection

from enc.rights.roles import Action
from enc.terms import dn
from tests.support.slapd import ADD, DELETE, Slapd, checked

S = "dc=example,dc=org"
PASSWORD = "secret"
DATA = yaml.safe_load((Path(__file__).parent.parent / "cases" / "membership.yaml").read_text(encoding="utf-8"))
DNS = {"esme": f"cn=Smith\\, Esme,ou=people,{S}"}
"""People whose names in LDAP are not uid=…"""


class Case(NamedTuple):
    """One person, one project, one action."""

    who: str
    path: str
    project: str
    action: Action
    may: bool


def cases() -> Iterator[Case]:
    """Yield each row once for each action that it names."""
    for row in DATA["rows"]:
        for names, may in ((row["may"], True), (row["not"], False)):
            for name in names:
                yield Case(row["who"], row["path"], row["of"], Action[name], may)


def person_dn(uid: str) -> str:
    return DNS.get(uid, f"uid={uid},ou=people,{S}")


def place(name: str) -> str:
    """Return the DN that a name in a list stands for."""
    kind, _, rest = name.partition(" ")
    if kind == "project":
        return dn.build("cn", rest, f"ou=projects,{S}")
    if kind == "role":
        project, _, role = rest.partition("/")
        return f"cn={role},{place(f'project {project}')}"
    if kind == "group":
        return dn.build("cn", rest, f"ou=groups,{S}")
    return rest if kind == "dn" else person_dn(name)


def way(names: Iterable[str]) -> list[str]:
    """Return the DNs that the words of a `way` stand for."""
    return [dn.normalise(place(_full(name))) for name in names]


def _full(name: str) -> str:
    if name == "operators":
        return "group operators"
    return name if " " in name else f"role {name}" if "/" in name else f"project {name}"


def populate(slapd: Slapd) -> None:
    """Put the site into the directory, and let happen what happens to it."""
    site = DATA["site"]
    with slapd.connect() as manager:
        for uid in sorted({row["who"] for row in DATA["rows"]} | {"zed"}):
            entry = {"objectClass": "inetOrgPerson", "uid": uid, "sn": uid, "userPassword": PASSWORD}
            _add(manager, person_dn(uid), {**entry, "cn": "Smith, Esme" if uid == "esme" else uid})
        for name, lists in site["projects"].items():
            _project(manager, name, lists)
        for role in site["roles"]:
            above = ",".join(filter(None, (role["below"], f"ou=projects,{S}")))
            held = {"roleOccupant": [place(one) for one in role["roleOccupant"]]}
            entry = {"objectClass": "organizationalRole", "cn": role["cn"], **held}
            _add(manager, f"cn={role['cn']},{above}", entry)
        for name, lists in site["groups"].items():
            entry = {"objectClass": "groupOfNames", "cn": name, "member": [place(one) for one in lists["member"]]}
            _add(manager, place(f"group {name}"), entry)
        manager.modify(place("group operators"), {"member": [(ADD, [place(one) for one in site["operators"]])]})
        checked(manager)
        for event in DATA["then"]:
            _happens(manager, event)


def _project(manager: Connection, name: str, lists: dict[str, list[str]]) -> None:
    top = place(f"project {name}")
    classes = ["groupOfNames", "puppetClient", "puppetmasterClassification"]
    members = [place(one) for one in lists["member"]]
    _add(manager, top, {"objectClass": classes, "cn": name, "member": members})
    for role, names in lists.items():
        if role != "member":
            held = {"roleOccupant": [place(one) for one in names]}
            _add(manager, f"cn={role},{top}", {"objectClass": "organizationalRole", "cn": role, **held})
    _add(manager, f"cn=web,{top}", {"objectClass": "puppetmasterScope", "cn": "web", "description": "x"})
    _hosts(manager, name)


def _hosts(manager: Connection, project: str) -> None:
    _add(manager, f"ou={project},ou=hosts,{S}", {"objectClass": "organizationalUnit", "ou": project})
    classes = ["device", "puppetClient", "puppetmasterClassification"]
    _add(manager, node_dn(project), {"objectClass": classes, "cn": f"one.{project}.example"})


def node_dn(project: str, name: str = "one") -> str:
    return f"cn={name}.{project}.example,ou={project},ou=hosts,{S}"


def _happens(manager: Connection, event: dict[str, str]) -> None:
    if "rename" in event:
        manager.modify_dn(place(f"project {event['rename']}"), f"cn={event['to']}")
        checked(manager)
        _hosts(manager, event["to"])
    elif "delete" in event:
        top = place(f"project {event['delete']}")
        for name in (f"cn=web,{top}", f"cn=projectadmin,{top}", top):
            manager.delete(name)
            checked(manager)
    else:
        list_of = place(f"project {event['out_of']}")
        manager.modify(list_of, {"member": [(DELETE, [place(event["take"])])]})
        checked(manager)


def _add(manager: Connection, name: str, attributes: dict[str, Any]) -> None:
    manager.add(name, attributes=attributes)
    checked(manager)
