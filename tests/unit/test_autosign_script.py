"""`enc-autosign` as puppetserver finds it: a door, or, without its x bit, a list that allows nobody."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import string
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.following import eventually

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "enc/enc-autosign").read_text().splitlines()


def allows(line: str, subject: str) -> bool:
    """What puppetserver's line-matches? says (certificate_authority.clj; the same in 7.9 and 8.7)."""
    if line.startswith("#") or not line.strip():
        return False
    if "#" in line or " " in line:
        return False
    if line == "*":
        return True
    if not line.startswith("*"):
        return line == subject
    wanted = list(reversed(line.lower().split(".")))[:-1]
    return list(reversed(subject.lower().split(".")))[: len(wanted)] == wanted


def test_these_are_the_rules() -> None:
    assert allows("a.b", "a.b") and allows("*", "x") and allows("*.b", "a.b") and allows("fi", "fi")
    assert not allows("a.b # c", "a.b") and not allows("# *", "x") and not allows(" a.b", "a.b")


def test_no_line_names_anybody() -> None:
    assert [line for line in LINES if line.strip() and " " not in line and "#" not in line] == []
    # A carriage return, a form feed or the like would make further lines for Java's reader.
    assert set("".join(LINES)) <= set(string.printable) - set("\r\v\f\t")


@given(st.sampled_from([word for line in LINES for word in (line, *line.split())]) | st.text())
def test_nobody_is_allowed(subject: str) -> None:
    assert not any(allows(line, subject) for line in LINES)


JUDGE = """#!/bin/sh
echo "$$ $4" >> "$JUDGED"
cat > /dev/null
exec sleep "${LONG:-0}"
"""


