"""Tokens: who shows one is its person, until it expires or is revoked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enc.terms.errors import InvalidName, NotFound, ToolkitError
from enc.terms.names import PersonName
from git_hooks.transport.tokens import TokenId, TokenPurpose, Tokens
from tests.support.clocks import even

ALICE, BOB = PersonName("alice"), PersonName("bob")


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens")


def test_a_token_counts_for_its_person_until_it_expires(tokens: Tokens) -> None:
    made, word = tokens.create(ALICE, TokenPurpose("CI job"), 100, read_only=True, by="op", now=1000)
    assert tokens.check(ALICE, word, 1099.9) == made
    assert made.read_only and made.by == "op"
    assert tokens.check(BOB, word, 1000) is None
    assert tokens.check(ALICE, word, 1100) is None


def test_a_word_that_differs_anywhere_is_no_token(tokens: Tokens) -> None:
    made, word = tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="op", now=0)
    other = tokens.create(ALICE, TokenPurpose("b"), 100, read_only=False, by="op", now=0)[1]
    wrong = (word[:-1] + ("a" if word[-1] != "a" else "b"), word + "a", word.upper(), f"pmt_{made.id}_{other[15:]}", "")
    assert [tokens.check(ALICE, text, 0) for text in (*wrong, "pmt_../../../x_" + "a" * 52)] == [None] * 6


def test_what_is_revoked_counts_no_more_and_stays_listed(tokens: Tokens) -> None:
    made, word = tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="op", now=0)
    tokens.revoke(made.id, now=5)
    assert tokens.check(ALICE, word, 6) is None
    assert [(token.id, token.revoked) for token in tokens.all()] == [(made.id, 5)]
    assert tokens.remove_old(even(6.0), 0.0) == 1 and tokens.all() == ()
    with pytest.raises(NotFound):
        tokens.revoke(made.id, now=6)


def test_the_secret_is_in_no_file_and_files_are_closed(tokens: Tokens, tmp_path: Path) -> None:
    made, word = tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="op", now=0)
    (file,) = (tmp_path / "tokens").iterdir()
    assert file.name == f"{made.id}.json"
    assert word.rpartition("_")[2] not in file.read_text()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_makes_tokens_for_the_account_of_the_service(tokens: Tokens, tmp_path: Path) -> None:
    place = tmp_path / "tokens"
    place.mkdir(mode=0o700)
    os.chown(place, 65534, 65534)
    made, word = tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="root", now=0)
    assert (place / f"{made.id}.json").stat().st_uid == 65534
    assert tokens.check(ALICE, word, 1) == made and tokens.revoke(made.id, 2).revoked == 2


def test_tokens_that_another_account_makes_are_not_taken(
    tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(tmp_path / "tokens", 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ToolkitError, match="another account"):
        tokens.all()


def test_where_others_write_there_are_no_tokens(tokens: Tokens, tmp_path: Path) -> None:
    word = tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="op", now=0)[1]
    (tmp_path / "tokens").chmod(0o770)
    with pytest.raises(ToolkitError, match="others can write"):
        tokens.check(ALICE, word, 0)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"id": "aaaaaaaaaa"}', "\x00"])
def test_a_damaged_file_is_no_token(tokens: Tokens, tmp_path: Path, content: str) -> None:
    tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="op", now=0)
    (tmp_path / "tokens" / "aaaaaaaaaa.json").write_text(content)
    assert tokens.check(ALICE, "pmt_aaaaaaaaaa_" + "a" * 52, 0) is None
    assert len(tokens.all()) == 1


@pytest.mark.parametrize("text", ["", "../../etc", "a" * 11, "A" * 10, "a" * 9 + "\n"])
def test_ids_are_no_paths(text: str) -> None:
    with pytest.raises(InvalidName):
        TokenId(text)


def test_a_file_that_others_may_write_is_no_token(tokens: Tokens, tmp_path: Path) -> None:
    made, word = tokens.create(ALICE, TokenPurpose("a"), 100, read_only=False, by="op", now=0)
    (tmp_path / "tokens" / f"{made.id}.json").chmod(0o620)
    assert tokens.check(ALICE, word, 0) is None
