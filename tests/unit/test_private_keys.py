"""Private keys in any form, and the certificates that they belong to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from git_hooks.secrets import certificates, private_keys
from tests.support import key_forms


@pytest.mark.parametrize("case", key_forms.CASES, ids=[case["name"] for case in key_forms.CASES])
def test_a_key_is_found_however_it_stands(case: dict[str, Any]) -> None:
    content = key_forms.content(case)
    found = private_keys.find(content)
    if not case.get("found", True):
        assert found == []
        return
    (one,) = found
    public = private_keys.digest(key_forms.key(case["key"]).public_key()) if case.get("public", True) else ""
    expected_line = case.get("line")
    if case.get("wrap") == ["after certificate"]:
        expected_line = content[: content.index(b"PRIVATE KEY")].count(b"\n") + 1
    assert (one.public, one.encrypted) == (public, case.get("under", False))
    if expected_line is not None:
        assert one.line == expected_line


def test_there_are_many_forms() -> None:
    assert len(key_forms.CASES) >= 40


@pytest.mark.parametrize("days, begins, says", [
    (365, -1, "the live key of CN=*.example.org, valid until 2"),
    (-3, 0, "the key of CN=*.example.org, whose certificate expired on 2"),
    (365, 30, "the key of CN=*.example.org, valid from 2"),
])  # fmt: skip
def test_words_tell_live_from_expired(days: int, begins: int, says: str) -> None:
    key = key_forms.key("ec256")
    (found,) = certificates.find(key_forms.certificate(key, "*.example.org", days=days, begins=begins))
    assert found.public == private_keys.digest(key.public_key())
    assert found.told(time.time()).startswith(says)


def test_the_live_one_of_several_certificates_counts() -> None:
    key = key_forms.key("ec256")
    texts = [key_forms.certificate(key, name, days=days) for name, days in (("old", -3), ("live", 30), ("older", -9))]
    found = certificates.find(b"".join(texts))
    assert len(found) == 3 and certificates.best(found, time.time()).name == "CN=live"


def test_a_name_that_would_draw_on_a_terminal_is_one_line() -> None:
    (found,) = certificates.find(key_forms.certificate(key_forms.key("ec256"), "a\x1b[2J\nb"))
    assert found.name.isprintable()


@pytest.mark.parametrize("piece", [
    *(b"-----BEGIN RSA PRIVATE KEY-----", b"LS0tLS1CRUdJTi", b"MIIEvQIBADAN ", b"MIIE\nAgEAM", b"\\"),
    *(b"-----BEGIN CERTIFICATE-----\nM:\n-----END CERTIFICATE-----\n", b'" + ', b"'", b"-----BEGIN ", b"a:"),
])  # fmt: skip
def test_hostile_content_takes_time_in_proportion(piece: bytes) -> None:
    """Eight times as much takes about eight times as long; a square would take 64 times, and ten times is given."""
    body = piece * (200_000 // len(piece))
    inside = b"-----BEGIN RSA PRIVATE KEY-----\n" + body[:60_000] + b"\n-----END RSA PRIVATE KEY-----\n"
    for content in (body, inside):
        times = []
        for many in (1, 8):
            began = time.process_time()
            private_keys.find(content * many)
            times.append(time.process_time() - began)
        assert times[1] < 10 * 8 * max(times[0], 0.005)
