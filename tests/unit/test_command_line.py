"""What all three programs' command lines have alike: groups, an example for each command, and what was meant."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.cli import Program
from enc.terms.nearest import meant
from tests.support.json_contract import PROGRAMS

ENC_ADMIN, BRANCH_MANAGER, PUPPETMASTER_SELF = PROGRAMS


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from _leaves(command)


def _by_name(name: str) -> Program:
    return next(program for program in PROGRAMS if program.name == name)


@pytest.mark.parametrize(
    "line, words",
    [
        ("enc-admin nod list", "'nod' is not a command; did you mean node?"),
        ("enc-admin noed list", "did you mean node?"),
        ("enc-admin NODE list", "did you mean node?"),
        ("enc-admin who_uses x", "did you mean who-uses?"),
        ("enc-admin list", "did you mean "),
        ("enc-admin node sho web-1", "node: 'sho' is not a command; did you mean show?"),
        ("enc-admin project member ad x y", "project member: 'ad' is not a command; did you mean add?"),
        ("enc-admin node list --jason", "node list: unknown option --jason; did you mean --json?"),
        ("enc-admin node set web-1 --resaon why --class x", "unknown option --resaon; did you mean --reason?"),
        ("enc-admin node set web-1 --klass=x --reason why", "unknown option --klass; did you mean --class?"),
        ("enc-admin --confg x node list", "unknown option --confg; did you mean --config?"),
        ("enc-admin export --format ymal", "'ymal' is not one of yaml, json, ldif, groups; did you mean yaml?"),
        ("enc-admin completion bsh", "'bsh' is not one of bash, zsh, fish; did you mean bash"),
        ("branch-manager staus list", "'staus' is not a command; did you mean status?"),
        ("branch-manager --confi list depoy", "'depoy' is not a command; did you mean deploy?"),
        ("branch-manager dploy list", "'dploy' is not a command; did you mean deploy?"),
        ("branch-manager hold project_red --reson x", "unknown option --reson; did you mean --reason?"),
        ("branch-manager token lst", "token: 'lst' is not a command; did you mean list?"),
        ("puppetmaster-self enabel", "'enabel' is not a command; did you mean enable?"),
        ("puppetmaster-self sync --forcast main", "unknown option --forcast; did you mean --forecast?"),
    ],
)
def test_what_was_meant_is_told(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *rest = line.split()
    assert _by_name(program).main(rest) == 2
    told = capsys.readouterr()
    assert words in told.err.splitlines()[-1]
    assert told.out == ""


def test_a_far_word_gets_no_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert ENC_ADMIN.main(["qqqqqqq"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "enc-admin: 'qqqqqqq' is not a command; enc-admin --help lists them"
    )
    assert ENC_ADMIN.main(["node", "qqqqqqq"]) == 2
    assert "; there are list, show" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("word", ["\n\x1b[2Jnode", "x" * 100_000, "\udce9", ""])
def test_a_hostile_word_stays_on_one_short_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([word], ["node", word], ["node", "list", f"--{word}x"], ["export", "--format", word]):
        assert ENC_ADMIN.main(words) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("enc-admin: ") and len(last) < 400 and last.isprintable()


def test_programs_are_told_in_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ENC_ADMIN.main(["node", "lst", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["message"] == "'lst' is not a command; did you mean list?"
    assert document["error"]["where"] == "node"


def test_a_value_behind_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ENC_ADMIN.parser(["node"]).parse_args(["node", "show", "--", "--jason"])
    assert arguments.certname == "--jason"


@pytest.mark.parametrize(
    "word, known, words",
    [
        ("staus", ["status", "list"], "; did you mean status?"),
        ("uri", ["uris", "ca_file"], "; did you mean uris?"),
        ("ca-file", ["uris", "ca_file"], "; did you mean ca_file?"),
        ("zzz", ["uris"], ""),
        ("", ["uris"], ""),
        ("x", [], ""),
        ("ad", ["add", "address"], "; did you mean add?"),
    ],
)
def test_nearest(word: str, known: list[str], words: str) -> None:
    assert meant(word, known) == words


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_each_command_is_in_one_group(program: Program) -> None:
    grouped = [name for names in program.groups.values() for name in names]
    assert sorted(grouped) == sorted(program.commands)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_overview_shows_the_groups(program: Program) -> None:
    text = program.parser().format_help()
    places = [text.index(f"\n{title}:\n") for title in program.groups]
    assert places == sorted(places)
    for title, names in program.groups.items():
        section = text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines() if line[:3].strip() and line[2] != " "] == list(names)


def test_what_machines_call_stands_apart() -> None:
    by_machines = list(BRANCH_MANAGER.groups.items())[-1]
    assert "not by people" in by_machines[0]
    assert set(by_machines[1]) >= {"authorized-keys", "ssh-shell", "gerrit-hook", "hooks", "serve"}
    assert "not by people" in list(ENC_ADMIN.groups)[-1]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_each_command_has_an_example_that_can_be_given(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = [leaf.prog.partition(" ")[2] for leaf in _leaves(program.parser())]
    assert sorted(program.examples) == sorted(leaves)
    for command, example in program.examples.items():
        words = shlex.split(example, comments=True)
        words = words[: next((at for at, word in enumerate(words) if word in (">", "|", "<", "&&")), len(words))]
        assert example.startswith(command), example
        program.parser(words).parse_args(words)  # raises UsageError


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_help_of_each_command_shows_its_example(program: Program) -> None:
    for leaf in _leaves(program.parser()):
        command = leaf.prog.partition(" ")[2]
        shown = leaf.format_help()
        assert f"\nexample:\n  {program.name} {program.examples[command]}\n" in shown
    assert f"\nexample:\n  {program.name} " in program.parser().format_help()
