"""The authority goes to another account's directory: whole, once, and from wherever a killed move had got to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.puppet_module import ROOT

FILES = {"ca_key.pem": "key", "ca_crt.pem": "certificate", "inventory.txt": "", "signed/a.pem": "a", "serial": "000A"}


class Move:
    """`move-authority.sh` between two directories; what it stops is noted."""

    def __init__(self, base: Path) -> None:
        self.old, self.new, self.base = base / "old/ca", base / "new/ca", base
        fill(self.old)
        (base / "bin").mkdir()
        (base / "bin/systemctl").write_text(f'#!/bin/sh\necho "$*" >>{base}/stopped\n')
        (base / "bin/systemctl").chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        owner = subprocess.check_output(["id", "-un"], text=True).strip()
        command = ["sh", str(ROOT / "files/move-authority.sh"), str(self.old), str(self.new), owner, "puppetserver"]
        path = f"{self.base}/bin:/usr/bin:/bin"
        return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False)


def fill(directory: Path, **other: str) -> None:
    for name, text in {**FILES, **other}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def content(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def move(tmp_path: Path) -> Move:
    return Move(tmp_path)


@pytest.mark.parametrize("killed", ["before", "in the copy", "after it", "in the removal", "before the last step"])
def test_it_goes_on_from_wherever_it_was_killed(move: Move, killed: str) -> None:
    if killed == "in the copy":
        fill(move.new.with_name("ca.new"), serial="00")
        (move.new.with_name("ca.new") / "ca_key.pem").unlink()
    elif killed != "before":
        fill(move.new)
    if killed == "in the removal":
        shutil.rmtree(move.old / "signed")
    elif killed == "before the last step":
        shutil.rmtree(move.old)
        fill(move.old)
        for name in FILES:
            if name != "ca_key.pem":
                (move.old / name).unlink()
        (move.old / "signed").rmdir()
    done = move.run()
    assert done.returncode == 0, done.stderr
    assert content(move.new) == FILES and not move.old.exists()
    assert [path.name for path in move.new.parent.iterdir()] == ["ca"]
    assert (move.base / "stopped").read_text() == "stop puppetserver\n"


def test_of_two_authorities_neither_is_touched(move: Move) -> None:
    fill(move.new, **{"ca_key.pem": "another"})
    done = move.run()
    assert done.returncode == 1 and "there is an authority in" in done.stderr
    assert content(move.old) == FILES and content(move.new) == {**FILES, "ca_key.pem": "another"}


def test_what_cannot_be_copied_stays(move: Move) -> None:
    move.new.parent.parent.joinpath("new").write_text("no directory")
    assert move.run().returncode != 0
    assert content(move.old) == FILES
