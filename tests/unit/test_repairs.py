"""The table of repairs: tests/cases/repairs.yaml says what is seen, and what is to be done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.authority import gauges
from enc.authority.statuses import CertificateStatus, read_all, read_one
from enc.instances.enrolment import Enrolment
from enc.instances.repairs import ACTS, Act, Entry, Excess, Held, Repair, Seen, excessive, find
from enc.terms.names import Certname, ProjectName

FILE = Path(__file__).parents[1] / "cases/repairs.yaml"
CASES: dict[str, Any] = yaml.safe_load(FILE.read_text())
NOW = 10_000
TOKEN = "a" * 64
ENROLMENTS = {
    None: None,
    "closed": Enrolment("closed", 1000),
    "unreadable": Enrolment("closed", 0),
    "waiting": Enrolment("waiting", 1000, 20_000, TOKEN),
    "expired": Enrolment("waiting", 1000, 9000, TOKEN),
    "signed": Enrolment("waiting", 1000, 20_000, TOKEN).signed_for("b" * 64, 1100),
    "signed and over": Enrolment("waiting", 1000, 9000, TOKEN).signed_for("b" * 64, 1100),
}
NAME = Certname("web.example.org")


def seen(case: dict[str, Any]) -> Seen:
    entries = {}
    if "entry" in case:
        given = {"enrolment": "signed", "project": "red", "serial": "", "built": False, **case["entry"]}
        enrolment, project = ENROLMENTS[given["enrolment"]], ProjectName(given["project"])
        entries[NAME] = Entry(enrolment, project, given["serial"], given["built"])
    held = [
        Held(
            one["at"],
            CertificateStatus(NAME, one["state"], authorized=one.get("authorized", False)),
            one.get("ours", True),
        )
        for one in case.get("held", ())
    ]
    return Seen(
        entries,
        tuple(held),
        {"central": (), "blue": ("blue",)} if case.get("answered", True) else {},
        frozenset([NAME] if case.get("journal") else ()),
        frozenset([NAME] if case.get("keep") else ()),
        frozenset([NAME] if case.get("answer") else ()),
        case.get("silent", False),
        None if "cloud" not in case else frozenset(case["cloud"]),
    )


@pytest.mark.parametrize("name", CASES)
def test_repairs(name: str) -> None:
    case = CASES[name]
    found = find(seen(case), NOW, case.get("patience", 0))
    assert [" ".join(filter(None, (one.act, one.authority))) for one in found] == case["repairs"]
    assert all(one.certname == NAME and one.why for one in found)


def test_every_repair_is_in_the_table() -> None:
    told = {text.removesuffix(" central").removesuffix(" blue") for case in CASES.values() for text in case["repairs"]}
    assert told == set(ACTS)


def taken(authority: str, project: str, count: int, act: Act = "revoke") -> list[Repair]:
    names = [Certname(f"n{number}.x{project}.example.org") for number in range(count)]
    return [Repair(act, name, "why", authority, project) for name in names]


def have(authority: str, **projects: int) -> list[tuple[str, str]]:
    return [(authority, project) for project, count in projects.items() for _ in range(count)]


def test_an_authority_where_too_much_would_go_stops_itself_only() -> None:
    several = [one for authority in ("central", "blue") for p in "abc" for one in taken(authority, p, 9)]
    held = [*have("central", a=50, b=50, c=50), *have("blue", a=40, b=40, c=39)]
    assert excessive(several, held) == (Excess("blue", None, 27),)
    assert excessive([one for one in several if one.authority == "blue"], []) == (Excess("blue", None, 27),)
    few = [*taken("blue", "a", 10), *taken("blue", "b", 99, "delete request")]
    assert excessive(few, []) == ()


@pytest.mark.parametrize("where", ["central", ""])
def test_one_project_that_loses_much_does_not_stop_the_others(where: str) -> None:
    act: Act = "revoke" if where else "delete"

    def judged(found: dict[str, int], **there: int) -> dict[str | None, int]:
        repairs = [one for project, count in found.items() for one in taken(where, project, count, act)]
        return {one.project: one.many for one in excessive(repairs, have("central", **there))}

    assert judged({"evil": 30, "a": 3, "b": 4}, evil=30, a=35, b=35) == {"evil": 30}
    assert judged({"evil": 30, "a": 3}, evil=30, a=200) == {}, "within the bound of all"
    assert judged({"evil": 19, "a": 3}, evil=96, a=4) == {"evil": 19}, "not many of its own"
    assert judged({"evil": 10, "a": 3}, evil=20, a=20) == {"evil": 10}, "few, with others' too many"
    assert judged({"a": 30, "b": 30, "c": 30}, a=30, b=30, c=30) == {"a": 30, "b": 30, "c": 30}
    assert judged({"a": 8, "b": 8, "c": 8}, a=8, b=8, c=8) == {None: 24}, "a wrong setting, and no one's doing"
    assert judged({"evil": 30, "a": 8, "b": 8, "c": 8}, evil=30, a=8, b=8, c=8) == {None: 54}
    assert judged({"": 30, "a": 3}, a=35) == {"": 30}, "nobody can tell whose"


STATUS = b"""{"name": "web.example.org", "state": "signed", "serial_number": 7, "not_after": "2031-11-21T21:48:37UTC",
"fingerprint": "AA:BB", "authorization_extensions": {}}"""


def test_a_status_is_read() -> None:
    assert read_one(STATUS) == CertificateStatus(NAME, "signed", 7, 1_953_064_117, "AA:BB", False)


def test_names_that_are_none_are_counted() -> None:
    body = b"[" + STATUS + b', {"name": "../x", "state": "signed"}, 7, {"name": "Web"}]'
    found = read_all(body)
    assert ([one.name for one in found.known], found.odd) == ([NAME], 3)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        STATUS.replace(b'"signed"', b'"good"'),
        STATUS.replace(b"web.example.org", b"../x"),
        STATUS.replace(b": 7", b": []"),
        STATUS.replace(b": 7", b": true"),
        STATUS.replace(b": 7", b": " + b"9" * 5000),
        STATUS.replace(b"2031-11", b"2031-13"),
        STATUS.replace(b"UTC", b""),
    ],
)
def test_a_status_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_one(body)


@pytest.mark.parametrize("body", [b"", b"{}", b"[" * 100_000, b"[" + STATUS.replace(b": 7", b": []") + b"]"])
def test_a_list_of_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_all(body)


def test_gauges_are_those_of_the_docs_and_hold_what_was_seen() -> None:
    known = (CertificateStatus(NAME, "signed", 7, 2000), CertificateStatus(NAME, "revoked", 8, 1000))
    text = gauges.text({"central": gauges.Held(known, 3000), "red": gauges.Held(None, None)}, ["built", "built"], 4)
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values == {
        'puppetmaster_authority_up{authority="central"}': "1",
        'puppetmaster_authority_up{authority="red"}': "0",
        'puppetmaster_certificates{authority="central",state="revoked"}': "1",
        'puppetmaster_certificates{authority="central",state="signed"}': "1",
        'puppetmaster_certificate_first_end_seconds{authority="central"}': "2000",
        'puppetmaster_crl_end_seconds{authority="central"}': "3000",
        'puppetmaster_instances{state="built"}': "2",
        "puppetmaster_instance_operations_unfinished": "4",
    }
    docs = (Path(__file__).parents[2] / "docs/instances.md").read_text()
    told = set(re.findall(r"^\| `(\w+)(?:\{[\w,]+\})?` \|", docs.partition("| gauge, after")[2], re.MULTILINE))
    assert told == {line.split()[2].removeprefix("puppetmaster_") for line in text.splitlines() if "# TYPE" in line}
