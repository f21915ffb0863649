"""`--json` is promised: every command that takes it has a shape, and the shapes follow the rules of docs/json.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from enc.cli import ENC_ADMIN, Program
from tests.support import json_contract
from tests.support.json_contract import PROGRAMS, ROOT, Shape, commands, contract, expanded

_OTHERS = {
    "enc-admin answer": "what puppetserver reads",
    "enc-admin certificate metrics": "Prometheus's format",
    "enc-admin completion": "a shell's program",
    "enc-admin config example": "a configuration file",
    "enc-admin follow": "a service",
    "enc-admin schema print": "files for slapd",
    "enc-admin signing judge": "puppetserver asks for the exit status",
    "enc-admin vendordata serve": "a service",
    "branch-manager authorized-keys": "what sshd reads",
    "branch-manager completion": "a shell's program",
    "branch-manager gerrit-hook": "what Gerrit runs",
    "branch-manager hooks": "a service",
    "branch-manager serve": "a service",
    "branch-manager ssh-shell": "what sshd runs",
    "puppetmaster-self completion": "a shell's program",
}
"""Commands without `--json`, and whom their output is for."""


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from _parsers(command)


def _takes(parser: argparse.ArgumentParser, option: str) -> bool:
    return any(option in action.option_strings for action in parser._actions)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_command_takes_json_and_has_a_shape(program: Program) -> None:
    found = {parser.prog: _takes(parser, "--json") for parser in _parsers(program.parser())}
    assert {name for name, takes in found.items() if not takes} == {
        name for name in _OTHERS if name.split(" ")[0] == program.name
    }
    promised = {name for name in commands() if name.split(" ")[0] == program.name}
    assert {name for name, takes in found.items() if takes} - promised == set()
    gone = {name for name in promised - found.keys() if name.rpartition(" ")[0] not in found}
    assert gone == set()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_command_with_a_dry_run_says_whether_it_was_one(program: Program) -> None:
    dry = {parser.prog for parser in _parsers(program.parser()) if _takes(parser, "--dry-run")}
    assert {name for name in dry if "dry_run" not in _keys(commands()[name])} == set()


def _resolved(shape: Shape) -> Shape:
    return expanded(contract()["shapes"].get(shape, shape) if isinstance(shape, str) else shape)


def _keys(shape: Shape) -> set[str]:
    found = _resolved(shape)
    assert isinstance(found, dict), shape
    return set(found)


@pytest.mark.parametrize("command", commands())
def test_there_is_an_object_at_the_top(command: str) -> None:
    assert _keys(commands()[command])


def _parts(shape: Shape) -> Iterator[tuple[str, str]]:
    """Yield each key with the word that stands under it, alone or in a list or an object with any keys."""
    found = expanded(shape)
    if isinstance(found, list):
        yield from _parts(found[0])
    elif isinstance(found, dict):
        for key, part in found.items():
            inner = part[0] if isinstance(part, list) else part.get("*", part) if isinstance(part, dict) else part
            if isinstance(inner, str):
                yield key, inner.removesuffix(" or null")
            else:
                yield from _parts(inner)


def _all_parts() -> set[tuple[str, str]]:
    shapes = [*commands().values(), *contract()["shapes"].values()]
    return {part for shape in shapes for part in _parts(shape)}


def test_every_word_is_explained() -> None:
    known = {*contract()["words"], *contract()["shapes"]}
    assert {word for _, word in _all_parts()} - known == set()
    used = {word for _, word in _all_parts()} | {str(shape) for shape in commands().values()}
    extended = {shape["+"] for shape in commands().values() if isinstance(shape, dict) and "+" in shape}
    assert set(contract()["shapes"]) - used - extended == set()


def _kinds() -> set[tuple[str, type]]:
    """Return each key with what stands under it: a list, an object or a text for what is neither."""
    found: set[tuple[str, type]] = set()

    def walk(shape: Shape) -> None:
        opened = expanded(shape)
        if isinstance(opened, list):
            walk(opened[0])
        elif isinstance(opened, dict):
            for key, part in opened.items():
                found.add((key, type(_resolved(part.removesuffix(" or null") if isinstance(part, str) else part))))
                walk(part)

    for shape in [*commands().values(), *contract()["shapes"].values()]:
        walk(shape)
    return found


_TIMES = {"at", "time", "begun", "since", "until", "last", "next", "created", "expires", "revoked", "ends", "made"}
_TIMES |= {"answered", "token_until", "proposed_at", "queued_at", "moved_at", "ended_at", "lifted_at"}


def test_one_key_means_one_thing_everywhere() -> None:
    parts = _all_parts()
    assert {key for key, word in parts if word == "seconds"} == {key for key, _ in parts if key.endswith("_seconds")}
    assert {key for key, word in parts if word == "moment"} == _TIMES
    assert {part for part in parts if part[0] in _TIMES and part[1] != "moment"} == set()
    assert {key for key, word in parts if word == "certname"} == {"certname", "nodes"}
    # What somebody else wrote into a request or a journal need not be a certname.
    assert {word for key, word in parts if key == "certname"} == {"certname", "text"}
    assert {key for key, word in parts if word == "project"} == {"project"}
    assert {key for key, word in parts if word == "commit"} <= {
        "commit",
        "from",
        "to",
        "now",
        "live",
        "upstream",
        *("base", "picked", "reverts", "commits", "landed_as", "is"),  # of promotions
        "local",
    }
    lists = {key for key, kind in _kinds() if kind is list}
    assert {key for key, kind in _kinds() if kind is not list} & lists == {"before", "after", "*"}
    assert not {"node", "host", "fqdn", "sha", "rev", "name_of_node"} & {key for key, _ in parts}


def test_the_page_has_the_reference() -> None:
    text = (ROOT / "docs" / json_contract.PAGE).read_text()
    assert text == json_contract.renewed(text), f"run: {json_contract.MAKER}"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize(
    "words",
    [
        ("--json",),
        ("nosuch", "--json"),
        ("--json", "doctor"),
        ("doctor", "--nosuch", "--json"),
        ("doctor", "--js", "x"),
    ],
)
def test_wrong_usage_is_told_as_a_document(
    program: Program, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(words) == 2
    told = capsys.readouterr()
    error = json.loads(told.out)["error"]
    assert error["message"] and set(error) == {"message", "where"}
    assert error["message"] in told.err


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("words", [("status", "--json=1"), ("--json=yes", "status"), ("--json", "status")])
def test_json_in_a_wrong_place_or_form_still_gets_a_document(
    program: Program, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([*words]) == 2
    out, err = capsys.readouterr()
    assert set(json.loads(out)["error"]) == {"message", "where"} and err
    if words[0].startswith("--json"):
        assert f"--json goes after the command: {program.name} COMMAND --json" in err


def test_an_export_has_one_form(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("")
    words = ["--config", str(tmp_path / "config.yaml"), "export", "--format", "ldif", "--json"]
    assert ENC_ADMIN.main(words) == 2
    assert "--json and --format ldif exclude each other" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_without_json_wrong_usage_leaves_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAMS[0].main(["node", "list", "--jason"]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.splitlines()[-1]) == (
        "",
        "enc-admin: node list: unknown option --jason; did you mean --json?",
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("content", [b"\xff", b"[", b"nosuch: 1\n"])
def test_a_configuration_that_cannot_be_used_is_told_as_a_document(
    program: Program, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    words = ["status", "--json"]
    assert program.main(["--config", str(file), *words]) == 2
    json_contract.held(program.name, words, capsys.readouterr().out)
