"""Of what a program printed, the line that says why is told, and all of it is kept."""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from enc.programs import log
from enc.terms.errors import MOST_SAID, bounded
from enc.terms.program_words import why

CASES = yaml.safe_load((Path(__file__).parent.parent / "cases/program_words.yaml").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_line_that_says_why(case: dict[str, Any]) -> None:
    told = why(case["output"])
    assert [words for words in case["says"] if words not in told] == [], told
    assert [words for words in case.get("not", ()) if words in told] == [], told
    assert told.isprintable()
    assert why(case["output"].replace("\n", "\r\n")) == told


def test_a_flood_of_words_is_bounded_and_keeps_its_reason() -> None:
    flood = "remote: x\n" * 500_000 + "x" * 200_000 + "\nfatal: early EOF\n"
    assert "early EOF" in why(flood) and len(why(flood)) < 20_000


def test_what_is_cut_says_so_and_by_how_much() -> None:
    assert bounded("x" * MOST_SAID) == "x" * MOST_SAID
    assert bounded("abcdef", 4) == "abcd… (cut here, 2 characters more)"


def test_all_that_was_said_is_kept_without_passwords(caplog: pytest.LogCaptureFixture) -> None:
    logger = log.get("words")
    logger.propagate = True
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    output = "first\nfatal: 'https://olga:s3cret@git.example.org/x' is away\n"
    log.all_said(logger, "git fetch", output, why(output))
    log.all_said(logger, "git fetch", "fatal: all\n", "fatal: all")
    logger.removeHandler(caplog.handler)
    told = [record.getMessage() for record in caplog.records]
    assert "git fetch said: first | fatal: 'https://git.example.org/x' is away" in told
    assert not any("s3cret" in line or "fatal: all" in line for line in told)


NO_ADVICE = {
    "enc.authority.statuses",  # a fingerprint
    "enc.terms.dn",  # the name that is wrong; what is wrong with it follows
    "enc.directory.messages",  # likewise
    "enc.signing.autosign",  # likewise
    "git_hooks.puppetfile.language",  # likewise
    "git_hooks.secrets.engine",  # the beginning of a file, looked at for a NUL
    "git_hooks.secrets.settings_lines",  # the end of a line, in which a pattern is looked for
    "puppetmaster_quickstart.stage",  # a story for a terminal; the log is named
    "puppetmaster_quickstart.storytelling",  # likewise
}
"""Modules that show the beginning of a value, with the words about it whole."""


def test_nobody_cuts_words_without_saying_so() -> None:
    found = set()
    root = Path(__file__).parent.parent.parent
    for package in ("enc", "git_hooks", "puppetmaster_self", "puppetmaster_quickstart"):
        for file in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                ends = (node.upper, node.lower) if isinstance(node, ast.Slice) else ()
                numbers = [end.operand if isinstance(end, ast.UnaryOp) else end for end in ends]
                if any(isinstance(n, ast.Constant) and isinstance(n.value, int) and n.value >= 100 for n in numbers):
                    found.add(".".join(file.relative_to(root).with_suffix("").parts))
    assert found <= NO_ADVICE
