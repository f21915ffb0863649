"""Records are whole or not there, whatever becomes of who writes them and of the disk."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from enc.programs.json_lines import JsonLines, lines
from enc.programs.whole_file import NotWritten, Strength
from tests.support.disks import Disk, files_end_at


def made(file: Path, *, cuts: bool = False, longest: int | None = None, patience: float | None = None) -> JsonLines:
    return JsonLines(file, mode=0o640, survives=Strength.POWER_CUT, cuts=cuts, longest=longest, patience=patience)


def numbers(journal: JsonLines) -> list[int | None]:
    return [one.record["n"] if one.record is not None else None for one in journal.read()]


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    journal = made(tmp_path / "journal")
    assert journal.read() == []
    before = os.umask(0)
    try:
        journal.append({"n": 1, "text": "a\nb\u2028\0\ud800"}, {"n": 2})
    finally:
        os.umask(before)
    size = journal.append({"n": 3})
    assert size == Path(journal.file).stat().st_size
    assert numbers(journal) == [1, 2, 3]
    (first, *_) = journal.read()
    assert (first.number, first.record, first.whole) == (1, {"n": 1, "text": "a\nb\u2028\0\ud800"}, True)
    assert stat.S_IMODE(Path(journal.file).stat().st_mode) == 0o640
    Path(journal.file).chmod(0o600)
    journal.append({"n": 4})
    assert stat.S_IMODE(Path(journal.file).stat().st_mode) == 0o600, "what is there keeps its mode"


@pytest.mark.parametrize("cuts", [False, True])
def test_a_torn_end_takes_no_other_line_with_it(tmp_path: Path, cuts: bool) -> None:
    journal = made(tmp_path / "journal", cuts=cuts)
    journal.append({"n": 1})
    journal.append({"n": 2, "long": "x" * 200_000})
    data = Path(journal.file).read_bytes()
    first = data.index(b"\n") + 1
    for end in (first, first + 1, first + 100, first + 70_000, len(data) - 2, len(data) - 1):
        Path(journal.file).write_bytes(data[:end])
        assert [one.whole for one in journal.read()][1:] == ([False] if end > first else [])
        journal.append({"n": 3})
        complete = end == len(data) - 1 and not cuts  # only its newline was missing
        torn = [] if end == first or cuts else [2 if complete else None]
        assert numbers(journal) == [1, *torn, 3], end
        assert Path(journal.file).read_bytes().endswith(b'\n{"n":3}\n')


@pytest.mark.parametrize(("cuts", "left"), [(False, b'{"n":1}\n\0\0\0{"n\n'), (True, b'{"n":1}\n')])
def test_a_torn_end_can_be_seen_to_at_once(tmp_path: Path, cuts: bool, left: bytes) -> None:
    journal = made(tmp_path / "journal", cuts=cuts)
    journal.mend()
    assert not Path(journal.file).exists()
    journal.append({"n": 1})
    with Path(journal.file).open("ab") as stream:
        stream.write(b'\0\0\0{"n')
    for _ in range(2):
        journal.mend()
        assert Path(journal.file).read_bytes() == left


def test_a_file_that_is_one_torn_line(tmp_path: Path) -> None:
    for cuts, wanted in ((True, b'{"n":1}\n'), (False, b"x" * 70_000 + b'\n{"n":1}\n')):
        (tmp_path / "journal").write_bytes(b"x" * 70_000)
        made(tmp_path / "journal", cuts=cuts).append({"n": 1})
        assert (tmp_path / "journal").read_bytes() == wanted


def test_a_write_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    journal = made(tmp_path / "journal")
    journal.append({"n": 1})
    before = Path(journal.file).read_bytes()
    for room in range(12):
        with files_end_at(len(before) + room), pytest.raises(NotWritten, match=r"cannot be written.*ulimit"):
            journal.append({"n": 2, "text": "long"})
        assert Path(journal.file).read_bytes() == before
    journal.append({"n": 3})
    assert numbers(journal) == [1, 3]


def test_a_full_disk_leaves_nothing_of_a_record(disk: Disk) -> None:
    journal = made(disk.place / "journal")
    journal.append({"n": 1, "text": "x" * 3000})
    before = Path(journal.file).read_bytes()
    with disk.full():
        for _ in range(2):
            with pytest.raises(NotWritten, match=r"No space left on device; make room"):
                journal.append({"n": 2, "text": "x" * 10_000})
            assert Path(journal.file).read_bytes() == before
    journal.append({"n": 3, "text": "x" * 10_000})
    assert numbers(journal) == [1, 3]


def test_several_records_are_all_there_or_none(tmp_path: Path) -> None:
    journal = made(tmp_path / "journal")
    with files_end_at(1000), pytest.raises(NotWritten):
        journal.append(*({"n": number, "text": "x" * 100} for number in range(20)))
    assert Path(journal.file).read_bytes() == b""


def test_a_file_that_may_only_grow_is_closed_off(tmp_path: Path) -> None:
    """With `chattr +a` a torn line cannot be cut away. (The attribute needs a file system that has it.)"""
    journal = made(tmp_path / "journal", cuts=True)
    journal.append({"n": 1})
    with Path(journal.file).open("ab") as stream:
        stream.write(b'{"n')
    if subprocess.run(["chattr", "+a", journal.file], capture_output=True, check=False).returncode != 0:
        return
    try:
        journal.append({"n": 2})
    finally:
        subprocess.run(["chattr", "-a", journal.file], check=True)
    assert numbers(journal) == [1, None, 2]


def test_what_has_to_be_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotWritten, match="No such file"):
        JsonLines(tmp_path / "journal", mode=None, survives=Strength.KILL).append({"n": 1})
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_a_regular_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(NotWritten, match="cannot be written"):
            made(tmp_path / name).append({"n": 1})
        with pytest.raises(NotWritten):
            made(tmp_path / name).check()
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_what_is_no_record_is_told_as_that() -> None:
    found = list(lines(b'[1]\n\n{"n": 1}\n' + b'{"a":' * 100_000 + b"\n\xff\n{", first=5))
    assert [(one.number, one.record, one.whole) for one in found] == [
        (5, None, True),
        (7, {"n": 1}, True),
        (8, None, True),
        (9, None, True),
        (10, None, False),
    ]


def test_many_at_once_lose_no_record_while_the_file_moves(tmp_path: Path) -> None:
    journal = made(tmp_path / "journal", longest=400_000)

    def add(number: int) -> None:
        for one in range(20):
            journal.append({"n": number * 20 + one, "text": "x" * 1000})

    threads = [threading.Thread(target=add, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = numbers(JsonLines(journal.older, mode=None, survives=Strength.KILL)) + numbers(journal)
    assert sorted(one for one in found if one is not None) == list(range(600))
    assert Path(journal.older).stat().st_size < 402_000


def test_it_can_hold_other_records_from_one_moment_to_the_next(tmp_path: Path) -> None:
    journal = made(tmp_path / "journal")
    for number in range(5):
        journal.append({"n": number})
    with files_end_at(5), pytest.raises(NotWritten):
        journal.rewrite(iter([{"n": 7}]))
    assert numbers(journal) == [0, 1, 2, 3, 4]
    journal.rewrite(iter([{"n": 7}]))
    journal.append({"n": 8})
    assert numbers(journal) == [7, 8] and [path.name for path in tmp_path.iterdir()] == ["journal"]


def test_who_holds_the_lock_for_ever_stops_nobody_who_is_impatient(tmp_path: Path) -> None:
    import fcntl

    journal = made(tmp_path / "journal", longest=10, patience=0.05)
    journal.append({"n": 1, "text": "x" * 20})
    with Path(journal.file).open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        journal.append({"n": 2})
    assert numbers(journal) == [1, 2], "not moved aside"
    journal.append({"n": 3})
    assert numbers(journal) == [3]


_WRITER = """
import sys
from enc.programs.json_lines import JsonLines
from enc.programs.whole_file import Strength

journal = JsonLines(sys.argv[1], mode=0o600, survives=Strength.KILL)
print(flush=True)
n = 0
while True:
    journal.append({"who": sys.argv[2], "n": n, "text": "x" * 100_000})
    n += 1
"""


def test_killed_writers_lose_nobodys_records(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    for number in range(5):
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, file, f"{number}{who}"], stdout=subprocess.PIPE)
            for who in "ab"
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"\n"
        time.sleep(0.03 + 0.007 * number)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()
    made(file).append({"who": "end", "n": 0})
    found: dict[str, list[int]] = {}
    for text in file.read_bytes().split(b"\n")[:-1]:
        try:
            record = json.loads(text)
        except ValueError:  # where a kill tore a record, it stands alone
            assert text.count(b'"who"') <= 1
            continue
        found.setdefault(record["who"], []).append(record["n"])
    assert all(each == list(range(len(each))) for each in found.values()), found
    assert found["end"] == [0]
