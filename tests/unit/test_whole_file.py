"""A reader sees the old content or the new one, whatever happens to whoever writes, and nothing else stays."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enc.programs import whole_file
from enc.programs.whole_file import NotWritten, Strength
from enc.terms.errors import ToolkitError
from tests.support.disks import Disk, files_end_at

OLD, NEW = b"old\n" * 5_000, b"new\n" * 50_000


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _write(place: Path, content: bytes) -> None:
    whole_file.write(place, content, mode=0o640, survives=Strength.POWER_CUT)


def _fill(place: Path, content: bytes) -> None:
    with whole_file.filled(place, mode=0o640, survives=Strength.POWER_CUT) as aside:
        aside.write_bytes(content)


def _fill_by_another_file(place: Path, content: bytes) -> None:
    """As git writes a bundle: beside the name that it was given, and then renamed."""
    with whole_file.filled(place, mode=0o640, survives=Strength.POWER_CUT) as aside:
        other = aside.with_name(f"{aside.name}.lock")
        other.write_bytes(content)
        other.rename(aside)


def _write_at(place: Path, content: bytes) -> None:
    directory = os.open(place.parent, os.O_RDONLY)
    try:
        whole_file.write_at(directory, place.name, content, mode=0o640, aside=directory)
    finally:
        os.close(directory)


WAYS: dict[str, Callable[[Path, bytes], None]] = {
    "write": _write,
    "filled": _fill,
    "filled by another file": _fill_by_another_file,
    "write_at": _write_at,
}
way = pytest.mark.parametrize("put", WAYS.values(), ids=WAYS)


@way
@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_content_and_mode_are_what_was_said(put: Callable[[Path, bytes], None], tmp_path: Path, mask: int) -> None:
    place = tmp_path / ("x" * 255)  # as long as a name can be
    for content in (OLD, NEW, b""):
        with umask(mask):
            put(place, content)
        assert place.read_bytes() == content
        assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert names(tmp_path) == [place.name]


@way
def test_a_link_at_the_place_is_replaced_and_not_followed(put: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(OLD)
    (tmp_path / "place").symlink_to("theirs")
    put(tmp_path / "place", NEW)
    assert (tmp_path / "theirs").read_bytes() == OLD
    assert (tmp_path / "place").read_bytes() == NEW and not (tmp_path / "place").is_symlink()


@way
def test_what_fails_leaves_all_as_it_was(put: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_bytes(OLD)
    with files_end_at(len(OLD)), pytest.raises(OSError, match=r"large"):
        put(place, NEW)
    assert place.read_bytes() == OLD
    (tmp_path / "directory" / "in it").mkdir(parents=True)
    with pytest.raises(NotWritten, match="cannot be written"):
        put(tmp_path / "directory", NEW)
    assert names(tmp_path) == ["directory", "place"]


def test_a_full_disk_is_an_expected_error_that_says_what_to_do(disk: Disk) -> None:
    place = disk.place / "place"
    for put in WAYS.values():
        put(place, OLD)
        with disk.full(), pytest.raises(OSError, match=r"No space left on device") as caught:
            put(place, NEW)
        assert caught.value.errno == errno.ENOSPC
        assert place.read_bytes() == OLD and names(disk.place) == ["place"]
        put(place, NEW)
    with disk.full(), pytest.raises(NotWritten) as told:
        _write(place, OLD)
    assert isinstance(told.value, ToolkitError) and isinstance(told.value, OSError)
    assert str(told.value) == f"{place}: cannot be written: No space left on device; make room"
    assert (told.value.why, told.value.filename) == ("No space left on device; make room", str(place))
    with disk.full(), pytest.raises(NotWritten):
        whole_file.make(disk.place / "key", NEW, mode=0o600, survives=Strength.KILL)
    assert names(disk.place) == ["place"]


def test_a_block_that_fails_changes_nothing_and_its_error_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "place").write_bytes(OLD)
    for error in (ToolkitError("no"), FileNotFoundError(2, "gone", "/theirs"), KeyboardInterrupt()):
        with (
            pytest.raises(type(error)) as caught,
            whole_file.filled(tmp_path / "place", mode=0o600, survives=Strength.KILL) as aside,
        ):
            aside.write_bytes(NEW)
            raise error
        assert caught.value is error
    assert (tmp_path / "place").read_bytes() == OLD and names(tmp_path) == ["place"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_is_as_said_from_the_first_moment_that_it_is_there(tmp_path: Path) -> None:
    whole_file.write(tmp_path / "a", b"", mode=0o4750, owner=(12, 34), survives=Strength.KILL)
    with whole_file.filled(tmp_path / "b", mode=0o4750, owner=(12, 34), survives=Strength.KILL):
        pass
    for name in ("a", "b"):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4750)
    whole_file.link(tmp_path / "c", "a", owner=(12, 34), survives=Strength.KILL)
    assert (tmp_path / "c").lstat().st_uid == 12


def test_of_many_that_make_it_at_once_one_does(tmp_path: Path) -> None:
    made: list[str] = []

    def make(word: str) -> None:
        if whole_file.make(tmp_path / "key", word, mode=0o600, survives=Strength.KILL):
            made.append(word)

    threads = [threading.Thread(target=make, args=(str(number),)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [(tmp_path / "key").read_text()] and names(tmp_path) == ["key"]
    (tmp_path / "link").symlink_to("nowhere")
    assert not whole_file.make(tmp_path / "link", "x", mode=0o600, survives=Strength.KILL)
    assert names(tmp_path) == ["key", "link"]


def test_a_link_changes_only_if_it_has_to(tmp_path: Path) -> None:
    place = tmp_path / "link"
    assert whole_file.link(place, tmp_path / "a", survives=Strength.POWER_CUT)
    before = place.lstat().st_ino
    assert not whole_file.link(place, str(tmp_path / "a"), survives=Strength.POWER_CUT)
    assert place.lstat().st_ino == before
    assert whole_file.link(place, "b", survives=Strength.POWER_CUT)
    assert place.readlink() == Path("b")
    place.unlink()
    place.write_text("a file")
    assert whole_file.link(place, "b", survives=Strength.KILL)
    assert place.readlink() == Path("b") and names(tmp_path) == ["link"]
    place.unlink()
    (place / "full").mkdir(parents=True)
    with pytest.raises(NotWritten, match=r"cannot be written: Is a directory"):
        whole_file.link(place, "b", survives=Strength.KILL)
    assert names(tmp_path) == ["link"]


def test_a_name_alone_is_in_this_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole_file.write("a", "text", mode=0o600, survives=Strength.POWER_CUT)
    whole_file.link("b", "a", survives=Strength.POWER_CUT)
    assert Path("b").read_text() == "text" and names(tmp_path) == ["a", "b"]


_WRITER = """
import sys
from enc.programs import whole_file
from enc.programs.whole_file import Strength