class Door:
    """The program, with a judge beside it that says yes to everything, and a follower's files."""

    def __init__(self, base: Path) -> None:
        self.base, self.answers, self.state = base, base / "answers", base / "signing"
        self.judged = base / "judged"
        for place in (self.answers / "enrolments", self.state):
            place.mkdir(parents=True)
        self.judged.touch()
        (base / "c.yaml").touch()
        (base / "c.yaml.answers").symlink_to(self.answers)
        (self.answers / "signing").write_text(f"2 {self.state}\n")
        for name, state in (("web.red", "waiting"), ("old.red", "signed"), ("shut.red", "closed")):
            (self.answers / "enrolments" / name).write_text(f"{state}\n")
        shutil.copy(ROOT / "enc/enc-autosign", base / "enc-autosign")
        (base / "enc-admin").write_text(JUDGE)
        (base / "enc-admin").chmod(0o755)
        self.contact()

    def contact(self, age: int = 0, beat: int = 0, state: str = "current") -> None:
        now = int(time.time())
        (self.answers / "contact").write_text(f"{now - age} {now - beat} 3600 {state}\n")

    def start(self, *words: str, long: float = 0) -> subprocess.Popen[str]:
        variables = {"PUPPETMASTER_CONFIG": str(self.base / "c.yaml"), "JUDGED": str(self.judged), "LONG": str(long)}
        command = [str(self.base / "enc-autosign"), *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env={"PATH": os.defpath, **variables}, text=True, **pipes)

    def ask(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        return process.wait(60), process.communicate()[1]

    def names(self) -> list[str]:
        return [line.split()[1] for line in self.judged.read_text().splitlines()]

    def lines(self) -> list[dict[str, object]]:
        file = self.state / "strangers.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @contextmanager
    def held(self, *locks: str) -> Iterator[None]:
        files = [(self.state / f"{lock}.lock").open("w") for lock in locks]
        for file in files:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
        for file in files:
            file.close()


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_a_name_that_no_instance_has_is_refused_and_an_instances_is_judged(door: Door) -> None:
    assert door.ask("web.red") == (0, "") and door.ask("old.red")[0] == 0 and door.ask("shut.red")[0] == 0
    status, said = door.ask("mallory.red")
    assert status == 1 and said.startswith("enc-autosign: stranger: mallory.red: ") and said.count("\n") == 1
    assert door.names() == ["web.red", "old.red", "shut.red"]
    (line,) = door.lines()
    assert (line["certname"], line["code"], line["signed"], line["project"]) == ("mallory.red", "stranger", False, None)


@pytest.mark.parametrize("said", ["stalled", "old", "future", "away", "half", "nothing", "sees none", "no directory"])
def test_a_follower_that_proves_nothing_keeps_nobody_out(door: Door, said: str) -> None:
    if said in ("stalled", "old", "future"):
        door.contact(beat=20 * (said == "stalled"), age={"old": 20, "future": -90}.get(said, 0))
    elif said == "away":
        door.contact(state="unreachable")
    elif said in ("half", "nothing"):
        (door.answers / "contact").write_text("1 2" if said == "half" else "")
    elif said == "sees none":
        for file in (door.answers / "enrolments").iterdir():
            file.unlink()
    else:
        shutil.rmtree(door.answers)
    assert door.ask("new.red") == (0, "")
    assert door.names() == ["new.red"]


HOSTILE = (
    *("", "..", "a/../../etc/passwd", "../signing", "web.red\n", "Web.red", "-x", "a b"),
    *('x","signed":true', "\x1b[2J", "é", "x" * 300, "a\\", "web.red/", "a..b"),
)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_certname_reads_no_file_and_breaks_no_line(door: Door, name: str) -> None:
    status, said = door.ask(name)
    assert status == 1 and said.startswith("enc-autosign: certname: ") and said.count("\n") == 1
    assert said.isascii() and said[:-1].isprintable() and len(said) < 400
    (line,) = door.lines()
    assert line["code"] == "certname" and line["signed"] is False
    assert door.names() == []


def test_a_second_of_strangers_is_one_line_that_counts_them_all(door: Door) -> None:
    threads = [threading.Thread(target=door.ask, args=(f"s{number}.red",)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({line["time"] for line in door.lines()}) == len(door.lines())
    told = [str(line["reason"]) for line in door.lines()]
    counted = sum(int(reason.split("; ")[1].split()[0]) for reason in told if "more were" in reason)
    assert len(told) + counted + int((door.state / "strangers.count").read_text().split()[1]) == 40


def test_the_file_of_strangers_is_bounded_and_what_is_in_its_place_is_not_followed(door: Door) -> None:
    file = door.state / "strangers.jsonl"
    file.write_text("x" * (1 << 20))
    door.ask("s.red")
    assert len(door.lines()) == 1 and (door.state / "strangers.jsonl.1").stat().st_size == 1 << 20
    file.unlink()
    (door.base / "victim").touch()
    file.symlink_to(door.base / "victim")
    (door.state / "strangers.count").write_text("torn")
    assert door.ask("s.red")[0] == 1
    assert (door.base / "victim").read_text() == ""


def test_the_last_judge_and_seats_are_for_names_that_are_waited_for(door: Door) -> None:
    with door.held("judge-0"):
        assert door.ask("web.red")[0] == 0
        status, said = door.ask("old.red")
        assert status == 1 and said.startswith("enc-autosign: crowded: old.red: ")
    with door.held(*(f"seat-{number}" for number in range(4))):
        assert door.ask("old.red")[0] == 1 and door.ask("web.red")[0] == 0
    with door.held("judge-0", "judge-1"):
        assert door.ask("web.red")[0] == 1
    assert door.names() == ["web.red", "web.red"]
    assert {line["code"] for line in door.lines()} == {"crowded"}


def test_a_turn_is_kept_by_the_judge_and_ends_with_it(door: Door) -> None:
    judges = [door.start("web.red", long=60), door.start("web.red", long=60)]
    eventually(lambda: len(door.names()) == 2, "both judges work")
    assert door.ask("web.red")[0] == 1
    judges[0].kill()
    judges[0].wait()
    assert door.ask("web.red")[0] == 0
    judges[1].kill()
    judges[1].wait()


def test_without_a_place_for_locks_one_is_judged_at_once(door: Door) -> None:
    shutil.rmtree(door.state)
    first = door.start("web.red", long=60)
    eventually(door.names, "the judge works")
    assert door.ask("web.red")[0] == 1
    first.kill()
    first.wait()
    assert door.ask("web.red")[0] == 0


def test_another_journals_directory_is_said_by_an_option(door: Door) -> None:
    place = door.base / "elsewhere"
    place.mkdir()
    assert door.ask("--state", str(place), "mallory.red")[0] == 1
    assert (place / "strangers.jsonl").exists() and not door.lines()


def test_without_a_judge_it_is_no(door: Door) -> None:
    (door.base / "enc-admin").unlink()
    status, said = door.ask("web.red")
    assert status == 1 and said.startswith("enc-autosign: bug: ")
