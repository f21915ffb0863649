"""`enc-autosign` as puppetserver finds it: a program, or, without its x bit, a list of names that allows nobody."""

from __future__ import annotations

import string
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

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
