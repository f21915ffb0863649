"""Nothing is told as `1 patches`."""

from __future__ import annotations

import ast
import re

import pytest

from enc.terms.counted import counted
from tests.unit.test_walls import modules


@pytest.mark.parametrize(
    "number, words, told",
    [
        (0, ("node",), "0 nodes"),
        (1, ("node",), "1 node"),
        (2, ("node",), "2 nodes"),
        (1, ("patch", "patches"), "1 patch"),
        (7, ("patch", "patches"), "7 patches"),
        (1, ("is", "are"), "1 is"),
    ],
)
def test_the_word_goes_with_the_number(number: int, words: tuple[str, ...], told: str) -> None:
    assert counted(number, *words) == told


def test_thousands() -> None:
    assert counted(12_345, "node", form=",") == "12,345 nodes"


NEVER_ONE = {
    ("enc.importing.outcome", "len(self.problems)"),  # with problems
    ("enc.classify.gather", "len(found)"),
    ("enc.edits.differences", "len(value)"),  # too long for a line
    ("enc.edits.differences", "len(old)"),  # in another order
    ("enc.instances.standing", "len(found)"),
    ("enc.service.nodes", "len(found)"),
    ("enc.service.people", "len(found)"),
    ("enc.signing.policy", "len(found)"),
    ("enc.terms.errors", "len(text) - most"),
    ("git_hooks.checks.sizes", "len(look.entries)"),  # more than the limit
    ("git_hooks.commands.status", "len(bad)"),  # not as they should be
    ("git_hooks.deploy.module_sets", "len(puppetfile.modules)"),
    ("git_hooks.push.post_receive", "len(found)"),
    ("git_hooks.push.post_receive", "len(nodes)"),
    ("git_hooks.push.verdict", "len(self.refs)"),
    ("git_hooks.store.survey", "len(left)"),
    ("git_hooks.store.survey", "len(contents)"),
    ("puppetmaster_self.standing.presence", "len(found)"),
}
"""Numbers that are larger where they are told, or have a sentence of their own for one."""


def test_a_number_of_things_is_told_by_that_function() -> None:
    found = set()
    for module, tree in modules().items():
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr))
        for number, after in (pair for text in texts for pair in zip(text.values, text.values[1:], strict=False)):
            if isinstance(number, ast.FormattedValue) and isinstance(after, ast.Constant):
                said = ast.unparse(number.value)
                if re.match(r"(len|sum)\(", said) and re.match(r" (\w+ )?(\w+s|are|have|do)\b", str(after.value)):
                    found.add((module, said))
    assert found == NEVER_ONE
