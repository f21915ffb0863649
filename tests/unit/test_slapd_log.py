"""What comes into slapd's log, and how long it gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enc.directory import slapd_log
from tests.support.disks import files_end_at

AT = b"6b0d4e48.242ae35a 0x7f4a653fc6c0 "
ROUTINE = [
    AT + b"conn=1055 op=5 slap_read_controls: (1.3.6.1.1.13.2) cn=web-2,ou=demo,dc=example,dc=org",
    AT + b"constraint_update()",
    AT + b"connection_input: conn=1031 deferring operation: binding",
    b"6b0d4e48 conn=1 op=5 slap_read_controls: (1.3.6.1.1.13.2) cn=x",
]
KEPT = [
    AT + b"@(#) $OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12) $",
    b"\tDebian OpenLDAP Maintainers <pkg-openldap-devel@lists.alioth.debian.org>",
    AT + b"connection_input: conn=1031 deferring operation: too many executing",
    AT + b"mdb_modify: txn_begin failed: No space left on device (28)",
    # What somebody writes into an entry's name is not what slapd says.
    AT + b"cn=x constraint_update()",
    b"slap_read_controls: of nobody",
    b"",
]


def fed(place: Path, octets: bytes, limit: int = 1 << 20) -> bytes:
    """Let the program have it, as slapd would give it; return what is in the log."""
    command = [sys.executable, "-I", "-S", slapd_log.__file__, str(place), str(limit)]
    subprocess.run(command, input=octets, check=True, timeout=60)
    return place.read_bytes() if place.exists() else b""


def test_what_each_write_says_of_itself_is_left_out_and_all_else_is_there(tmp_path: Path) -> None:
    place = tmp_path / "slapd.log"
    mixed = [line for pair in zip(KEPT, [*ROUTINE, *ROUTINE], strict=False) for line in pair]
    assert fed(place, b"".join(line + b"\n" for line in mixed)) == b"".join(line + b"\n" for line in KEPT)
    assert fed(place, b"torn, without an end").endswith(b"\ntorn, without an end\n")
    assert place.stat().st_mode & 0o007 == 0
    assert fed(tmp_path / "none", b"\n".join(ROUTINE) + b"\n") == b"" and not (tmp_path / "none").exists()


def test_lines_come_whole_however_they_are_cut(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    place, command = tmp_path / "log", [sys.executable, "-I", "-S", slapd_log.__file__]
    with subprocess.Popen([*command, str(place), "1000000"], stdin=reading) as process:
        os.close(reading)
        for octet in ROUTINE[0] + b"\n" + KEPT[3] + b"\n" + ROUTINE[1] + b"\n":
            os.write(writing, bytes([octet]))
        os.close(writing)
        assert process.wait(60) == 0
    assert place.read_bytes() == KEPT[3] + b"\n"


@pytest.mark.parametrize("ends", [b"\n", b""])
def test_it_has_an_end_also_while_slapd_runs(tmp_path: Path, ends: bytes) -> None:
    place = tmp_path / "log"
    for number in range(20):
        fed(place, b"%d " % number + b"x" * 300_000 + ends, limit=1_000_000)
    older = place.with_name("log.1").stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    assert place.stat().st_size <= 1_300_100 and older <= 1_300_100
    assert place.read_bytes().splitlines()[-1].startswith(b"19 ")


def test_without_room_it_goes_on(tmp_path: Path) -> None:
    with files_end_at(1000):
        said = fed(tmp_path / "log", b"".join(b"%d %s\n" % (n, b"y" * 90) for n in range(100)))
    assert len(said) <= 1000 and said.startswith(b"0 y")
    assert fed(tmp_path / "log", b"again\n").endswith(b"again\n")
