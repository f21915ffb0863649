"""Certificate requests and the verdicts about them: every case of tests/cases/signing, and what nobody thought of."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from enc.instances.enrolment import Enrolment
from enc.settings import Settings, SigningSettings
from enc.signing import request
from enc.signing.autosign import Outcome, decide, read_all
from enc.signing.policy import CODES, Instance, Verdict
from enc.signing.request import BadRequest
from enc.terms.errors import Conflict
from enc.terms.names import Certname, ProjectName
from enc.terms.record import Record

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests/cases/signing").glob("*.yaml"))
CASES = {file.stem: yaml.safe_load(file.read_text()) for file in FILES}
GOOD = CASES["good_ec"]["request"].encode()


def octets_of(case: dict[str, Any]) -> bytes:
    made: bytes = case["request"].encode() if "request" in case else base64.b64decode(case["octets"])
    # Of the long ones only the beginning is kept, as everywhere.
    return (made * case.get("times", 1))[: 2 * request.LARGEST]


def judged(case: dict[str, Any], octets: bytes | None = None) -> tuple[Outcome, list[Verdict]]:
    """Judge a case on what its file says that LDAP holds; return the outcome and what was put into LDAP."""
    records = [
        Record(entry["dn"], {name.lower(): tuple(values) for name, values in entry["attributes"].items()}, csn="1")
        for entry in case["entries"]
    ]
    written: list[Verdict] = []

    def with_ldap(read: Callable[..., Outcome]) -> Outcome:
        return read(lambda _: records, lambda _, verdict: written.append(verdict))

    project = ProjectName(case["authority"]) if "authority" in case else None
    given = octets_of(case) if octets is None else octets
    with tempfile.TemporaryDirectory() as issued:
        if case.get("issued"):
            (Path(issued) / f"{case['certname']}.pem").touch()
        signing = SigningSettings(
            timeout=60,  # type: ignore[arg-type]
            renew_after=case.get("renew_after"),
            project=project,
            issued=Path(issued) if project else None,
        )
        settings = Settings(signing=signing)
        return decide(case["certname"], given, with_ldap, settings, clock=lambda: case["now"]), written


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = CASES[name]
    outcome, written = judged(case)
    assert outcome.verdict.code == case["code"], outcome.verdict.reason
    assert outcome.verdict.signs == (case["code"] in ("signed", "renewed", "known-key"))
    # Who is refused changes nothing, and what is used is used for this key.
    assert len(written) == (case["code"] in ("signed", "renewed"))
    if written:
        enrolment = written[0].enrolment
        assert enrolment is not None and outcome.request is not None
        assert (enrolment.state, enrolment.key, enrolment.since) == ("signed", outcome.request.key, case["now"])
    assert outcome.verdict.reason.isprintable() and len(outcome.verdict.reason) < 600


def test_the_cases_are_many_and_leave_out_no_code_of_the_policy() -> None:
    assert len(CASES) >= 80
    elsewhere = {"stranger", "crowded", "busy", "ldap-unreachable", "ldap-refused", "configuration", "journal", "bug"}
    elsewhere.add("public-key")  # tests/real/test_signing.py
    assert {case["code"] for case in CASES.values()} == CODES.keys() - elsewhere


def test_a_refusal_of_a_bad_request_is_still_told_to_the_instances_project() -> None:
    for name in ("san_other", "rsa_1024", "garbage", "one_megabyte", "other_name"):
        outcome, _ = judged(CASES[name])
        assert outcome.instance is not None and outcome.instance.project == "red"


def test_who_loses_the_race_is_judged_by_what_the_winner_left() -> None:
    case = CASES["good_ec"]
    winner = Enrolment("signed", 1999, 5000, "", key="0" * 64)
    stored = [case["entries"][0]["attributes"]["puppetmasterEnrolment"][0]]
    token = Enrolment.read(stored[0]).token

    def find(_: Certname) -> list[Record]:
        return [Record(case["entries"][0]["dn"], {"puppetmasterenrolment": (stored[-1],)})]

    def use(_instance: Instance, _verdict: Verdict) -> None:
        stored.append(winner._replace(token=token).text())
        raise Conflict("somebody was first")

    settings = Settings(signing=SigningSettings(timeout=60))  # type: ignore[arg-type]
    outcome = decide(case["certname"], GOOD, lambda read: read(find, use), settings, clock=lambda: 2000)
    assert outcome.verdict.code == "used"


def test_a_long_input_is_read_to_its_end() -> None:
    class Stream:
        left = 1 << 20

        def read(self, size: int) -> bytes:
            taken = min(size, self.left)
            self.left -= taken
            return b"A" * taken

    stream = Stream()
    kept = read_all(stream)  # type: ignore[arg-type]
    assert stream.left == 0
    assert request.LARGEST < len(kept) < 3 * request.LARGEST


def test_the_docs_show_every_code() -> None:
    text = (ROOT / "docs/signing.md").read_text()
    table = text.partition("| code |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table]
    assert rows == [(f"`{name}`", code.meaning, code.do) for name, code in CODES.items()]


def _read(octets: bytes) -> None:
    try:
        request.read(octets)
    except BadRequest as error:
        assert error.code in CODES and str(error).isprintable()


@given(st.binary(max_size=2000))
@example(b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----")
def test_no_octets_crash_the_reader(octets: bytes) -> None:
    _read(octets)
    _read(b"-----BEGIN CERTIFICATE REQUEST-----\n%b\n-----END CERTIFICATE REQUEST-----" % base64.b64encode(octets)[:76])


@given(
    st.sampled_from([case for case in CASES.values() if case["code"] not in ("not-a-request", "too-big")]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3)), max_size=4),
)
def test_no_change_of_a_request_crashes_the_reader(
    case: dict[str, Any], changes: list[tuple[float, bytes, int]]
) -> None:
    body = "".join(re.findall(r"^[A-Za-z0-9+/=]+$", octets_of(case).decode().replace("\r", ""), re.MULTILINE))
    der = bytearray(base64.b64decode(body))
    for place, put, taken in changes:
        at = int(place * len(der))
        der[at : at + taken] = put
    text = base64.encodebytes(bytes(der))
    octets = b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"
    _read(octets)
    if changes and case is CASES["good_ec"] and bytes(der) != base64.b64decode(body):
        outcome, written = judged(case, octets)
        assert not outcome.verdict.signs and not written