place, strength = sys.argv[1], Strength(int(sys.argv[2]))
print(flush=True)
while True:
    for letter in "ab":
        whole_file.write(place, letter * 300_000, mode=0o644, survives=strength)
"""


@pytest.mark.parametrize("strength", Strength)
def test_a_reader_sees_whole_content_while_writers_are_killed(tmp_path: Path, strength: Strength) -> None:
    place = tmp_path / "place"
    whole_file.write(place, "a" * 300_000, mode=0o644, survives=Strength.KILL)
    left = 0
    for number in range(6):
        # Two at once: neither takes away what the other is just making.
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, place, str(int(strength))], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"\n"
        ends = time.monotonic() + 0.05 + number * 0.013
        while time.monotonic() < ends:
            content = place.read_text()
            assert (len(content), len(set(content))) == (300_000, 1)
        for writer in writers:
            assert writer.poll() is None
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()
        left = max(left, len(names(tmp_path)) - 1)
        assert left <= 2, "each round takes away what the one before left"
    assert len(set(place.read_text())) == 1
    whole_file.write(place, "end", mode=0o644, survives=Strength.KILL)
    assert names(tmp_path) == ["place"]


def test_only_what_is_dead_and_ours_is_collected(tmp_path: Path) -> None:
    dead, alike, pipe, link, lock = (
        tmp_path / f".puppetmaster-new-{name}"
        for name in ("0" * 16, "0" * 15, "1" * 16, "2" * 16, "0123456789abcdef.lock")
    )
    for file in (dead, alike, lock):
        file.touch(mode=0o600)
    os.mkfifo(pipe)
    link.symlink_to("nowhere")
    with whole_file.filled(tmp_path / "place", mode=0o600, survives=Strength.KILL) as aside:
        assert not dead.exists() and not lock.exists(), "a write takes them away"
        assert whole_file.collect(tmp_path) == 0
        assert aside.exists() and whole_file.is_aside(str(aside)) and not whole_file.is_aside("/a/place")
    assert names(tmp_path) == sorted((alike.name, pipe.name, link.name, "place"))
    assert whole_file.collect(tmp_path, links=-1) == 1
    assert not link.is_symlink()
    assert whole_file.collect(tmp_path / "nowhere") == 0


def test_what_is_to_be_on_disk_is_synced_before_it_has_its_name(tmp_path: Path) -> None:
    """As the system sees it."""
    program = (
        "import sys; from enc.programs import whole_file; "
        "whole_file.write(sys.argv[1], 'x', mode=0o600, survives=whole_file.Strength(int(sys.argv[2])))"
    )
    seen = {}
    for strength in Strength:
        log = tmp_path / "calls"
        hooked = (
            "import sys, os\n"
            f"log = os.open({str(log)!r}, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)\n"
            "really = os.fsync, os.rename\n"
            "def fsync(handle): os.write(log, b'fsync ' + os.path.basename("
            "os.readlink(f'/proc/self/fd/{handle}')).encode()[:12] + b'\\n'); really[0](handle)\n"
            "def rename(*a, **k): os.write(log, b'rename\\n'); really[1](*a, **k)\n"
            "os.fsync, os.rename = fsync, rename\n"
        )
        subprocess.run(
            [sys.executable, "-c", hooked + program, tmp_path / "place", str(int(strength))], check=True, timeout=60
        )
        seen[strength] = log.read_text().split("\n")[:-1]
    directory = f"fsync {tmp_path.name[:12]}"
    assert seen == {
        Strength.KILL: ["rename"],
        Strength.ORDER: ["fsync .puppetmaste", "rename"],
        Strength.POWER_CUT: ["fsync .puppetmaste", "rename", directory],
    }
