"""Our report processor in real Puppet: it keeps what came with the certificate of that very name, and nothing else."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from enc.instances import reports
from enc.instances.states import Run
from enc.terms.names import Certname

ROOT = Path(__file__).parents[2]
ME, OTHER = "me.red.example.org", "other.red.example.org"
HONEST = {"host": ME, "status": "changed", "noop": False, "environment": "production", "transaction_uuid": "a-1"}


def processed(vardir: Path, *cases: dict[str, Any]) -> list[list[str]]:
    """Let the processor have reports; return what it said about each."""
    wanted = {"processor": str(ROOT / "lib/puppet/reports/puppetmaster.rb"), "vardir": str(vardir), "cases": cases}
    done = subprocess.run(
        ["ruby", "-W0", str(ROOT / "tests/support/process_report.rb")],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def sent(sender: Any = ME, authenticated: Any = "remote", **report: Any) -> dict[str, Any]:
    return {"sender": sender, "authenticated": authenticated, "report": HONEST | report}


def kept(vardir: Path) -> list[Path]:
    return sorted(path for path in (vardir / "puppetmaster-reports").rglob("*") if path.is_file())


def test_an_honest_report_is_kept_and_read(tmp_path: Path) -> None:
    assert processed(tmp_path, sent(), sent(status="failed", noop=True)) == [[], []]
    files = kept(tmp_path)
    assert [file.parent.name for file in files] == [ME, ME]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o640}
    handle = os.open(files[0].parent, os.O_RDONLY)
    try:
        runs = [reports.run_of(file.name, handle) for file in files]
    finally:
        os.close(handle)
    assert runs[0] == Run(runs[0].at, "changed", False, "production", "a-1")
    assert runs[1]._replace(at=0) == Run(0, "failed", True, "production", "a-1")


@pytest.mark.parametrize(
    "case",
    [
        {"report": HONEST},
        sent(authenticated=False, sender=None),
        sent(authenticated=False),
        sent(authenticated="local"),
        sent(sender="../me", host="../me"),
        sent(sender="Me.example.org", host="Me.example.org"),
        sent(sender="me.example.org\n", host="me.example.org\n"),
        sent(host=OTHER),
        sent(host=ME.upper()),
        sent(host=None),
        sent(host=[ME]),
        sent(status="built"),
        sent(status=None),
    ],
)
def test_what_is_not_kept_is_told(tmp_path: Path, case: dict[str, Any]) -> None:
    ((words,),) = processed(tmp_path, case)
    assert words.startswith("puppetmaster: ") and words.endswith("not kept")
    assert kept(tmp_path) == []
    assert (tmp_path / "puppetmaster-reports").is_dir(), "from now on, other reports do not count"


HOSTILE = ("..", ".", "", "/etc/cron.d/x", "../../x", f"{ME}/../{OTHER}", f"{ME}/x", "x" * 300, "a\0b", None, 7, ["a"])


def test_no_name_leads_out_of_the_directory(tmp_path: Path) -> None:
    """Whatever the certificate's name and the report's host are, and also if they are the same."""
    vardir, chance = tmp_path / "a/var", random.Random(4)
    vardir.mkdir(parents=True)
    names = [*HOSTILE, *("".join(chance.choices("./\\~ab\nä-A", k=chance.randrange(9))) for _ in range(400))]
    hostile = {"environment": "../x", "transaction_uuid": ["x"] * 50}
    pairs = [*((name, name) for name in names), *zip(names, reversed(names), strict=True)]
    pairs = [(sender, host) for sender, host in pairs if isinstance(sender, str)]
    told = processed(vardir, *(sent(name, host=host, **hostile) for name, host in pairs))
    files = kept(vardir)
    assert len(files) == told.count([]) > 4
    for file in files:
        assert file.parent.parent == vardir / "puppetmaster-reports"
        document = json.loads(file.read_text())
        assert document["certname"] == file.parent.name and Certname.accepts(file.parent.name)
        assert (file.parent.name, file.parent.name) in pairs
        assert set(document) == {"certname", "status", "noop"} and file.stat().st_size < 512
    everything = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in everything - set(files) if path.suffix != ".conf"} == set()


def test_a_link_in_the_place_of_an_instance_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "puppetmaster-reports").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"puppetmaster-reports/{ME}").symlink_to(tmp_path / "elsewhere")
    ((words,),) = processed(tmp_path, sent())
    assert "is not a directory" in words
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_old_reports_go_and_what_a_crash_left(tmp_path: Path) -> None:
    directory = tmp_path / f"puppetmaster-reports/{ME}"
    directory.mkdir(parents=True)
    torn = directory / ".20200101T000000.000000000-00000000.json"
    torn.write_text("{")
    processed(tmp_path, *(sent(transaction_uuid=f"run-{number}") for number in range(105)))
    files = kept(tmp_path)
    assert not torn.exists() and len(files) == 100
    assert [json.loads(file.read_text())["transaction_uuid"] for file in files] == [f"run-{n}" for n in range(5, 105)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "changed"}', "[" * 3000, '{"status": 1, "noop": true}'])
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_text(text)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(ValueError, match=r"is |has "):
            reports.run_of("1.json", handle)
    finally:
        os.close(handle)
