"""Times for people and programs, whatever number a damaged file holds."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.programs import times
from enc.programs.times import age, compact, day, iso

LAST = "9999-12-31T23:59:59Z"


@given(st.integers(0, 253402300799))
def test_it_is_what_datetime_reads_again(seconds: int) -> None:
    assert datetime.fromisoformat(iso(seconds)).timestamp() == seconds
    assert day(seconds) == iso(seconds)[:10]
    assert compact(seconds) + "Z" == iso(seconds).replace("-", "").replace(":", "")
    assert iso(seconds) == f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1e20, LAST), (math.inf, LAST), (-1, "1970-01-01T00:00:00Z"), (math.nan, "1970-01-01T00:00:00Z"), (0.999, iso(0))],
)
def test_what_no_calendar_has_is_the_nearest_that_it_has(seconds: float, text: str) -> None:
    assert iso(seconds) == text


def test_ages() -> None:
    lengths = {-5: "0s", 0: "0s", 59.9: "59s", 60: "1m", 3599: "59m", 3600: "1h", 86399: "23h", 86400: "1d", 8e6: "92d"}
    assert {seconds: age(seconds) for seconds in lengths} == lengths


def test_a_compact_moment_is_read_again() -> None:
    for seconds in (1, 1795384335, 4102444800):
        assert times.of_compact(times.compact(seconds)) == seconds
    assert [times.of_compact(text) for text in ("", "20261301T000000", "1795384335", "20261122T211215Z")] == [None] * 4


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        ("closed since 1795986401", "closed since 2026-11-29T21:06:41Z"),
        ("1795986461 took 59", "2026-11-29T21:07:41Z took 59"),
        ("red__x until 1795986401 room 1795986461x", "red__x until 2026-11-29T21:06:41Z room 1795986461x"),
        (
            f"serving since 1795986401 commit {'1' * 40} ahead 1",
            f"serving since 2026-11-29T21:06:41Z commit {'1' * 40} ahead 1",
        ),
    ],
)
def test_what_ldap_holds_of_moments_is_legible(held: str, shown: str) -> None:
    assert times.legible(held) == shown
