"""What the follower saw is told unless the trail tells it: by version, by values, and each deletion once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    (file,) = notes.files
    with file.open("a") as torn:
        torn.write('{"at": 1, "fe')
    (one,) = notes.read()
    assert (one.who, one.csn, one.do) == ("uid=anna", OTHER, "modify")
    assert one.differences == (Difference("puppetmasterdata", (), ("(1 value of 100000 characters)",)),)
    assert file.stat().st_size < 1000


def test_nobodys_edits_take_the_room_of_anothers(tmp_path: Path) -> None:
    """Nor do deletions, of which nobody knows whose they are, beyond the place that somebody may edit."""
    notes = SeenEdits(tmp_path)

    def change(who: str, place: str, number: int) -> tuple[Any, Record, Record]:
        dn, csn = f"cn=n{number},{place}", f"20270115{number:06}.000000Z#000000#000#000000"
        before = Record(dn, {"cn": ("n",)}, "u", CSN)
        big = {f"puppetmaster{letter}": ("x" * 4000,) for letter in "abcdefghijklmnopqrstuvwxyz"}
        return "nodes", before, Record(dn, big, "u", csn, "", who)

    notes.note([change("uid=anna", "ou=red", 1), ("nodes", Record("cn=gone,ou=red", {}, "u", CSN), None)])
    for first in range(2, 602, 100):
        notes.note([change("UID=Mallory", "ou=blue", number) for number in range(first, first + 100)])
        gone = [change("", "ou=blue", number)[2] for number in range(first, first + 100)]
        notes.note([("nodes", one, None) for one in gone])
    found = notes.read()
    assert [one.who for one in found if one.dn == "cn=n1,ou=red"] == ["uid=anna"]
    assert [one.do for one in found if one.dn == "cn=gone,ou=red"] == ["delete"]
    mallory = [one for one in found if one.who == "UID=Mallory"]
    assert 100 < len(mallory) < 600 and mallory[-1].dn == "cn=n601,ou=blue"
    assert sum(file.stat().st_size for file in notes.files) < 36 << 20
    assert len(notes.files) == 6
