"""LDIF as RFC 2849 has it, from files that nobody vouches for."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.edits.change import Change
from enc.importing.entries import difference
from enc.importing.ldif import Entry, read
from enc.importing.outcome import Problem
from enc.service.export import entry
from enc.terms import dn
from enc.terms.record import Record
from tests.support.strategies import texts

HEAD = "dn: cn=a,dc=x\nobjectClass: device\n"


def _read(text: str) -> list[Entry | Problem]:
    return list(read(text.splitlines(keepends=True), "f.ldif"))


def _one(text: str) -> Entry:
    (found,) = _read(text)
    assert isinstance(found, Entry)
    return found


def test_the_forms_of_a_value() -> None:
    found = _one(
        "version: 1\n# a comment\n  that goes on\ndn: cn=a,dc=x\r\nobjectClass: device\nobjectClass: device\n"
        "description: long\n er\nl:: " + base64.b64encode("é\n".encode()).decode() + "\nserialNumber:7\nou:\n"
    )
    assert found == Entry(
        4,
        "cn=a,dc=x",
        {
            "objectClass": ("device",),
            "description": ("longer",),
            "l": ("é\n",),
            "serialNumber": ("7",),
            "ou": ("",),
            "cn": ("a",),
        },
    )


def test_what_servers_write_themselves_is_dropped() -> None:
    assert _one(HEAD + "entryUUID: x\ncreatorsName: cn=y\ncn: a\n").attributes.keys() == {"objectClass", "cn"}


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        (HEAD + "jpegPhoto:< file:///etc/shadow\n", 3, "not fetched"),
        (HEAD + "l:: ====\n", 3, "base64"),
        (HEAD + "l:: /w==\n", 3, "base64 of a UTF-8"),
        (HEAD + "l:: AA==\n", 3, "NUL"),
        (HEAD + "nothing\n", 3, "ATTRIBUTE"),
        (HEAD + "a b: c\n", 3, "ATTRIBUTE"),
        ("dn: cn=a,dc=x\nchangetype: delete\n", 2, "not changes"),
        ("dn: cn=a,dc=x\ncn: a\n", 1, "objectClass"),
        ("dn: nonsense\nobjectClass: device\n", 1, "distinguished name"),
        ("cn: a\n", 1, "must begin with its dn"),
        ("version: 2\n", 1, "version 1"),
        (HEAD + "l: " + "x" * (9 << 20) + "\n", 1, "longer"),
    ],
)
def test_a_bad_entry_is_told_with_its_line_and_the_next_goes_on(text: str, line: int, rule: str) -> None:
    problem, after = _read(text + "\ndn: cn=b,dc=x\nobjectClass: device\n")
    assert isinstance(problem, Problem)
    assert problem.where == f"f.ldif:{line}"
    assert rule in problem.message
    assert isinstance(after, Entry)
    assert after.dn == "cn=b,dc=x"


@given(st.text())
def test_any_text_is_entries_or_problems(text: str) -> None:
    assert all(isinstance(found, Entry | Problem) for found in _read(text))


@given(texts.filter(bool), st.lists(texts, unique=True, min_size=1))
def test_what_export_writes_import_reads(name: str, values: list[str]) -> None:
    record = Record(dn.build("cn", name, "dc=x"), {"objectclass": ("device",), "cn": (name,), "l": tuple(values)})
    found = _one("version: 1\n\n" + entry(record))
    assert found.dn == record.dn
    assert found.attributes == {"objectclass": ("device",), "cn": (name,), "l": tuple(values)}


def test_only_named_attributes_change_and_object_classes_are_only_added() -> None:
    present = Record(
        "cn=a,dc=x",
        {"objectclass": ("top", "Device"), "l": ("old",), "description": ("kept",), "member": ("cn=A, dc=x",)},
    )
    wanted = Entry(1, "cn=a,dc=x", {"objectClass": ("device", "puppetClient"), "l": ("new",), "member": ("cn=a,dc=x",)})
    assert difference(present, wanted) == (
        Change("objectClass", (), ("puppetClient",)),
        Change("l", ("old",), ("new",)),
    )
