"""Whatever one entry says, the others get their answers: fuzzed from the copy to the files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enc.answers.copy import Copy
from enc.answers.layout import Layout
from enc.answers.plans import Feed
from enc.answers.reach import Reach
from enc.answers.work import Worker
from enc.answers.writer import AnswerWriter
from enc.classify.gather import members
from enc.settings import AnswerSettings, NodeSettings, Settings
from enc.terms.filters import parse
from enc.terms.names import ProjectName
from enc.terms.record import Record

SUFFIX = "dc=example,dc=org"
GOOD = Record(
    f"cn=good.example.org,ou=alpha,ou=hosts,{SUFFIX}",
    {"objectclass": ("puppetClient",), "cn": ("good.example.org",), "puppetclass": ("ntp",)},
    "good",
    "20260101000000.000000Z#000000#000#000000",
)
ALPHA = Record(
    f"cn=alpha,ou=projects,{SUFFIX}",
    {"objectclass": ("groupOfNames", "puppetClient"), "cn": ("alpha",), "puppetclass": ("base",)},
    "alpha",
)
GROUP = Record(
    f"cn=numbered,ou=groups,{SUFFIX}",
    {"objectclass": ("groupOfURLs",), "memberurl": ("ldap:///??sub?(serialNumber>=10)",), "puppetclass": ("many",)},
    "group",
)
SITE = Record(f"cn=site,{SUFFIX}", {"objectclass": ("puppetmasterScope",)}, "site")

HOSTILE = [
    *("9" * 5000, "-" + "9" * 5000, "0" * 5000 + "7", "٣" * 20, "", " ", "x=" + "[" * 20_000, "x=" + "1" * 5000),
    *(
        "x=" + '{"a":' * 5000,
        "x=1e999",
        'x="\\ud800"',
        "\x00",
        "a\nb",
        "::",
        "x" * 100_000,
        "\u2028",
        "x=NaN",
        "=",
        "a==",
    ),
    *("ldap:///??sub?(serialNumber>=" + "9" * 5000 + ")", "ldap:///??sub?" + "(!" * 5000, "ldap:///\xff??sub?(cn=*)"),
    *(
        "ldap:///??sub?(|" + "(cn=a*b*c*d)" * 500 + ")",
        "ldap:///cn=a??one?(cn=\\ff\\fe)",
        "ldap://x/",
        "ldap:///%zz??sub",
    ),
    *(
        "red until 99999999999 x",
        "red until 999999999999999 x",
        "class a",
        "parameter ::",
        "variable \x00",
        "good.example.org",
    ),
]
ATTRIBUTES = [
    *("cn", "objectclass", "puppetclass", "puppetvar", "parentnode", "environment", "serialnumber", "memberurl"),
    *("puppetmasterdata", "puppetmastervariable", "puppetmasterparameter", "puppetmasterremove", "puppetmastertrial"),
    *("puppetmasterregion", "puppetmasterrole", "puppetmasterproject", "l", "x-y;lang-de", "\\xff"),
]
DNS = [
    *(
        "",
        "=",
        ",",
        "cn",
        "no dn at all",
        "cn=\\",
        "cn=a\\zz,",
        "\\xff\\xfe",
        "cn=a,,",
        "cn=\\00\\0a,ou=alpha",
        "c" * 9999,
    ),
    *(f"cn=bad,ou=alpha,ou=hosts,{SUFFIX}", f"cn=bad+sn=x,ou=\\,,ou=hosts,{SUFFIX}", f"=,ou=hosts,{SUFFIX}"),
    *(
        f"cn=alpha,ou=projects,{SUFFIX}",
        f"cn={'w' * 250},cn=alpha,ou=projects,{SUFFIX}",
        f"cn=,cn=alpha,ou=projects,{SUFFIX}",
    ),
]


def values() -> st.SearchStrategy[str]:
    return st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def records() -> st.SearchStrategy[Record]:
    attributes = st.dictionaries(
        st.sampled_from(ATTRIBUTES), st.lists(values(), min_size=1, max_size=3).map(tuple), max_size=8
    )
    dns = st.sampled_from(DNS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    kind = st.sampled_from([("puppetClient", "groupOfNames", "puppetmasterScope", "groupOfURLs"), ()])
    return st.builds(
        lambda dn, found, classes: Record(dn, {"objectclass": classes, **found} if classes else found, "odd", "x"),
        dns,
        attributes,
        kind,
    )


def take(copy: Copy, reach: Reach, worker: Worker, put: list[tuple[Feed, Record]]) -> None:
    """Do with records what a session does."""
    with copy.transaction():
        for feed, record in put:
            reach.upsert(feed, record, mark=True)
    settle(copy, worker)


def settle(copy: Copy, worker: Worker) -> None:
    while names := copy.worklist.dirty(100):
        copy.worklist.settle(worker.names(copy, names), 1)
    for name in copy.worklist.dirty_projects():
        copy.worklist.settle_project(name, worker.project(copy, ProjectName(name)), 1)
    for group in copy.source.groups():
        assert members(group) is not None


@pytest.mark.parametrize("semantics", ["extended", "terminus"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(["nodes", "projects", "groups", "site"]), records()), min_size=1, max_size=4))
def test_whatever_one_entry_says_the_others_get_their_answers(semantics: str, odd: list[tuple[Feed, Record]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        chosen = Settings(
            answers=AnswerSettings(directory=Path(base)),
            nodes=NodeSettings(semantics=semantics, attributes="all"),  # type: ignore[arg-type]
        )
        layout = Layout(Path(base))
        layout.create()
        with AnswerWriter(layout) as writer:
            copy = Copy(layout.copy, chosen)
            reach, worker = Reach(copy, chosen), Worker(layout, chosen, writer)
            take(copy, reach, worker, [("nodes", GOOD), ("projects", ALPHA), ("groups", GROUP), ("site", SITE)])
            answer = layout.nodes / f"{GOOD.attributes['cn'][0]}.yaml"
            before = answer.read_text()
            assert '"ntp"' in before
            take(copy, reach, worker, odd)
            take(copy, reach, worker, [("nodes", changed("later"))])
            # An entry of one's own name, a bad site or project may hold the answer; what is on disk stays whole.
            assert '"later"' in answer.read_text() or answer.read_text() == before
            with copy.transaction():
                for feed, record in odd:
                    reach.delete(feed, record.uuid, mark=True)
            take(copy, reach, worker, [("projects", ALPHA), ("site", SITE), ("nodes", changed("last"))])
            settle(copy, worker)
            assert '"last"' in answer.read_text()
            assert not reach.faults
            copy.close()


def test_who_administers_a_project_reaches_no_node(tmp_path: Path) -> None:
    chosen = Settings(answers=AnswerSettings(directory=tmp_path))
    role = Record(f"cn=admins,{ALPHA.dn}", {"objectclass": ("organizationalRole",), "cn": ("admins",)}, "role", "1")
    other = Record(role.dn, {**role.attributes, "roleoccupant": ("cn=anna",)}, "role", "2")
    beta = Record(f"cn=beta,ou=projects,{SUFFIX}", {"objectclass": ("groupOfNames",), "cn": ("beta",)}, "beta")
    copy = Copy(tmp_path / "copy.sqlite", chosen)
    reach = Reach(copy, chosen)
    with copy.transaction():
        reach.upsert("nodes", GOOD, mark=False)
        reach.upsert("projects", ALPHA, mark=False)
        for record in (role, other):
            reach.upsert("projects", record, mark=True)
        reach.delete("projects", "role", mark=True)
        assert copy.worklist.dirty(10) == []
        assert [after.csn if after else None for _, _, after in reach.seen] == ["1", "2", None], "history tells it"
        reach.upsert("projects", beta, mark=True)
        assert copy.worklist.dirty(10) == [(GOOD.attributes["cn"][0], None)], "any environment may be its own now"
    copy.close()


def changed(name: str) -> Record:
    return Record(GOOD.dn, {**GOOD.attributes, "puppetclass": (name,)}, GOOD.uuid, name)


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1" + "0" * 4300])
def test_a_number_of_any_length_is_compared(number: str) -> None:
    record = Record("cn=x", {"serialnumber": (number,)})
    assert parse("(serialNumber>=10)").matches(record) is not number.startswith("-")
    assert parse("(serialNumber<=10)").matches(record) is number.startswith("-")


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [("9", "10"), ("-10", "-9"), ("-1", "0"), ("0", "1"), ("007", "8"), ("-12", "-11"), ("99", "0100")],
)
def test_whole_numbers_are_ordered_by_value(smaller: str, larger: str) -> None:
    record = Record("cn=x", {"n": (smaller,)})
    assert parse(f"(n<={larger})").matches(record)
    assert not parse(f"(n>={larger})").matches(record)
    assert parse("(n>=-0)").matches(Record("cn=x", {"n": ("0",)}))
