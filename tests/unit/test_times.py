"""Times for people and programs, whatever number a damaged file holds."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
