"""What an answer of Puppet's parser is read as."""

from __future__ import annotations

import pytest

from git_hooks.puppet_code.calls import Call, Reading, UnsoundAnswer, parse


def test_calls() -> None:
    assert parse(b'{"calls": [[1, "::a::b", ["x", null]], [2, null, []]]}') == Reading(
        (Call(1, "a::b", ("x", None)), Call(2, None, ()))
    )


def test_a_fault() -> None:
    assert parse(b'{"fault": "Syntax error", "line": 3, "syntax": true}') == Reading((), "Syntax error", 3, True)


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]", b"{}", b'{"calls": 1}', b'{"calls": [[1, "a"]]}', b'{"fault": "x"}', b"[" * 100_000]
)
def test_what_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(UnsoundAnswer):
        parse(answer)
