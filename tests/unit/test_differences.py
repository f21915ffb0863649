"""What became different: the path to it, never both values whole, never more than is asked for."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.edits import differences
from enc.edits.change import Change, Step
from enc.edits.differences import SHORT, WHOLE, Bounds, of_texts, of_values

NETWORKS = [f"192.0.2.{number}/32" for number in range(200)]
ABUSE: dict[str, Any] = {"blocked": {"context": ["ferm", "varnish"], "networks": NETWORKS}, "text": {"limit": 5}}


def told(before: Any, after: Any, bounds: Bounds = SHORT) -> list[str]:
    """The differences of two JSON values below `key`, without the label."""
    texts = [f"key={json.dumps(value)}" for value in (before, after)]
    return [line.removeprefix("~ data: key: ") for line in of_values("data", texts[:1], texts[1:], bounds)]


def changed(**blocked: Any) -> dict[str, Any]:
    return {**ABUSE, "blocked": {**ABUSE["blocked"], **blocked}}


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        (changed(networks=[*NETWORKS, "198.51.100.7"]), ['blocked.networks[+] "198.51.100.7"']),
        (changed(networks=NETWORKS[:50] + NETWORKS[51:]), ['blocked.networks[-] "192.0.2.50/32"']),
        (changed(networks=NETWORKS[::-1]), ["blocked.networks: the same 200 items in another order"]),
        (changed(context=[]), ['blocked.context[-] "ferm"', 'blocked.context[-] "varnish"']),
        (changed(context=None), ['blocked.context: ["ferm", "varnish"] → null']),
        (changed(more={"a.b": 1}), ['blocked.more[+] {"a.b": 1}']),
        ({**ABUSE, "text": {"limit": 5.0}}, ["text.limit: 5 → 5.0"]),
        ({**ABUSE, "text": {"limit": True, "a.b c": 1}}, ["text.limit: 5 → true", 'text."a.b c"[+] 1']),
        (dict(reversed(ABUSE.items())), [differences._FORM_ONLY]),
        ({"blocked": ABUSE["blocked"]}, ['text[-] {"limit": 5}']),
    ],
)
def test_the_path_to_what_changed(after: Any, lines: list[str]) -> None:
    assert told(ABUSE, after) == lines


def test_what_is_changed_within_the_items_of_a_list() -> None:
    users = [{"name": f"user{number}", "uid": number} for number in range(40)]
    later = [{**user, "uid": 7} if user["uid"] == 30 else user for user in users]
    assert told(users, later) == ["[30].uid: 30 → 7"]
    assert told({"users": users}, {"users": [*users[:3], [1], *users[4:]]}) == [
        'users[-] {"name": "user3", "uid": 3}',
        "users[+] [1]",
    ]


def test_one_and_true_and_one_point_zero_are_three_things() -> None:
    long = ["x" * 300]
    assert told([1, *long], [True, *long]) == ["[-] 1", "[+] true"]


def test_short_values_are_shown_whole() -> None:
    assert of_values("puppetVar", ["a=1"], ["a=2"]) == ["- puppetVar: a=1", "+ puppetVar: a=2"]
    assert of_values("puppetClass", [], ["role::web"]) == ["+ puppetClass: role::web"]


def test_a_text_of_many_lines_and_one_of_one() -> None:
    text = "\n".join(f"line {number} of the message" for number in range(100))
    assert told(text, text.replace("line 41 of", "row 41 of")) == [
        'line 42[-] "line 41 of the message"',
        'line 42[+] "row 41 of the message"',
    ]
    flat = "".join(f"word{number} " for number in range(500))
    assert told(flat, flat.replace("word250 ", "")) == [
        '…"rd248 word249 word250 word251 word252 word253 wo"… → …"rd248 word249 word251 word252 word253 wo"…'
    ]
    assert told({"a": "x" * 20_000}, {"a": "x" * 20_001}) == ['a: …"' + "x" * 20 + '" → …"' + "x" * 21 + '"']


def test_a_value_that_is_no_json_is_a_text() -> None:
    (line,) = of_values("description", ["a" * 400 + "old" + "b" * 400], ["a" * 400 + "new" + "b" * 400])
    assert line.startswith("~ description: …") and "old" in line and "new" in line and len(line) <= 200


def test_many_values_are_counted() -> None:
    members = [f"uid=person{number},ou=people,dc=example,dc=org" for number in range(500)]
    lines = of_values("member", members, [])
    assert (len(lines), lines[-1]) == (20, "… and 481 more")
    assert len(of_values("member", members, [], WHOLE)) == 500
    assert told(ABUSE, changed(networks=[]))[-1] == "… and 181 more"
    steps = [Step("modify", f"cn={n}", (Change("member", (), (f"x{n}",)),)).lines() for n in range(300)]
    assert differences.of_steps(steps)[-1] == "… and 401 more lines; --full shows all"


def test_whole_values_are_whole() -> None:
    before, after = (f"key={json.dumps(value)}" for value in (ABUSE, changed(context=[])))
    assert of_values("data", [before], [after], WHOLE) == [f"- data: {before}", f"+ data: {after}"]


def test_a_long_value_that_came_or_went_is_cut_and_measured() -> None:
    (line,) = of_values("data", [], [f"key={json.dumps(ABUSE)}"])
    assert len(line) <= 200 and line.endswith(f"… ({len(json.dumps(ABUSE)) + 4:,} characters)")


def test_a_large_change_everywhere_is_quick() -> None:
    before, after = ([f"{side}{number % 7000}" for number in range(20_000)] for side in "ab")
    began = time.process_time()
    assert len(told(before, after)) == 20
    assert len(told("\n".join(before), "\n".join(after))) == 20
    assert len(told(["a"] * 20_000, ["b", "a"] * 10_000)) == 20
    assert time.process_time() - began < 30, "less than a second, on an idle machine"
    assert told([*before, "last"], [*after[::-1], *before]) != []


HOSTILE = st.text(st.characters() | st.sampled_from('\n\r\x1b\u2028\u202e\x00"\\=.[]'), max_size=120)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | HOSTILE,
    lambda below: st.lists(below, max_size=5) | st.dictionaries(HOSTILE, below, max_size=5),
    max_leaves=30,
)


@given(VALUES, VALUES, HOSTILE)
def test_every_line_is_one_line_and_bounded_and_no_change_is_silent(before: Any, after: Any, name: str) -> None:
    texts = [f"{name}={json.dumps(value)}" for value in (before, after)]
    lines = of_values("data", texts[:1], texts[1:]) + of_texts("~ x", texts[0], texts[1]) + of_values("data", texts, [])
    assert all(line.isprintable() and len(line) <= 200 for line in lines)
    if texts[0] != texts[1]:
        assert of_values("data", texts[:1], texts[1:])
    assert len(lines) <= 3 * 20


@given(st.lists(HOSTILE, max_size=6, unique=True), st.lists(HOSTILE, max_size=6, unique=True))
def test_every_value_that_came_or_went_has_its_line(removed: list[str], added: list[str]) -> None:
    lines = of_values("data", removed, [value for value in added if value not in removed])
    assert sum(line[0] in "-~" for line in lines) >= len(removed)
