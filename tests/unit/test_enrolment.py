"""Enrolment and tokens: what stands in LDAP is read back as it was written, and a token fits one binding only."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enc.instances.enrolment import Built, Enrolment
from enc.instances.tokens import FORM, Binding, digest, read_key, token
from enc.terms.errors import ConfigurationError
from enc.terms.names import Certname, ProjectName

SECONDS = st.integers(0, 10**11 - 1)
DIGEST = st.text("0123456789abcdef", min_size=64, max_size=64)
NONCE = st.text("0123456789abcdef", min_size=0, max_size=64)
WAITING = st.builds(lambda a, b, t, n: Enrolment("waiting", a, b, t, n), SECONDS, SECONDS, DIGEST, NONCE)


@given(WAITING, DIGEST, SECONDS)
def test_it_is_read_back_as_written(waiting: Enrolment, key: str, now: int) -> None:
    signed = waiting.signed_for(key, now)
    for one in (waiting, signed, Enrolment("closed", now)):
        assert Enrolment.read(one.text()) == one


@pytest.mark.parametrize(
    "text",
    [
        "",
        "closed",
        "closed since -1",
        "closed since \u0661",
        "waiting since 1 until 2",
        f"waiting since 1 until 2 token {'A' * 64}",
        f"waiting since 1 until 2 token {'a' * 63}",
        f"waiting since 1 until 2 token {'a' * 64}\n",
        f"signed since 1 until 2 token {'a' * 64}",
        f"signed since 1 until 2 token {'a' * 64} key {'b' * 64} nonce 00",
        f"closed since 1 until 2 token {'a' * 64}",
    ],
)
def test_what_is_not_of_the_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write `closed since T`"):
        Enrolment.read(text)


def test_the_last_second_does_not_count() -> None:
    waiting = Enrolment("waiting", 10, 20, "a" * 64)
    assert waiting.in_time(19.9)
    assert not waiting.in_time(20)


@given(SECONDS, SECONDS)
def test_built_is_read_back(at: int, took: int) -> None:
    assert Built.read(Built(at, took).text()) == Built(at, took)


def test_built_refuses_other_words() -> None:
    with pytest.raises(ValueError, match="took"):
        Built.read("yesterday")


def test_a_token_fits_one_binding_only() -> None:
    one = Binding(Certname("a.example"), ProjectName("red"), "north")
    others = (
        one._replace(certname=Certname("b.example")),
        one._replace(project=ProjectName("blue")),
        one._replace(region="south"),
        one._replace(region=""),
    )
    key = bytes(32)
    shown = {token(key, binding, "00") for binding in (one, *others)}
    shown |= {token(key, one, "01"), token(b"\1" * 32, one, "00")}
    assert len(shown) == len(others) + 3
    assert all(FORM.fullmatch(each) for each in shown)
    assert token(key, one, "00") in shown
    assert len({digest(each) for each in shown}) == len(shown)


def test_the_key_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "new/token.key"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(read_key(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["token.key"]


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token.key"
    file.write_text("secret\n")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="64 hex digits"):
        read_key(file)
