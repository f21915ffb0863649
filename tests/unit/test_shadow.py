"""Comparing with another ENC: run as puppetserver runs it, and compared as Puppet would understand both."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from enc.importing import shadow
from enc.importing.shadow import Said, command_of, compare, differences, read, theirs
from enc.terms.errors import UsageError
from enc.terms.names import Certname

NODE = Certname("web1")


def _diff(ours: str, other: str, *ignore: str) -> tuple[str, ...]:
    return differences(read(ours), read(other), ignore=frozenset(ignore), default_environment="production")


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("classes: {a: {}, b: null}", "classes: [b, '::A']"),
        ("classes: {}\nenvironment: production", "classes: []"),
        ("parameters: {x: {a: 1, b: [true]}}", "{parameters: {x: {b: [yes], a: 1}}}"),
        ("parameters: {x: 1, age: 5}", "parameters: {x: 1}"),
        ("- a", ""),
    ],
)
def test_what_means_the_same_to_puppet(ours: str, other: str) -> None:
    assert _diff(ours, other, "age") == ()


@pytest.mark.parametrize(
    ("ours", "other", "line"),
    [
        ("classes: [a, b]", "classes: [a]", "class b: only ours"),
        ("classes: [a]", "classes: [a, b]", "class b: only theirs"),
        ("classes: {a: {p: 1}}", "classes: {a: {p: '1'}}", 'parameter a::p: ours 1, theirs "1"'),
        ("parameters: {x: true}", "parameters: {x: 1}", "variable x: ours true, theirs 1"),
        ("parameters: {x: {1: a, b: c}}", "parameters: {x: {'1': a, b: c}}", 'theirs {"1": "a", "b": "c"}'),
        ("parameters: {x: {1: a}}", "parameters: {x: {2012-05-30: a}}", "datetime"),
        ("parameters: {x: null}", "parameters: {}", "variable x: ours null, theirs absent"),
        ("parameters: {x: '2012-05-30'}", "parameters: {x: 2012-05-30}", "datetime"),
        ("environment: test", "classes: []", "environment: ours test, theirs production"),
        ("classes: []", "[", "theirs fails: is not YAML"),
        ("classes: []", "", "theirs fails: empty output"),
        ("classes: []", "[a]", "theirs fails: is not a YAML mapping"),
        ("", "classes: []", "ours fails"),
        ("parameters: {'a\\nb': 1}", "{parameters: {}}", "variable a\\nb"),
    ],
)
def test_what_does_not(ours: str, other: str, line: str) -> None:
    (found,) = _diff(ours, other)
    assert line in found
    assert found.isprintable()


def _program(place: Path, body: str) -> list[str]:
    place.write_text(f"#!/bin/sh\n{body}\n")
    place.chmod(0o755)
    return [str(place)]


def test_it_is_run_as_puppetserver_runs_it(tmp_path: Path) -> None:
    body = 'echo noise >&2; read x; printf "parameters: {n: $#, stdin: \\"$x\\", last: $4}"'
    program = _program(tmp_path / "enc", body)
    command = command_of(f"{program[0]}  --a 'b c'")
    assert theirs(command, NODE, 10).parameters == {"n": 4, "stdin": "", "last": "web1"}


@pytest.mark.parametrize("setting", ["", "enc", "./enc x"])
def test_a_setting_that_puppetserver_would_not_run(setting: str) -> None:
    with pytest.raises(UsageError):
        command_of(setting)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'no such node'; echo more; exit 3", "exit status 3: no such node"),
        ("exit 0", "empty output"),
        ("printf '\\377'; exit 0", ""),
        ("sleep 60 & sleep 60", "no answer within"),
    ],
)
def test_failures_are_answers_too(tmp_path: Path, body: str, reason: str) -> None:
    began = time.monotonic()
    said = theirs(_program(tmp_path / "enc", body), NODE, 0.5)
    assert said.failure is not None
    assert reason in said.failure
    assert time.monotonic() - began < 20


def test_a_program_that_is_not_there() -> None:
    assert "cannot be started" in str(theirs(["/nonexistent/enc"], NODE, 1).failure)


def test_verdicts_come_in_order_and_for_each_node(tmp_path: Path) -> None:
    program = _program(tmp_path / "enc", 'test "$1" = b && exit 1; echo "classes: [$1]"')
    nodes = [(Certname(name), Said({name: {}}, {}, None)) for name in "abc"]
    found = list(compare(nodes, program, jobs=3, timeout=60, ignore=frozenset(), default_environment="production"))
    assert [verdict.certname for verdict in found] == ["a", "b", "c"]
    assert [bool(verdict.differences) for verdict in found] == [False, True, False]
    assert shadow.refused("x\ny").failure == "x\\ny"
