"""The form of `.puppetmaster.yaml`, and which paths a check concerns."""

from __future__ import annotations

import pytest

from git_hooks.checks.own_checks import OwnCheck, OwnChecks, Unreadable, parse


def test_what_a_file_says() -> None:
    text = b"""
checks:
  - name: data
    command: [ci/data.py, --strict]
    timeout: 30s
    memory: 256M
    paths: ["data/*"]
  - {name: b-1_x, command: ["true"]}
rspec: true
"""
    first = OwnCheck("data", ("ci/data.py", "--strict"), 30.0, 256 << 20, ("data/*",))
    assert parse(text) == OwnChecks((first, OwnCheck("b-1_x", ("true",), 60.0, 512 << 20, ("*",))), rspec=True)
    assert parse(b"") == parse(b"---\n") == parse(b"checks: []") == OwnChecks()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "the file: must be a mapping"),
        ("checks: {}", "checks: must be a list"),
        ("checks: [[]]", "checks[0]: must be a mapping"),
        ("checks: null", "checks: must be a list"),
        ("rspec: yes please", "rspec: 'yes please' is neither"),
        ("checks: []\nchecks: []", "a key twice"),
        ("a: &a [1]\nb: *a", "alias"),
        ("!!python/object:os.system {}", "is not YAML"),
        ("checks: [{name: a, command: [x], evil: 1}]", "checks[0]: there is no key 'evil'"),
        ("checks: [{command: [x]}]", "checks[0].name: must be a word"),
        ("checks: [{name: A, command: [x]}]", "checks[0].name: must be a word"),
        ("checks: [{name: '../a', command: [x]}]", "checks[0].name: must be a word"),
        ("checks: [{name: 7, command: [x]}]", "checks[0].name: must be a word"),
        ("checks: [{name: a, command: x}]", "checks[0].command: must be a list"),
        ("checks: [{name: a, command: []}]", "checks[0].command: must be a list"),
        ("checks: [{name: a, command: ['']}]", "checks[0].command: must begin with a program"),
        ("checks: [{name: a, command: [sleep, 5]}]", "checks[0].command: must be a list"),
        ('checks: [{name: a, command: ["a\\0b"]}]', "checks[0].command: must be a list"),
        ('checks: [{name: a, command: [a, "x\\ny"]}]', "checks[0].command: must be a list"),
        ("checks: [{name: a, command: [" + "x, " * 101 + "]}]", "checks[0].command: must be a list of 1 to 100"),
        ("checks: [{name: a, command: [" + "x" * 9000 + "]}]", "at most 8192 characters"),
        ("checks: [{name: a, command: [x], timeout: 0}]", "checks[0].timeout: 0 is not between 1s and 1h"),
        ("checks: [{name: a, command: [x], timeout: 2h}]", "checks[0].timeout: '2h' is not between"),
        ("checks: [{name: a, command: [x], timeout: soon}]", "checks[0].timeout: 'soon' is not a duration"),
        ("checks: [{name: a, command: [x], timeout: .nan}]", "checks[0].timeout: nan is not"),
        ("checks: [{name: a, command: [x], timeout: true}]", "checks[0].timeout: True is not"),
        ("checks: [{name: a, command: [x], memory: 1M}]", "checks[0].memory: '1M' is less than 16M"),
        ("checks: [{name: a, command: [x], memory: 1T}]", "checks[0].memory: '1T' is not a number of bytes"),
        ("checks: [{name: a, command: [x], memory: -1}]", "checks[0].memory: -1 is not a number of bytes"),
        ("checks: [{name: a, command: [x], memory: true}]", "checks[0].memory: True is not"),
        ("checks: [{name: a, command: [x], paths: []}]", "checks[0].paths: must be a list"),
        ("checks: [{name: a, command: [x], paths: '*'}]", "checks[0].paths: must be a list"),
        ("checks: [{name: a, command: [x]}, {name: a, command: [y]}]", "the name a is given twice"),
        ("rspec: true\nchecks: [{name: rspec, command: [x]}]", "the name rspec is given twice"),
        ("checks: [" + "{name: a, command: [x]}, " * 21 + "]", "at most 20 checks"),
        ("[" * 5000, "is not YAML"),
        ("? [a, b]\n: x\n", "line 1, column 3: found unhashable key"),
        ("checks: [{name: a, command: [x]", "is not YAML in which everything is said once: line 1"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, says: str) -> None:
    with pytest.raises(Unreadable) as told:
        parse(text.encode())
    assert says in str(told.value) and "\n" not in str(told.value)


def test_what_is_no_text_says_so() -> None:
    for content in (b"\xff\xfe", b"a: \x00", "checks: []".encode("utf-16")):
        with pytest.raises(Unreadable):
            parse(content)


@pytest.mark.parametrize(
    ("patterns", "paths", "concerned"),
    [
        (("*",), ["a"], True),
        (("*",), [], False),
        (("data/*",), ["data/a", "b"], True),
        (("data/*",), ["datab/a", "b"], False),
        (("data/*", "*.yaml"), ["x/y.yaml"], True),
        (("[ab].pp",), ["b.pp"], True),
        (("[",), ["["], True),
        (("Data/*",), ["data/a"], False),
    ],
)
def test_which_paths_a_check_concerns(patterns: tuple[str, ...], paths: list[str], concerned: bool) -> None:
    assert OwnCheck("a", ("x",), paths=patterns).concerns(paths) is concerned
