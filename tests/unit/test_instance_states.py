"""The states of an instance, what counts as built, names with numbers, and reports read without believing them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.instances import naming, reports
from enc.instances.enrolment import Built, Enrolment
from enc.instances.states import Run, built_by, state
from enc.puppet import settings as puppet_settings
from enc.terms.errors import InvalidName, UsageError
from enc.terms.names import Certname, ProjectName

TOKEN, KEY = "a" * 64, "b" * 64
CLOSED = Enrolment("closed", 100)
WAITING = Enrolment("waiting", 100, 200, TOKEN)
SIGNED = WAITING.signed_for(KEY, 150)
GOOD, BAD, NOOP = Run(160, "changed"), Run(170, "failed"), Run(160, "unchanged", noop=True)


@pytest.mark.parametrize(
    "enrolment, built, run, now, wanted",
    [
        (CLOSED, None, None, 150, "closed"),
        (CLOSED, Built(90, 5), GOOD, 150, "closed"),
        (WAITING, None, None, 199, "waiting"),
        (WAITING, None, None, 200, "closed"),
        (WAITING, Built(90, 5), GOOD, 150, "waiting"),
        (SIGNED, None, None, 160, "signed"),
        (SIGNED, None, NOOP, 170, "signed"),
        (SIGNED, Built(160, 60), GOOD, 170, "built"),
        (SIGNED, Built(160, 60), None, 170, "built"),
        (SIGNED, Built(160, 60), BAD, 170, "failing"),
        (SIGNED, None, BAD, 170, "failing"),
        (SIGNED, Built(90, 5), None, 170, "signed"),
        (SIGNED, None, Run(149, "failed"), 170, "signed"),
        (SIGNED, Built(160, 60), GOOD, 1161, "silent"),
        (SIGNED, None, BAD, 1171, "silent"),
        (SIGNED, None, None, 1151, "silent"),
    ],
)
def test_states(enrolment: Enrolment, built: Built | None, run: Run | None, now: float, wanted: str) -> None:
    assert state(enrolment, built, run, now, 1000).state == wanted


@pytest.mark.parametrize(
    "enrolment, built, run, wanted",
    [
        (SIGNED, None, GOOD, Built(160, 60)),
        (SIGNED._replace(began=0), None, GOOD, Built(160, 10)),
        (SIGNED, Built(90, 5), GOOD, Built(160, 60)),
        (SIGNED, Built(155, 55), GOOD, None),
        (SIGNED, None, BAD, None),
        (SIGNED, None, NOOP, None),
        (SIGNED, None, Run(149, "changed"), None),
        (WAITING, None, GOOD, None),
        (CLOSED, None, GOOD, None),
    ],
)
def test_what_builds(enrolment: Enrolment, built: Built | None, run: Run, wanted: Built | None) -> None:
    assert built_by(enrolment, built, run) == wanted


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("jruby-puppet: {\n    # server-var-dir: /old\n    server-var-dir: /var/lib/x\n}\n", "/var/lib/x"),
        ('{"jruby-puppet": {\n"server-var-dir": "/a/b",\n"x": 1}}', "/a/b"),
        ("master-var-dir = /opt/data # here\n", "/opt/data"),
        ("#server-var-dir: /a\n", None),
        ("server-var-dir: relative\n", None),
    ],
)
def test_puppetservers_vardir_stands_in_its_own_configuration(tmp_path: Path, text: str, wanted: str | None) -> None:
    (tmp_path / "puppetserver.conf").write_text(text)
    found = puppet_settings.puppetserver_directories((Path("/nonexistent"), tmp_path))
    assert found.get("vardir") == wanted


PATTERN = "%{name}.%{project}.example.org"
RED = ProjectName("red")


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("web", "web.red.example.org"),
        ("web.other.net", "web.other.net"),
        ("web-#", "web-#.red.example.org"),
        ("web-#.other.net", "web-#.other.net"),
    ],
)
def test_names(name: str, wanted: str) -> None:
    assert naming.certname(name, RED, PATTERN) == wanted
    assert naming.is_numbered(wanted) == ("#" in wanted)


@pytest.mark.parametrize("name", ["", "Web", "-", "a b", "web-#-#", "#", "web#", "we/b", "a..b", "web-#*"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidName):
        naming.certname(name, RED, PATTERN)


def test_the_lowest_number_that_is_free() -> None:
    taken = ["web-1.red.example.org", "WEB-2.red.example.org", "web-4.red.example.org", "web-3.blue.example.org"]
    found = naming.free("web-#.red.example.org", taken)
    assert [next(found), next(found)] == [Certname("web-3.red.example.org"), Certname("web-5.red.example.org")]


def test_all_numbers_taken() -> None:
    taken = (f"a-{number}" for number in range(1, 100_000))
    with pytest.raises(UsageError):
        next(naming.free("a-#", taken))


REPORT = b"""--- !ruby/object:Puppet::Transaction::Report
host: web.example.org
time: '2026-01-01T00:00:00.000000000+00:00'
configuration_version: 1
transaction_uuid: 12345678-aaaa
status: changed
noop: false
environment: production
logs:
- !ruby/object:Puppet::Util::Log
  message: "status: failed"
  status: failed
metrics: {}
"""


def test_a_report_is_read() -> None:
    assert reports.read(io.BytesIO(REPORT), 7) == Run(7, "changed", False, "production", "12345678-aaaa")


def test_only_the_outermost_mapping_counts() -> None:
    text = b"logs:\n- status: failed\n- {noop: true}\n? {a: b}\n: status\nstatus: unchanged\nother: [1]\nnoop: true\n"
    assert reports.read(io.BytesIO(text), 7) == Run(7, "unchanged", True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"- status: changed\n",
        b"status: ok\n",
        b"status: [changed]\n",
        b"status: changed\nnoop: maybe\n",
        b"status: *nowhere\n",
        b"status: 'changed\n",
        b"\xff\xfe\x00",
        b"status: !!python/object/apply:os.system ['true']\n",
        b"{" * 100_000,
    ],
)
def test_what_is_no_report_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"is |has "):
        reports.read(io.BytesIO(text), 7)


def test_aliases_are_not_followed() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    text = f"a0: &a0 x\n{levels}status: changed\n".encode()
    assert reports.read(io.BytesIO(text), 7).status == "changed"


@given(st.binary(max_size=300))
def test_no_octets_crash_it(octets: bytes) -> None:
    for text in (octets, b"status: changed\n" + octets):
        try:
            reports.read(io.BytesIO(text), 7)
        except ValueError:
            continue


def test_links_pipes_and_directories_are_no_reports(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_bytes(REPORT)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "directory.yaml").mkdir()
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        assert reports.run_of("real.yaml", handle).status == "changed"
        for name in ("link.yaml", "pipe.yaml", "directory.yaml", "none.yaml"):
            with pytest.raises((OSError, ValueError)):
                reports.run_of(name, handle)
    finally:
        os.close(handle)
