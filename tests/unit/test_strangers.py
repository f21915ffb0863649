"""What the follower saw is told unless the trail tells it: by version, by values, and each deletion once."""

from __future__ import annotations

from pathlib import Path

import pytest

from enc.answers.seen_edits import Difference, Seen, SeenEdits
from enc.edits.audit import Edit
from enc.edits.change import Change, Step
from enc.service.strangers import unexplained
from enc.terms.record import Record

DN = "cn=web1.example.org,ou=alpha,ou=hosts,dc=example,dc=org"
AT = 1_800_000_000
TIME = "2027-01-15T08:00:00Z"
CSN, OTHER = "20270115080000.000000Z#000000#000#000000", "20270115080001.000000Z#000000#000#000000"
APACHE = Difference("puppetclass", (), ("apache",))
EVIL = Difference("puppetclass", (), ("evil",))
ENVIRONMENT = Difference("environment", ("production",), ("test",))


def seen(*differences: Difference, do: str = "modify", csn: str = CSN, at: int = AT) -> Seen:
    return Seen(at, "nodes", "uid=anna", csn, do, DN, differences)


def edit(do: str = "modify", csn: str = CSN, number: int = 0) -> Edit:
    changes = (Change("puppetClass", ("ntp",), ("ntp", "apache")),)
    step = Step(do, DN.upper().replace("CN=", "cn="), changes)  # type: ignore[arg-type]
    versions = {DN: csn} if csn else {}
    return Edit(f"e{number}", TIME, "root", "why", "node set", "node x", None, (step,), "done", "", versions)


@pytest.mark.parametrize(
    ("note", "edits", "left"),
    [
        (seen(APACHE), [], (APACHE,)),
        (seen(APACHE), [edit()], None),
        (seen(APACHE, csn=OTHER), [edit()], (APACHE,)),
        (seen(APACHE, ENVIRONMENT), [edit()], (ENVIRONMENT,)),
        (seen(EVIL), [edit()], (EVIL,)),
        (seen(APACHE, csn=OTHER), [edit(csn="")], None),
        (seen(EVIL, csn=OTHER), [edit(csn="")], (EVIL,)),
        (seen(APACHE, csn=OTHER, at=AT + 3600), [edit(csn="")], (APACHE,)),
        (seen(APACHE, do="add", csn=OTHER), [edit("delete", csn="")], (APACHE,)),
        (seen(APACHE, do="delete"), [edit("delete", csn="")], None),
        (seen(APACHE, do="delete", at=AT + 86_400), [edit("delete", csn="")], None),
        (seen(APACHE, do="delete"), [edit(csn="")], (APACHE,)),
        (seen(Difference("puppetclass", (), ("(9 values of 5000 characters)",))), [edit()], None),
    ],
)
def test_what_is_left_over(note: Seen, edits: list[Edit], left: tuple[Difference, ...] | None) -> None:
    found = unexplained([note], edits)
    assert [one.differences for one in found] == ([] if left is None else [left])


def test_a_deletion_explains_one() -> None:
    notes = [seen(APACHE, do="delete", csn=csn, at=AT + number) for number, csn in enumerate((CSN, OTHER))]
    assert unexplained(notes, [edit("delete", csn="")]) == notes[1:]


def test_notes_are_kept_once_and_bounded(tmp_path: Path) -> None:
    notes = SeenEdits(tmp_path)
    before = Record(DN, {"cn": ("web1",)}, "u", CSN)
    after = Record(DN, {"cn": ("web1",), "puppetmasterdata": ("x" * 100_000,)}, "u", OTHER, "", "uid=anna")
    moved = Record(f"cn=elsewhere,{DN}", {"cn": ("web1",)}, "u", CSN)
    for _ in range(2):  # as after a kill between the note and the commit
        notes.note([("nodes", before, after), ("nodes", before, moved)])
    with notes.file.open("a") as torn:
        torn.write('{"at": 1, "fe')
    (one,) = notes.read()
    assert (one.who, one.csn, one.do) == ("uid=anna", OTHER, "modify")
    assert one.differences == (Difference("puppetmasterdata", (), ("(1 value of 100000 characters)",)),)
    assert notes.file.stat().st_size < 1000
