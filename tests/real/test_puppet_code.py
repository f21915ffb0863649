"""Puppet's own parser, asked by the worker about code that means harm."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_hooks.puppet_code.calls import Call, Kind, ParserMissing, Reading
from git_hooks.puppet_code.parser import Parser, _Lane
from git_hooks.puppet_code.worker import Worker


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


def read(worker: Worker, code: str | bytes, kind: Kind = Kind.MANIFEST) -> Reading:
    octets = code if isinstance(code, bytes) else code.encode()
    return worker.read(octets.hex(), kind, lambda: octets)


@pytest.mark.parametrize(
    ("code", "name", "arguments"),
    [
        ("generate('/bin/id')", "generate", ("/bin/id",)),
        ("::generate('/bin/id')", "generate", ("/bin/id",)),
        ("generate ('/bin/id')", "generate", ("/bin/id",)),
        ("'/bin/id'.generate", "generate", ("/bin/id",)),
        ("'/bin/id'.generate |$x| { 1 }", "generate", ("/bin/id", None)),
        ("class a($x = generate('/y')) { }", "generate", ("/y",)),
        ("function m::f($a) >> Enum[generate('/y')] { $a }", "generate", ("/y",)),
        ("type A = Enum[generate('/y')]", "generate", ("/y",)),
        ("node /x/ { $y = epp('/etc/passwd') }", "epp", ("/etc/passwd",)),
        ('$x = "a ${generate(\'/y\')} b"', "generate", ("/y",)),
        ("$x = @(\"END\")\n a ${generate('/y')}\n END\n", "generate", ("/y",)),
        ("Foo<| a == generate('/y') |>", "generate", ("/y",)),
        ("file { '/x': * => { content => file('/y') } }", "file", ("/y",)),
        ("\ufeffgenerate('/y')", "generate", ("/y",)),
        ("file(\"${x}/y\")", "file", (None,)),
        ("file('a/b', $c)", "file", ("a/b", None)),
        ("$context.cached_file_data('/y')", "cached_file_data", (None, "/y")),
        ("call('generate', '/y')", "call", ("generate", "/y")),
        ("Deferred('generate', ['/y']).call", "call", (None,)),
        ("'generate'('/y')", None, ("/y",)),
        ("\"gen${a}\"('/y')", None, ("/y",)),
        ("$x[0]('/y')", None, ("/y",)),
        (f"file('{'x' * 5000}')", "file", (None,)),
    ],
)
def test_each_way_to_call_is_seen(
    worker: Worker, code: str, name: str | None, arguments: tuple[str | None, ...]
) -> None:
    found = [(call.name, call.arguments) for call in read(worker, code).calls]
    assert (name, arguments) in found


@pytest.mark.parametrize(
    "code", ["<%= generate('/y') %>", "<%-generate('/y')-%>", "<%- | $a | -%>\n<% generate('/y') %>"]
)
def test_epp(worker: Worker, code: str) -> None:
    assert [call.name for call in read(worker, code, Kind.EPP).calls] == ["generate"]


@pytest.mark.parametrize(
    "code",
    [
        "# generate('/y')",
        "/* generate('/y') */",
        "$x = 'generate(1)'",
        "$x = @(END)\n ${generate('/y')}\n END\n",
        "Deferred('generate', ['/y'])",  # the agent's
        "Integer('7')",
        "$x = generate",
        "",
    ],
)
def test_what_calls_nothing(worker: Worker, code: str) -> None:
    assert read(worker, code) == Reading()


def test_text_around_epp_calls_nothing(worker: Worker) -> None:
    code = "generate('/y') ${generate('/y')} <%% generate('/y') %> <%# generate('/y') %>"
    assert read(worker, code, Kind.EPP) == Reading()


def test_lines_are_told(worker: Worker) -> None:
    assert read(worker, "\n\nfail('x')\r\nfail('y')").calls == (Call(3, "fail", ("x",)), Call(4, "fail", ("y",)))


@pytest.mark.parametrize("code", ["class a {", b"\xff", "generate('/y')}", "\0", "("])
def test_what_puppet_cannot_read(worker: Worker, code: str | bytes) -> None:
    found = read(worker, code)
    assert found.fault and found.syntax and not found.calls


def test_nothing_is_run(worker: Worker, tmp_path: Path) -> None:
    """Neither code, nor a file with the name of something that Puppet would load."""
    mark = tmp_path / "mark"
    read(worker, f"generate('/usr/bin/touch', '{mark}')\nfile('{mark}')\nmark::own('{mark}')\ninclude mark")
    assert not mark.exists()


def test_nesting_without_end_is_refused_and_the_next_is_answered(worker: Worker) -> None:
    found = read(worker, "$x = " + "[" * 20_000 + "generate('/y')" + "]" * 20_000)
    assert found.fault and not found.syntax
    assert [call.name for call in read(worker, "fail('after')").calls] == ["fail"]


def test_a_process_that_was_ended_is_replaced(worker: Worker) -> None:
    read(worker, "fail('before the end')")
    process = worker._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert [call.name for call in read(worker, "fail('after the end')").calls] == ["fail"]


def test_where_no_puppet_is_one_line_says_so(tmp_path: Path) -> None:
    for ruby in (tmp_path / "none", Path("/bin/false")):
        with pytest.raises(ParserMissing, match="cannot be read"):
            read(Worker(ruby), "fail('x')")


def test_what_the_parser_failed_over_is_asked_again(worker: Worker) -> None:
    """A busy machine must not make code unreadable for as long as the service runs."""
    code = "$x = " + "[" * 20_000 + "1" + "]" * 20_000
    asked: list[str] = []

    def asks(name: str, text: str) -> str:
        def content() -> bytes:
            asked.append(name)
            return text.encode()

        return worker.read(name, Kind.MANIFEST, content).fault

    assert asks("failed", code) and asks("failed", code) and asks("syntax", "class a {") and asks("syntax", "class a {")
    assert asked == ["failed", "failed", "syntax"], "what Puppet's grammar does not allow stays so"


def test_what_is_remembered_has_a_bound(worker: Worker) -> None:
    many = b"notice(1)\n" * 2_000
    for number in range(60):
        assert len(worker.read(f"many {number}", Kind.MANIFEST, lambda: many).calls) == 2_000
    assert sum(1 + len(reading.calls) for reading in worker._known.values()) <= 100_000


SLOW = b"notice(1)\n" * 6_000
"""Some seconds of the parser; a push may bring thousands of such files."""


def test_what_takes_too_long_is_stopped_and_the_process_goes_on(worker: Worker) -> None:
    read(worker, "fail('before')")
    process = worker._process
    found = worker.read("slow", Kind.MANIFEST, lambda: SLOW * 4, 0.02)
    assert found.late and found.fault and not found.syntax
    assert [call.name for call in read(worker, "fail('after')").calls] == ["fail"]
    assert worker._process is process
    assert not worker.read("slow", Kind.MANIFEST, lambda: SLOW[:10_000], 60.0).late, "it may be asked again"


def test_four_that_bring_slow_code_keep_nobody_else_waiting() -> None:
    parser, read = Parser(moment=60.0), []  # however busy the machine is
    people = ["hostile 0", "hostile 1", "hostile 2", "hostile 3", "much"]
    for who in people:
        parser._count(who, 9.0 if who == "much" else 10.0)

    def asks(who: str) -> None:
        parser.read(who, who, Kind.MANIFEST, lambda: SLOW if who != "much" else b"include apache")
        read.append(who)

    threads = [threading.Thread(target=asks, args=(who,)) for who in people]
    with parser._slow.turn(lambda: 0.0):
        for thread in threads:
            thread.start()
        while len(parser._slow._waiting) < len(people):
            time.sleep(0.01)
        # Who has used little does not wait with them at all.
        for number in range(5):
            reading, _ = parser.read("mia", f"mia {number}", Kind.MANIFEST, lambda: b"include apache")
            assert reading.calls and not read
    for thread in threads:
        thread.join()
    parser.close()
    assert read[0] == "much", "who has used less than the four is next, however long they have waited"
    assert parser.used("mia") < parser.used("much")


def test_somebody_is_next_though_what_they_have_used_changes_meanwhile(worker: Worker) -> None:
    lane, here = _Lane(worker), threading.current_thread

    def wait(name: str) -> None:
        # To each who waits it seems that the other has used less.
        with lane.turn(lambda: float(here().name == name)):
            pass

    threads = [threading.Thread(target=wait, args=(name,), name=name, daemon=True) for name in "ab"]
    with lane.turn(lambda: 0.0):
        for thread in threads:
            thread.start()
        while len(lane._waiting) < 2:
            time.sleep(0.01)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_what_is_known_waits_for_nobody() -> None:
    parser = Parser(moment=60.0)
    parser.read("a", "known", Kind.MANIFEST, lambda: b"fail('x')")
    with parser._quick.turn(lambda: 0.0), parser._slow.turn(lambda: 0.0):
        reading, took = parser.read("c", "known", Kind.MANIFEST, lambda: b"")
    assert reading.calls and took == 0
    parser.close()
